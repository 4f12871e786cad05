"""MAIL's parameters about time and urgency: BY, HOLDFOR, HOLDUNTIL, MT-PRIORITY.

Text in, values of `mailplat.model.envelope` out (RFC 2852 §4, RFC 4865 §4, RFC 6710 §4).  No clock
is asked: whether a time is too far away is for the session to say, where it is not a bare number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from mailplat.model.envelope import ByMode, DeliverBy
from mailplat.model.reply import Reply
from mailplat.proto.smtp.command_fault import CommandFault, fault

__all__ = ["HELD_TOO_LONG", "parse_by", "parse_hold_for", "parse_hold_until", "parse_priority"]

HELD_TOO_LONG = Reply.of(501, "That is further in the future than mail is held here", "5.5.4")

_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
_PRIORITY = re.compile(r"-?[0-9]")


def parse_by(value: str | None, least: int) -> DeliverBy:
    """Read BY (RFC 2852 §4).

    Args:
        value: What stands behind ``=``.
        least: The fewest seconds that may be asked for with mode R.

    Raises:
        CommandFault: It cannot be taken.
    """
    match = _BY.fullmatch(value or "")
    if match is None:
        raise fault(501, "5.5.4", "BY takes seconds, a semicolon, N or R, and perhaps T")
    by = DeliverBy(int(match[1]), ByMode(match[2].upper()), bool(match[3]))
    if by.mode is ByMode.RETURN and by.seconds <= 0:
        raise fault(501, "5.5.4", "BY with R takes a time that is not over")
    if by.mode is ByMode.RETURN and by.seconds < least:
        raise fault(555, "5.5.4", f"BY with R takes {least} seconds or more here")
    return by


def parse_hold_for(value: str | None, most: int) -> int:
    """Read HOLDFOR: seconds (RFC 4865 §4).

    Args:
        value: What stands behind ``=``.
        most: The most seconds that mail is held.

    Raises:
        CommandFault: It cannot be taken.
    """
    if not value or not _SECONDS.fullmatch(value) or int(value) == 0:
        raise fault(501, "5.5.4", "HOLDFOR takes a number of seconds")
    if int(value) > most:
        raise CommandFault(HELD_TOO_LONG)
    return int(value)


def parse_hold_until(value: str | None) -> int:
    """Read HOLDUNTIL: a date and time (RFC 4865 §4, RFC 3339 §5.6); give seconds since 1970 UTC.

    Raises:
        CommandFault: It cannot be taken.
    """
    match = _TIME.fullmatch(value or "")
    try:
        if match is None:
            raise ValueError
        zone = "+00:00" if match[3] in "Zz" else match[3]
        when = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
        return int(when.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise fault(501, "5.5.4", "HOLDUNTIL takes a time like 2030-01-31T08:00:00Z") from None


def parse_priority(value: str | None) -> int:
    """Read MT-PRIORITY: a number from -9 to 9 (RFC 6710 §4.1).

    Raises:
        CommandFault: It cannot be taken.
    """
    if not value or not _PRIORITY.fullmatch(value) or value == "-0":
        raise fault(501, "5.5.2", "MT-PRIORITY takes a number from -9 to 9")
    return int(value)
