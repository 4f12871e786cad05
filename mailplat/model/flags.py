r"""Flags as bits of an integer, so that a mailbox of them is an array.

Bits 0 to 4 are the system flags (RFC 9051 §2.3.2); bit 5 + i is keyword i of a mailbox's own
table, which only ever grows.  ``\\Recent`` is no flag of a message but of a session
(RFC 3501 §2.3.2): it never stands in a mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

__all__ = [
    "ANSWERED",
    "DELETED",
    "DRAFT",
    "FIRST_KEYWORD",
    "FLAGGED",
    "SEEN",
    "SYSTEM_FLAGS",
    "FlagAction",
    "flag_names",
    "flag_wire",
    "is_keyword",
]

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16

SYSTEM_FLAGS: dict[str, int] = {
    "\\Seen": SEEN,
    "\\Answered": ANSWERED,
    "\\Flagged": FLAGGED,
    "\\Deleted": DELETED,
    "\\Draft": DRAFT,
}
"""Each system flag as it is spelled, with its bit, in the order they are listed."""

FIRST_KEYWORD = 5
"""The number of the first keyword's bit."""

_KEYWORD = re.compile(r'[^\x00-\x20\x7f-\U0010ffff(){%*"\\\]]{1,255}')


class FlagAction(Enum):
    """How STORE changes flags (RFC 9051 §6.4.6)."""

    ADD = "+FLAGS"
    REMOVE = "-FLAGS"
    REPLACE = "FLAGS"


def is_keyword(name: str) -> bool:
    """Whether a keyword may be spelled so: an IMAP atom (RFC 9051 §9 flag-keyword)."""
    return _KEYWORD.fullmatch(name) is not None


def flag_names(mask: int, keywords: Sequence[str]) -> tuple[str, ...]:
    """Name the flags of a mask, given the mailbox's keywords."""
    return tuple(_names(mask, keywords))


def flag_wire(mask: int, keywords: Sequence[str]) -> bytes:
    r"""Spell the flags of a mask as they stand between FLAGS' parentheses: ``\Seen $Junk``."""
    return " ".join(_names(mask, keywords)).encode("ascii")


def _names(mask: int, keywords: Sequence[str]) -> Iterable[str]:
    for name, bit in SYSTEM_FLAGS.items():
        if mask & bit:
            yield name
    rest = mask >> FIRST_KEYWORD
    index = 0
    while rest:
        if rest & 1:
            yield keywords[index]
        rest >>= 1
        index += 1
