"""Tests for `mailplat.proto.smtp.data_writer`."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.proto.smtp.data import DataReader
from mailplat.proto.smtp.data_writer import DotStuffer, LineEnds, chunk

ALPHABET = [b"\r", b"\n", b".", b"a", b"\0"]


def stuffed(*blocks: bytes) -> bytes:
    """Write a message in these blocks, with its end."""
    stuffer = DotStuffer()
    return b"".join(stuffer.write(block) for block in blocks) + stuffer.end()


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r.\rb", b"a . b\r\n.\r\n"),
        (b"Subject: x\r\r\nTo: y\r", b"Subject: x \r\nTo: y \r\n.\r\n"),
    ],
)
def test_writes_the_same_at_every_cut(message: bytes, wire: bytes) -> None:
    """Dots are doubled and line ends mended wherever the blocks are cut."""
    for cut in range(len(message) + 1):
        for second in range(cut, len(message) + 1):
            blocks = message[:cut], message[cut:second], message[second:]
            assert stuffed(*blocks) == wire, (cut, second)


def test_no_sequence_smuggles() -> None:
    """Whatever CR, LF, dot and NUL make up, one message is read and no byte is left over."""
    for length in range(6):
        for parts in itertools.product(ALPHABET, repeat=length):
            wire = stuffed(b"".join(parts))
            reader = DataReader()
            message = reader.receive(wire)
            assert reader.done
            assert reader.rest == b""
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)
            assert message == b"" or message.endswith(b"\r\n")


@given(st.lists(st.lists(st.sampled_from([*ALPHABET, b"\r\n", b"\r\n."])).map(b"".join)))
def test_cuts_do_not_matter(blocks: list[bytes]) -> None:
    """What goes out depends on the bytes alone; whole lines come back as they were."""
    whole = b"".join(blocks)
    assert stuffed(*blocks) == stuffed(whole)
    ends = LineEnds()
    mended = b"".join(map(ends.write, blocks)) + ends.end()
    reader = DataReader()
    assert reader.receive(stuffed(*blocks)) == mended
    if not ends.changed and (not whole or whole.endswith(b"\r\n")):
        assert mended == whole


def test_chunks_are_counted() -> None:
    """A chunk says how long it is, and whether it is the last."""
    assert chunk(b"ab\r\n", last=False) == b"BDAT 4\r\nab\r\n"
    assert chunk(b"", last=True) == b"BDAT 0 LAST\r\n"
