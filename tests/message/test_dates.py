"""Tests for `mailplat.message.dates`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import dates
from mailplat.message.dates import Moment

NOON = int(datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (b"Fri, 21 Nov 1997 09:55:06 -0600", Moment(NOON, -360)),
        (b"21 Nov 1997 15:55:06 +0000", Moment(NOON)),
        (b"Fri, 21 Nov 97 09(comment):   55  :  06 -0600", Moment(NOON, -360)),  # §A.6.2
        (b"  fri ,21 nov 1997 15:55:06 GMT", Moment(NOON)),
        (b"Fri, 21 Nov 1997 15:55:06 UT (really)", Moment(NOON)),
        (b"21 Nov 1997 10:55:06 EST", Moment(NOON, -300)),
        (b"21 Nov 1997 08:55:06 PDT", Moment(NOON, -420)),
        (b"21 Nov 1997 15:55:06 Z", Moment(NOON)),
        (b"21 Nov 1997 15:55:06 CEST", Moment(NOON)),  # unknown names are -0000
        (b"Fri Nov 21 15:55:06 1997", Moment(NOON)),
        (b"Fri Nov 21 10:55:06 EST 1997", Moment(NOON, -300)),
        (b"Friday, 21-Nov-1997 15:55:06 GMT", Moment(NOON)),
        (b"21 Nov 1997 15:55 +0000", Moment(NOON - 6)),
        (b"21 November 1997 15.55.06 +0000", Moment(NOON)),
        (b"21 Nov 1997", Moment(NOON // 86400 * 86400)),
        (b"21 Nov 1997 15:55:06 +9999", Moment(NOON)),  # a zone that cannot be is UTC
        (b"21 Nov 1997 25:00:00 +0000", Moment(NOON // 86400 * 86400)),  # and a time midnight
        (b"1 Jan 49 00:00 GMT", Moment(int(datetime(2049, 1, 1, tzinfo=UTC).timestamp()))),
        (b"1 Jan 50 00:00 GMT", Moment(int(datetime(1950, 1, 1, tzinfo=UTC).timestamp()))),
        (b"1 Jan 103 00:00 GMT", Moment(int(datetime(2003, 1, 1, tzinfo=UTC).timestamp()))),
        (b"1 Jan 1970 00:00:00 +0100", Moment(-3600, 60)),
    ],
)
def test_reads(value: bytes, moment: Moment) -> None:
    """Dates of today, of RFC 822 and of careless programs (RFC 5322 §4.3)."""
    assert dates.parse(value) == moment


@pytest.mark.parametrize(
    "value",
    [b"", b"yesterday", b"31 Feb 2026 00:00:00 +0000", b"1 Jan 99999 00:00 GMT", b"1 Foo 2026 1:1"],
)
def test_reads_no_day(value: bytes) -> None:
    """What names no day that exists is no date."""
    assert dates.parse(value) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_never_raises(value: bytes) -> None:
    """Any bytes may stand in a Date field."""
    dates.parse(value)
    dates.parse_internal_date(value)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(2**31), 2**34), st.integers(-23 * 60, 23 * 60))
def test_both_ways(seconds: int, offset: int) -> None:
    """What is written is read as the same moment."""
    moment = Moment(seconds, offset)
    assert dates.parse(dates.rfc5322_date(seconds, offset).encode()) == moment
    assert dates.parse_internal_date(dates.internal_date(seconds, offset)) == moment


def test_spellings() -> None:
    """Fields have two digits of the day, INTERNALDATE a blank and a digit (RFC 9051 §9)."""
    assert dates.rfc5322_date(0) == "Thu, 01 Jan 1970 00:00:00 +0000"
    assert dates.internal_date(0, -90) == b'"31-Dec-1969 22:30:00 -0130"'
    assert dates.internal_date(0) == b'" 1-Jan-1970 00:00:00 +0000"'


@pytest.mark.parametrize(
    "value",
    [b"1-Jan-1970 00:00:00 +0000", b'"01-Jan-1970 24:00:00 +0000"', b'"01-Jan-1970 00:00:00"'],
)
def test_internal_date_is_strict(value: bytes) -> None:
    """APPEND's date-time has one spelling."""
    assert dates.parse_internal_date(value) is None


def test_local_day() -> None:
    """SENTON goes by the day that the sender's calendar showed (RFC 9051 §6.4.4)."""
    moment = dates.parse(b"1 Jan 2026 23:30:00 -0500")
    assert moment is not None
    assert moment.local_day == date(2026, 1, 1).toordinal()
