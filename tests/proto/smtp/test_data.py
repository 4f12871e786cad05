"""Tests for `mailplat.proto.smtp.data` and `mailplat.proto.smtp.bdat`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.smtp.bdat import ChunkReader, parse_chunk
from mailplat.proto.smtp.data import DataReader


def read(*chunks: bytes) -> tuple[bytes, bool, bytes]:
    """Give the chunks to a new reader: what it read, if it is done, what is left."""
    reader = DataReader()
    message = b"".join(reader.receive(chunk) for chunk in chunks)
    return message, reader.done, reader.rest


@pytest.mark.parametrize(
    ("wire", "message", "rest"),
    [
        (b"hi\r\n.\r\nQUIT\r\n", b"hi\r\n", b"QUIT\r\n"),  # pipelined: left for the next command
        (b"..\r\n..a.\r\n.b\r\n.\r\n", b".\r\n.a.\r\nb\r\n", b""),  # one dot off each line's start
        (b"a\n.\nMAIL\r\n.\r\n", b"a\n.\nMAIL\r\n", b""),  # bare newlines end nothing: no smuggling
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", b""),
        (b"a\n.\r\n.\r\n", b"a\n.\r\n", b""),
        (b"a\r\n.\n.\r\n.\r\n", b"a\r\n\n.\r\n", b""),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n", b""),
        (b".\r\nrest", b"", b"rest"),
    ],
)
def test_reads_whole_at_every_cut(wire: bytes, message: bytes, rest: bytes) -> None:
    """The same bytes hold the same message, wherever they are cut."""
    for cut in range(len(wire) - len(rest)):
        assert read(wire[:cut], wire[cut:]) == (message, True, rest), cut


@settings(max_examples=100)
@given(st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"\0", b"ab"]), max_size=30))
def test_stuffed_comes_out_as_it_was(parts: list[bytes]) -> None:
    """What was stuffed as RFC 5321 §4.5.2 says is read as it was, byte by byte."""
    message = b"".join(parts) + b"\r\n"
    wire = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    assert read(*(wire[i : i + 1] for i in range(len(wire)))) == (message, True, b"")
    assert read(wire) == (message, True, b"")


@settings(max_examples=50)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_blocks_end_with_whole_lines(junk: bytes, cut: int) -> None:
    """No block ends between a CR and its LF."""
    reader = DataReader()
    blocks = [reader.receive(junk[:cut]), reader.receive(junk[cut:] + b"\r\n.\r\n")]
    assert not blocks[0].endswith(b"\r")


def test_chunk() -> None:
    """A chunk is its bytes and no more."""
    reader = ChunkReader(5, last=True)
    assert [reader.receive(b"ab"), reader.done] == [b"ab", False]
    assert [reader.receive(b"c\r\n.QUIT"), reader.done, reader.rest] == [b"c\r\n", True, b".QUIT"]


@pytest.mark.parametrize(
    ("argument", "size", "last"),
    [(b"0", 0, False), (b"12 LAST", 12, True), (b"7 last", 7, True)],
)
def test_parse_chunk(argument: bytes, size: int, last: bool) -> None:
    """A size, and perhaps LAST."""
    chunk = parse_chunk(argument)
    assert chunk is not None
    assert (chunk.size, chunk.last, chunk.done) == (size, last, size == 0)


@pytest.mark.parametrize("argument", [b"", b"-1", b"x", b"1 2", b"1 LASTING", b"1" * 20])
def test_parse_chunk_refuses(argument: bytes) -> None:
    """Nothing else says how many bytes come."""
    assert parse_chunk(argument) is None
