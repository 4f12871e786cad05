"""Dates of mail: header fields (RFC 5322 §3.3, §4.3) and INTERNALDATE (RFC 9051 §9 date-time).

Times are whole seconds since 1970 in UTC.  An unknown zone counts as UTC and an impossible time
as midnight (RFC 5256 §2.2); a date that does not exist cannot be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

__all__ = ["Moment", "internal_date", "parse", "parse_internal_date", "rfc5322_date"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time and the zone it was told in.

    Attributes:
        seconds: Since 1970-01-01 00:00:00 UTC; negative before.
        offset: Minutes that the zone's clock is ahead of UTC.
    """

    seconds: int
    offset: int = 0

    @property
    def local_day(self) -> int:
        """The day on the calendar of its own zone, as `datetime.date.toordinal` counts.

        SENTBEFORE, SENTON and SENTSINCE disregard time and zone (RFC 9051 §6.4.4).
        """
        return (self.seconds + self.offset * 60) // 86400 + _EPOCH


_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = {name.lower().encode(): number for number, name in enumerate(_MONTHS, 1)}
_ZONES = {
    b"edt": -240,
    b"est": -300,
    b"cdt": -300,
    b"cst": -360,
    b"mdt": -360,
    b"mst": -420,
    b"pdt": -420,
    b"pst": -480,
}
"""Minutes ahead of UTC; every other name is as good as -0000 (RFC 5322 §4.3)."""

_TIME = rb"(?:[\s,]*+(\d{1,2})\s*[:.]\s*(\d{1,2})(?:\s*[:.]\s*(\d{1,2}))?(?:[.,]\d+)?)?"
_DATE = re.compile(
    rb"\s*(?:[A-Za-z]{2,9}+\.?\s*,?\s*)?(\d{1,2})(?:\s+|\s*-\s*)([A-Za-z]{3})[a-z]{0,6}+\.?,?"
    rb"(?:\s+|\s*-\s*)(\d{2,4})(?!\d)" + _TIME + rb"\s*(?:([+-]\d{4})(?!\d)|([A-Za-z]{1,5})\b)?",
)
# asctime(), as old mailers and mbox files have it: Fri Nov 21 09:55:06 1997
_ASCTIME = re.compile(
    rb"\s*(?:[A-Za-z]{3,9}+,?\s+)?([A-Za-z]{3})[a-z]{0,6}+\s+(\d{1,2})(?!\d)" + _TIME + rb"\s+"
    rb"(?:([+-]\d{4})\s+|([A-Za-z]{1,5})\s+)?(\d{4})(?!\d)(?:\s*([+-]\d{4}))?"
)
_INTERNAL = re.compile(
    rb'"?([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d\d[0-5]\d)"?'
)
_COMMENT = re.compile(rb"\((?:[^()\\]++|\\.)*+\)", re.DOTALL)
_LONGEST = 200
"""Bytes of a field that are looked at."""


def parse(value: bytes) -> Moment | None:
    """Read the value of a Date field; None if it names no day."""
    value = value[:_LONGEST]
    if b"(" in value:
        value = _COMMENT.sub(b" ", value)
    found = _DATE.match(value)
    if found is not None:
        day, month, year, hour, minute, second, zone, name = found.groups()
    else:
        found = _ASCTIME.match(value)
        if found is None:
            return None
        month, day, hour, minute, second, zone, name, year, behind = found.groups()
        zone = zone or behind
    return _moment(day, month, year, (hour, minute, second), zone, name)


def _moment(
    day: bytes,
    month: bytes,
    year: bytes,
    time: tuple[bytes | None, bytes | None, bytes | None],
    zone: bytes | None,
    zone_name: bytes | None,
) -> Moment | None:
    full_year = int(year)
    if len(year) == 2 and full_year < 50:
        full_year += 2000  # (RFC 5322 §4.3)
    elif len(year) < 4:
        full_year += 1900
    try:
        days = date(full_year, _MONTH.get(month.lower(), 0), int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    hour, minute, second = (int(number or 0) for number in time)
    if hour > 23 or minute > 59 or second > 60:
        hour = minute = second = 0  # (RFC 5256 §2.2)
    offset = _ZONES.get(zone_name.lower(), 0) if zone_name else 0
    if zone is not None:
        hours, minutes = int(zone[1:3]), int(zone[3:5])
        if hours < 24 and minutes < 60:
            offset = (hours * 60 + minutes) * (-1 if zone.startswith(b"-") else 1)
    return Moment(days * 86400 + hour * 3600 + minute * 60 + second - offset * 60, offset)


def parse_internal_date(value: bytes) -> Moment | None:
    """Read a date-time of APPEND, with or without its quotes; None if it breaks the grammar."""
    found = _INTERNAL.fullmatch(value)
    if found is None:
        return None
    day, month, year, hour, minute, second, zone = found.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60 or int(zone[1:3]) > 23:
        return None
    return _moment(day, month, year, (hour, minute, second), zone, None)


@lru_cache(maxsize=4096)
def _day(days: int) -> tuple[str, str, int, int]:
    when = date.fromordinal(days + _EPOCH)
    return _DAYS[when.weekday()], _MONTHS[when.month - 1], when.day, when.year


def _zone(offset: int) -> str:
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}{minutes:02d}"


def rfc5322_date(seconds: int, offset: int = 0) -> str:
    """Spell a time for a header field: ``Thu, 01 Jan 2026 12:00:00 +0000`` (RFC 5322 §3.3)."""
    days, rest = divmod(seconds + offset * 60, 86400)
    weekday, month, day, year = _day(days)
    return (
        f"{weekday}, {day:02d} {month} {year:04d} "
        f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d} {_zone(offset)}"
    )


def internal_date(seconds: int, offset: int = 0) -> bytes:
    """Spell a time for INTERNALDATE, quotes included (RFC 9051 §9 date-time)."""
    days, rest = divmod(seconds + offset * 60, 86400)
    _, month, day, year = _day(days)
    return (
        f'"{day:2d}-{month}-{year:04d} '
        f'{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d} {_zone(offset)}"'
    ).encode("ascii")
