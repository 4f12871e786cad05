"""Tests for `mailplat.proto.smtp.content`."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.smtp.content import ContentCheck

PIECES = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"abcdefgh", b"\0"]), max_size=20)


def check(blocks: list[bytes], *, line: int = 1000, size: int = 1000, bare: bool = False) -> str:
    """The first refusal's text of a message in blocks, or ``""``."""
    checker = ContentCheck(size_limit=size, line_limit=line, bare_newlines=bare)
    for block in blocks:
        refusal = checker.receive(block)
        if refusal is not None:
            return refusal.text
    refusal = checker.end()
    return refusal.text if refusal else ""


@settings(max_examples=400)
@given(PIECES, st.integers(0, 40))
def test_bare_newlines(pieces: list[bytes], cut: int) -> None:
    """A CR without LF or an LF without CR is found at every cut."""
    message = b"".join(pieces)
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n", message) is not None
    assert ("not part of a CRLF" in check([message[:cut], message[cut:]])) is bare
    if bare:
        assert check([message[:cut], message[cut:]], bare=True) in ("", check([message]))


@settings(max_examples=400)
@given(PIECES, st.integers(0, 40), st.integers(1, 20))
def test_line_length(pieces: list[bytes], cut: int, limit: int) -> None:
    """A line above the limit is found at every cut, and no other."""
    message = b"".join(pieces)
    lines = re.findall(rb"[^\n]*\n|[^\n]+\Z", message)
    longest = max(map(len, lines), default=0)
    said = check([message[:cut], message[cut:]], line=limit, bare=True)
    assert ("too long" in said) is (longest > limit)


def test_line_length_of_many_blocks() -> None:
    """What came of a line before is counted from its own start."""
    assert check([b"a\nab", b"abcd\nab", b"abcd\n"], line=7, bare=True) == ""
    assert "too long" in check([b"a\nab", b"abcde\n"], line=7, bare=True)


def test_size() -> None:
    """A message may be as large as the limit, and not larger."""
    assert check([b"abcd\r\n"] * 2, size=12) == ""
    assert "exceeds" in check([b"abcd\r\n"] * 2, size=11)
