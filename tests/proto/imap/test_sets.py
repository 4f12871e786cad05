"""Tests for `mailplat.proto.imap.sets`, and for how sets and pages are read."""

from __future__ import annotations

import pytest

from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.proto.imap.refusal import Refusal
from mailplat.proto.imap.sets import PartialRange, SequenceSet
from mailplat.proto.imap.tokens import Tokens


@pytest.mark.parametrize(
    ("text", "largest", "resolved"),
    [
        ("5", 10, "5"),
        ("2,4:7,9,12:*", 15, "2,4:7,9,12:15"),  # RFC 9051 §9
        ("*:4,5:7", 10, "4:10"),
        ("4:2", 9, "2:4"),
        ("*", 7, "7"),
        ("*:*", 7, "7"),
        ("3291:*", 8, "8"),  # always has the last message
        ("20:*,30:*", 8, "8"),
        ("1:*", 0, ""),
        ("1,1,1", 3, "1"),
        ("4294967295", 3, "4294967295"),
    ],
)
def test_read_and_resolved(text: str, largest: int, resolved: str) -> None:
    """Sets as clients write them."""
    assert str(Tokens(text.encode()).sequence_set().resolve(largest)) == resolved


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "1:0",
        "0:*",
        "1,,2",
        "1:",
        ":1",
        "1:2:3",
        "a",
        "4294967296",
        "1x",
        "$,1",
        "$:*",
        "-1",
    ],
)
def test_refused(text: str) -> None:
    """What is no set."""
    with pytest.raises(Refusal):
        Tokens(text.encode()).sequence_set()


def test_saved() -> None:
    """``$`` stands alone, and stays open."""
    assert Tokens(b"$").sequence_set() == SequenceSet(saved=True)
    assert not SequenceSet(saved=True).resolve(10)


@pytest.mark.parametrize(
    ("text", "single"),
    [("5", True), ("*", True), ("5:5", True), ("5:6", False), ("1,3", False), ("5:*", False)],
)
def test_single(text: str, single: bool) -> None:
    """Whether a set is one number."""
    assert Tokens(text.encode()).sequence_set().single() is single
    assert not SequenceSet(saved=True).single()


def test_highest() -> None:
    """``n:*`` names no number that must be there."""
    assert Tokens(b"3,9:*").sequence_set().highest == 3
    assert SequenceSet(star=MAX_NUMBER).highest == 0
    assert SequenceSet(NumSet.span(1, 5)).highest == 5


@pytest.mark.parametrize(
    ("text", "count", "bounds"),
    [
        ("1:3", 10, (0, 3)),
        ("3:1", 10, (0, 3)),
        ("9:20", 10, (8, 10)),
        ("11:20", 10, (0, 0)),
        ("-1:-3", 10, (7, 10)),
        ("-3:-1", 10, (7, 10)),
        ("-9:-20", 10, (0, 2)),
        ("-11:-20", 10, (0, 0)),
        ("1:1", 0, (0, 0)),
    ],
)
def test_partial_bounds(text: str, count: int, bounds: tuple[int, int]) -> None:
    """Where a page lies (RFC 9394 §3.1)."""
    page = Tokens(text.encode()).partial_range()
    assert page.bounds(count) == bounds
    assert str(page) == text


@pytest.mark.parametrize("text", ["1", "0:1", "-1:2", "1:-2", "*:1", "1:4294967296", ""])
def test_partial_refused(text: str) -> None:
    """What is no page."""
    with pytest.raises(Refusal):
        Tokens(text.encode()).partial_range()


def test_partial_is_a_value() -> None:
    """Pages compare by what was written."""
    assert Tokens(b"1:2").partial_range() == PartialRange(1, 2)
