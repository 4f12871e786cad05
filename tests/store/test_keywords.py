"""Tests for `mailplat.store.keywords`."""

from __future__ import annotations

import pytest

from mailplat.model.errors import Cannot, LimitReached
from mailplat.store.keywords import MAX_KEYWORDS, KeywordTable


def test_bits_follow_the_order() -> None:
    """Keyword i is bit 5 + i; system flags and keywords are known in any case."""
    table = KeywordTable(10, ["$A", "b"])
    table.add(table.missing(["$C", "\\Seen", "$a", "B"]))
    assert list(table.names) == ["$A", "b", "$C"]
    assert table.known_mask(["\\SEEN", "$a", "$C", "unknown"]) == 1 | 1 << 5 | 1 << 7


def test_missing_names_each_once() -> None:
    """Two spellings of one new keyword are one, in the first spelling by the alphabet."""
    assert KeywordTable(10).missing(["new", "NEW", "New"]) == ["NEW"]


def test_limit() -> None:
    """What does not fit is refused as a whole, or left away as a whole."""
    table = KeywordTable(2, ["a"])
    assert table.missing(["A", "b"]) == ["b"]
    with pytest.raises(LimitReached):
        table.missing(["b", "c"])
    assert table.fitting(["b", "c"]) == []
    assert table.fitting(["b"]) == ["b"]


def test_a_mask_has_room_for_all() -> None:
    """However large the limit, masks stay below 2 to the power of 63."""
    table = KeywordTable(1000, [f"k{n}" for n in range(MAX_KEYWORDS)])
    assert table.known_mask(table.names) < 1 << 63
    with pytest.raises(LimitReached):
        table.missing(["one more"[:3]])


@pytest.mark.parametrize("word", ["", "a b", "\\Unknown", "\\Recent", "a(", "é", "x" * 256])
def test_no_keyword(word: str) -> None:
    """What cannot be a keyword is refused, and passed over by what fits."""
    with pytest.raises(Cannot):
        KeywordTable(10).missing([word])
    assert KeywordTable(10).fitting([word, "good"]) == ["good"]
