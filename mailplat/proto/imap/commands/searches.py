"""Commands that find messages: SEARCH, SORT and THREAD (RFC 9051 §6.4.4, RFC 5256).

What is to be found is one `SearchKey`; what is told of it is a `SearchReturn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.search_keys import ModSeq, Numbers, SearchKey, walk
from mailplat.proto.imap.sets import PartialRange

__all__ = [
    "Search",
    "SearchRefused",
    "SearchReturn",
    "Sort",
    "SortCriterion",
    "SortKey",
    "Thread",
]


@dataclass(frozen=True, slots=True)
class SearchReturn:
    """What is told of the messages found (RFC 9051 §6.4.4, RFC 9394).

    ``RETURN ()`` means ``all``.  With ``save`` alone nothing is told.
    """

    minimum: bool = False
    maximum: bool = False
    everything: bool = False
    count: bool = False
    save: bool = False
    partial: PartialRange | None = None


@dataclass(frozen=True, slots=True)
class Search(Command):
    """Find messages (RFC 9051 §6.4.4).

    Attributes:
        uid: Whether it was UID SEARCH: the answer speaks of UIDs.
        key: What they must match.
        returns: What to tell, by ESEARCH; None for a plain SEARCH response.
    """

    tells_itself: ClassVar[bool] = True

    uid: bool
    key: SearchKey
    returns: SearchReturn | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 7162 §3.2.10.2)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


@dataclass(frozen=True, slots=True)
class SearchRefused(Command):
    """A SEARCH or SORT with SAVE that can only be answered NO: ``$`` is forgotten (RFC 5182 §2.1).

    Attributes:
        text: What to answer.
        code: Its response code.
    """

    tells_itself: ClassVar[bool] = True

    text: str
    code: str


class SortKey(Enum):
    """What messages are put in order by (RFC 5256 §3, RFC 5957)."""

    ARRIVAL = "ARRIVAL"
    CC = "CC"
    DATE = "DATE"
    FROM = "FROM"
    SIZE = "SIZE"
    SUBJECT = "SUBJECT"
    TO = "TO"
    DISPLAYFROM = "DISPLAYFROM"
    DISPLAYTO = "DISPLAYTO"


@dataclass(frozen=True, slots=True)
class SortCriterion:
    """A key, and whether its order is turned round."""

    key: SortKey
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort(Command):
    """Find messages and put them in order (RFC 5256 §3); ``returns`` as in `Search` (RFC 5267)."""

    tells_itself: ClassVar[bool] = True

    uid: bool
    criteria: tuple[SortCriterion, ...]
    key: SearchKey
    returns: SearchReturn | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 5256 §3)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


@dataclass(frozen=True, slots=True)
class Thread(Command):
    """Find messages and hang them together (RFC 5256 §3).

    Attributes:
        algorithm: In capitals; whether it is known is for the session to say.
    """

    tells_itself: ClassVar[bool] = True

    uid: bool
    algorithm: str
    key: SearchKey

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 5256 §3)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


def _has_sequence_numbers(key: SearchKey) -> bool:
    return any(
        isinstance(part, Numbers) and not part.uid and not part.numbers.saved for part in walk(key)
    )
