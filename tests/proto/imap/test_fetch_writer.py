"""Tests for `mailplat.proto.imap.fetch_writer`."""

from __future__ import annotations

from calendar import month_abbr
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.model.flags import FIRST_KEYWORD, FLAGGED, SEEN
from mailplat.proto.imap import fetch_writer
from mailplat.proto.imap.fetch_writer import FetchWriter, FlagSpeller, Kind


def test_block() -> None:
    """Columns become responses, in the order of the items."""
    writer = FetchWriter(
        [
            (b"UID", Kind.NUMBER),
            (b"FLAGS", Kind.READY),
            (b"MODSEQ", Kind.MODSEQ),
            (b"BODY[HEADER.FIELDS (X%d)]", Kind.READY),
        ]
    )
    flags = FlagSpeller(["$Junk"]).column([SEEN, 0])
    header = fetch_writer.string_column([b"X%d: 1\r\n\r\n", None])
    assert writer.block([1, 3], [7, 9], flags, [5, 6], header) == (
        b"* 1 FETCH (UID 7 FLAGS (\\Seen) MODSEQ (5) "
        b"BODY[HEADER.FIELDS (X%d)] {10}\r\nX%d: 1\r\n\r\n)\r\n"
        b"* 3 FETCH (UID 9 FLAGS () MODSEQ (6) BODY[HEADER.FIELDS (X%d)] NIL)\r\n"
    )
    assert writer.block([], [], [], [], []) == b""
    with pytest.raises(ValueError):
        writer.block([1], [7], flags, [5], header)


def test_piece_by_piece() -> None:
    """A response whose body is streamed."""
    start = fetch_writer.fetch_start(5) + b"BODY[] " + fetch_writer.literal_start(3)
    assert start + b"abc" + fetch_writer.FETCH_END == b"* 5 FETCH (BODY[] {3}\r\nabc)\r\n"
    assert fetch_writer.literal_start(3, binary=True) == b"~{3}\r\n"


def test_flags() -> None:
    """Masks, with and without Recent; keywords that come later."""
    speller = FlagSpeller(["$Junk"])
    junk = 1 << FIRST_KEYWORD
    assert speller.column([SEEN | junk]) == [b"(\\Seen $Junk)"]
    assert speller.column([0, FLAGGED], recent=True) == [b"(\\Recent)", b"(\\Flagged \\Recent)"]
    speller.keywords = ["$Junk", "new"]
    assert speller.column([junk << 1]) == [b"(new)"]


def test_flags_are_bounded() -> None:
    """However many combinations there are, few are kept."""
    speller = FlagSpeller([f"k{number}" for number in range(20)])
    masks = range(0, 1 << 20, 100)
    assert len(speller.column(masks)) == len(masks)
    assert len(speller._spelled) <= 4096


@given(st.lists(st.integers(0, 253402300799)))
def test_dates(moments: list[int]) -> None:
    """INTERNALDATE for any moment to the end of 9999."""
    for moment, spelled in zip(moments, fetch_writer.date_column(moments), strict=True):
        when = datetime.fromtimestamp(moment, UTC)
        day = f"{when.day:02}-{month_abbr[when.month]}-{when.year:04}"
        assert spelled.decode() == f'"{day} {when:%H:%M:%S} +0000"'


def test_odd_dates() -> None:
    """Before 1970 is a date; beyond the calendar is not, and harms nobody."""
    assert fetch_writer.date_column([-1]) == [b'"31-Dec-1969 23:59:59 +0000"']
    assert fetch_writer.date_column([10**15])[0].startswith(b'"01-Jan-1970 ')


def test_text_columns() -> None:
    """Sections, previews and identifiers."""
    assert fetch_writer.string_column([b"a\0", None]) == [b"{2}\r\na\0", b"NIL"]
    binary = fetch_writer.binary_column([b"a\0", b"a", None])
    assert binary == [b"~{2}\r\na\0", b"{1}\r\na", b"NIL"]
    assert fetch_writer.text_column(["é", None, "a"], utf8=False) == [
        b"{2}\r\n\xc3\xa9",
        b"NIL",
        b'"a"',
    ]
    assert fetch_writer.text_column(["é"], utf8=True) == [b'"\xc3\xa9"']
    assert fetch_writer.object_id_column(["M1", ""]) == [b"(M1)", b"NIL"]
