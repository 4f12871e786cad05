"""What SEARCH, SORT and THREAD look for, as a tree of frozen nodes (RFC 9051 §6.4.4).

The parser folds spellings that mean the same: ``UNSEEN`` is `Not` of `HasFlag`, ``NEW`` is
`And` of `Recent` and that, ``FROM x`` is `HeaderHas`.  `And` and `Or` are never nested straight
in themselves, so the depth of a tree is bounded by the parser's limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum

from mailplat.proto.imap.sets import SequenceSet

__all__ = [
    "All",
    "And",
    "BodyHas",
    "DateIs",
    "DateOf",
    "EmailId",
    "HasFlag",
    "HeaderHas",
    "Larger",
    "ModSeq",
    "Not",
    "Numbers",
    "Older",
    "Or",
    "Recent",
    "SaveDateSupported",
    "SearchKey",
    "Smaller",
    "TextHas",
    "ThreadId",
    "When",
    "Younger",
    "walk",
]


class SearchKey:
    """A node of the tree; a plugin's own keys derive from it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class All(SearchKey):
    """Every message."""


@dataclass(frozen=True, slots=True)
class And(SearchKey):
    """Messages that match all of the keys; there are at least two."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or(SearchKey):
    """Messages that match one of the keys; there are at least two."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Not(SearchKey):
    """Messages that do not match."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class HasFlag(SearchKey):
    r"""Messages with a flag: a system flag as `model.flags` spells it, or a keyword."""

    flag: str


@dataclass(frozen=True, slots=True)
class Recent(SearchKey):
    r"""Messages that are ``\Recent`` in this session (RFC 3501 §6.4.4)."""


@dataclass(frozen=True, slots=True)
class HeaderHas(SearchKey):
    """Messages with a header field of that name that contains the text.

    ``BCC, CC, FROM, SUBJECT, TO`` are this too.

    Attributes:
        name: As the client wrote it, or ``Bcc, Cc, From, Subject, To``.
        text: Compared without regard to case; ``""`` matches any message that has the field.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyHas(SearchKey):
    """Messages whose body contains the text (decoded, RFC 9051 §6.4.4)."""

    text: str


@dataclass(frozen=True, slots=True)
class TextHas(SearchKey):
    """Messages whose header or body contains the text."""

    text: str


class DateOf(Enum):
    """Which date of a message is meant."""

    INTERNAL = "INTERNALDATE"
    SENT = "Date field"
    SAVED = "SAVEDATE"


class When(Enum):
    """How it compares, time of day and zone disregarded."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@dataclass(frozen=True, slots=True)
class DateIs(SearchKey):
    """Messages with a date before, on, or on or after a day (RFC 9051 §6.4.4, RFC 8514 §4.3)."""

    of: DateOf
    when: When
    day: date


@dataclass(frozen=True, slots=True)
class Larger(SearchKey):
    """Messages of more bytes than this."""

    size: int


@dataclass(frozen=True, slots=True)
class Smaller(SearchKey):
    """Messages of fewer bytes than this."""

    size: int


@dataclass(frozen=True, slots=True)
class Older(SearchKey):
    """Messages whose INTERNALDATE is at least so many seconds ago (RFC 5032 §2)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Younger(SearchKey):
    """Messages whose INTERNALDATE is at most so many seconds ago (RFC 5032 §2)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Numbers(SearchKey):
    """Messages in a set.

    Attributes:
        numbers: Sequence numbers, or UIDs.
        uid: Whether they are UIDs.  ``$`` is the same either way.
    """

    numbers: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class ModSeq(SearchKey):
    """Messages with this MODSEQ or a higher one (RFC 7162 §3.1.5).

    An entry name and type may be given; a server with one MODSEQ a message passes over them.
    """

    modseq: int


@dataclass(frozen=True, slots=True)
class EmailId(SearchKey):
    """The message of that EMAILID (RFC 8474 §6)."""

    object_id: str


@dataclass(frozen=True, slots=True)
class ThreadId(SearchKey):
    """Messages of that THREADID (RFC 8474 §6)."""

    object_id: str


@dataclass(frozen=True, slots=True)
class SaveDateSupported(SearchKey):
    """Every message, if the mailbox keeps save dates; else none (RFC 8514 §4.3)."""


def walk(key: SearchKey) -> Iterator[SearchKey]:
    """Give a key and all keys below it."""
    waiting = [key]
    while waiting:
        key = waiting.pop()
        yield key
        if isinstance(key, (And, Or)):
            waiting.extend(key.keys)
        elif isinstance(key, Not):
            waiting.append(key.key)
