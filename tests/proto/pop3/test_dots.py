"""Tests for `mailplat.proto.pop3.dots`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.pop3.dots import DotStuffer, LineCounter, stuffed

CONTENTS = [
    (b"", b".\r\n"),
    (b"hello\r\n", b"hello\r\n.\r\n"),
    (b"no end", b"no end\r\n.\r\n"),
    (b"half an end\r", b"half an end\r\r\n.\r\n"),
    (b"bare\n", b"bare\n\r\n.\r\n"),
    (b".\r\n", b"..\r\n.\r\n"),
    (b"..\r\n.a\r\nb.\r\n", b"...\r\n..a\r\nb.\r\n.\r\n"),
    (b"a\r\n.\r\nQUIT\r\n", b"a\r\n..\r\nQUIT\r\n.\r\n"),
    (b"a\n.\r\nQUIT\r\n", b"a\n..\r\nQUIT\r\n.\r\n"),  # for clients that read to a bare LF
    (b"a\n.\nb", b"a\n..\nb\r\n.\r\n"),
]

contents = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a"]), max_size=12).map(b"".join)


@pytest.mark.parametrize(("content", "wire"), CONTENTS)
def test_stuffs_whole_and_at_every_cut(content: bytes, wire: bytes) -> None:
    """A content looks the same on the wire as a whole and in two blocks cut anywhere."""
    assert stuffed(content) == wire
    for cut in range(len(content) + 1):
        stuffer = DotStuffer()
        blocks = [stuffer.stuff(content[:cut]), stuffer.stuff(content[cut:]), stuffer.end()]
        assert b"".join(blocks) == wire, cut


@settings(max_examples=300, deadline=None)
@given(contents, st.lists(st.integers(1, 5), max_size=12))
def test_blocks_of_any_size(content: bytes, sizes: list[int]) -> None:
    """However many blocks a content comes in, the wire is the same."""
    stuffer, wire, position = DotStuffer(), b"", 0
    for size in [*sizes, len(content)]:
        wire += stuffer.stuff(content[position : position + size])
        position += size
    assert wire + stuffer.end() == stuffed(content)


@settings(max_examples=300, deadline=None)
@given(contents)
def test_nothing_ends_early_and_all_comes_back(content: bytes) -> None:
    """A client finds the one end mark, and the content before it, by CRLF and by LF alike."""
    wire = stuffed(content)
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    for line_end in (b"\r\n", b"\n"):
        lines = wire.split(line_end)
        assert lines.pop() == b""
        end = lines.index(b"." if line_end == b"\r\n" else b".\r")
        assert end == len(lines) - 1
    by_lf = [line[1:] if line[:2] == b".." else line for line in wire.split(b"\n")[:-2]]
    back = b"".join(line + b"\n" for line in by_lf)
    assert back in (content, content + b"\r\n")


@pytest.mark.parametrize(
    ("lines", "first"),
    [(0, b""), (1, b"a\r\n"), (2, b"a\r\n\r\n"), (3, b"a\r\n\r\nb\n"), (4, b"a\r\n\r\nb\nc")],
)
def test_lines_are_counted_at_every_cut(lines: int, first: bytes) -> None:
    """The first lines come through, and nothing behind them, wherever the content is cut."""
    content = b"a\r\n\r\nb\nc"
    for cut in range(len(content) + 1):
        counter = LineCounter(lines)
        assert counter.take(content[:cut]) + counter.take(content[cut:]) == first
        assert counter.done is (lines < 4)
