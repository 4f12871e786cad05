"""What a store may offer to whoever looks after it: to find what is wrong, and to mend it.

Most of that works for every store through `IStore`; here is what only the store itself can know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import Enum

from zope.interface import Interface

from mailplat.message.scan import ScanLimits
from mailplat.model.numset import NumSet

__all__ = ["Fault", "FaultKind", "IRepairable"]


class FaultKind(Enum):
    """What is wrong, by what mends it."""

    COUNT = "count"  # a counter differs from what it counts: count again
    SUMMARY = "summary"  # a summary is missing, old or wrong: make it from the bytes
    BODY = "body"  # bytes are missing or damaged: remove the message, or restore a backup
    BLOB = "blob"  # the same of a large body that messages share: find it again, else the same
    LEFTOVER = "leftover"  # rows that belong to nothing: remove them
    SEARCH = "search"  # the search index misses something: build it anew
    DATABASE = "database"  # the database itself is damaged: restore a backup


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: By what mends it.
        what: In words, for the operator.
        account: Whose mail; ``""`` for the store as a whole.
        mailbox: Which mailbox; ``""`` for all of them.
        uid: Which message; 0 for the mailbox as a whole.
    """

    kind: FaultKind
    what: str
    account: str = ""
    mailbox: str = ""
    uid: int = 0

    def __str__(self) -> str:
        where = "/".join(word for word in (self.account, self.mailbox) if word) or "store"
        return f"{where}{f' UID {self.uid}' if self.uid else ''}: {self.what}"


class IRepairable(Interface):
    """An ability that an `IStore` may have."""

    def store_faults() -> Awaitable[Sequence[Fault]]:
        """Look at what belongs to no account in particular."""

    def faults(account: str) -> Awaitable[Sequence[Fault]]:
        """Look at counters and summaries of one home; reads no bodies."""

    def recount(account: str) -> Awaitable[None]:
        """Set a home's counters to what they count."""

    def summarize(
        account: str, mailbox: str, uids: NumSet, limits: ScanLimits
    ) -> Awaitable[NumSet]:
        """Make messages' summaries anew from their bytes.

        Handles that are open at the time may go on showing the old ones.

        Returns:
            Those whose bytes could be read.
        """

    def sweep() -> Awaitable[int]:
        """Remove rows that belong to nothing; tell how many."""
