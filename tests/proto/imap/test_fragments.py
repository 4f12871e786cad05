"""Tests for `mailplat.proto.imap.fragments`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

from mailplat.proto.imap.fragments import BadLine, EndOfInput, Flooded, Fragments
from mailplat.proto.imap.tokens import Announced, announced_in

T = TypeVar("T")


def finish(waiting: Generator[None, None, T], fragments: Fragments, *chunks: bytes) -> T:
    """Run a generator, giving it a chunk whenever it asks for more."""
    rest = list(chunks)
    try:
        while True:
            next(waiting)
            fragments.add(rest.pop(0))
    except StopIteration as done:
        value: T = done.value
        return value


def at_every_cut(wire: bytes) -> list[tuple[bytes, ...]]:
    """The bytes whole, in two pieces at every place, and one by one."""
    cuts = [(wire[:cut], wire[cut:]) for cut in range(1, len(wire))]
    return [(wire,), *cuts, tuple(bytes([byte]) for byte in wire)]


def test_line_at_every_cut() -> None:
    """A line is the same however it comes; what is behind it waits."""
    for chunks in at_every_cut(b"a NOOP\r\nb"):
        fragments = Fragments()
        assert finish(fragments.line(20), fragments, *chunks) == b"a NOOP", chunks
    fragments = Fragments()
    fragments.add(b"\r\nx")
    assert finish(fragments.line(20), fragments) == b""
    assert len(fragments) == 1


@pytest.mark.parametrize(
    ("wire", "head"),
    [
        (b"a NOOP\nb NOOP\r\n", b"a NOOP"),  # a bare LF ends nothing
        (b"a 23456789\r\n", b"a 234567"),  # longer than 8
        (b"a 234567\n\r\n", b"a 234567"),
        (b"\r\r\n\n", None),  # a bare CR is for the parser to refuse
    ],
)
def test_bad_lines_at_every_cut(wire: bytes, head: bytes | None) -> None:
    """The same fault is found at the same place."""
    for chunks in at_every_cut(wire):
        fragments = Fragments()
        if head is None:
            assert finish(fragments.line(8), fragments, *chunks) == b"\r"
            continue
        with pytest.raises(BadLine) as raised:
            finish(fragments.line(8), fragments, *chunks)
        assert raised.value.head == head, chunks


def test_line_of_just_the_limit() -> None:
    """CRLF does not count."""
    for chunks in at_every_cut(b"12345678\r\n"):
        fragments = Fragments()
        assert finish(fragments.line(8), fragments, *chunks) == b"12345678"


def test_memory_is_bounded_in_an_endless_line() -> None:
    """An endless line is cut off, then passed over, and never held."""
    fragments = Fragments()
    line = fragments.line(100)
    next(line)
    fragments.add(b"x" * 102)
    with pytest.raises(BadLine):
        next(line)
    rest = fragments.rest_of_line(10_000)
    next(rest)
    for _ in range(20):
        fragments.add(b"x" * 100)
        next(rest)
        assert len(fragments) < 200
    fragments.add(b"x" * 20_000)
    with pytest.raises(Flooded):
        next(rest)


def test_rest_of_line_at_every_cut() -> None:
    """The literal that a refused line announces is found."""
    wire = b"x" * 100 + b" {12+}\r\n"
    for chunks in at_every_cut(wire):
        fragments = Fragments()
        found = finish(fragments.rest_of_line(1000), fragments, *chunks)
        assert found == Announced(12, False, False)


def test_literal_take_and_pass_over() -> None:
    """Bytes by count: all at once, as they come, or not at all."""
    fragments = Fragments()
    assert finish(fragments.literal(5), fragments, b"he", b"llo w") == b"hello"
    assert finish(fragments.take(10), fragments) == b" w"
    finish(fragments.pass_over(6), fragments, b"123", b"456x")
    assert fragments.take_all() == b"x"
    assert finish(fragments.literal(0), fragments) == b""


def test_put_back() -> None:
    """A line that was put back comes again, first."""
    fragments = Fragments()
    fragments.add(b"b\r\n")
    fragments.put_back(b"a")
    assert finish(fragments.line(9), fragments) == b"a"
    assert finish(fragments.line(9), fragments) == b"b"


def test_end_of_input() -> None:
    """What is there is still given; what is not raises."""
    fragments = Fragments()
    fragments.add(b"a\r\nb")
    fragments.ended = True
    assert finish(fragments.line(9), fragments) == b"a"
    with pytest.raises(EndOfInput):
        finish(fragments.line(9), fragments)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"a {5}", Announced(5, True, False)),
        (b"a {5+}", Announced(5, False, False)),
        (b"a ~{5}", Announced(5, True, True)),
        (b"a ~{5+}", Announced(5, False, True)),
        (b"{0}", Announced(0, True, False)),
        (b'a "{5}"', None),
        (b"a {5} ", None),
        (b"a {-5}", None),
        (b"a {5-}", None),
        (b"a {}", None),
        (b"a {99999999999999999999999+}", Announced(2**63 - 1, False, False)),
    ],
)
def test_announced_in(line: bytes, found: Announced | None) -> None:
    """Only the end of a line announces a literal (RFC 7888 §3)."""
    assert announced_in(line) == found
