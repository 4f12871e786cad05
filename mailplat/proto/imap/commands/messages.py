"""Commands that read, change, copy and remove messages of the open mailbox (RFC 9051 §6.4).

The messages are named by a `SequenceSet` as the client wrote it; what it stands for is for the
session's view to say, at the moment when the command begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mailplat.model.flags import FlagAction
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.fetch_items import Attribute, FetchItem
from mailplat.proto.imap.sets import PartialRange, SequenceSet

__all__ = [
    "Copy",
    "Expunge",
    "Fetch",
    "Move",
    "Store",
]


@dataclass(frozen=True, slots=True)
class Expunge(Command):
    r"""Remove messages with ``\Deleted`` (RFC 9051 §6.4.3).

    Attributes:
        uids: Only these, for UID EXPUNGE (§6.4.9); None for all.
    """

    tells_itself: ClassVar[bool] = True

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Fetch(Command):
    """Read data of messages (RFC 9051 §6.4.5).

    Attributes:
        numbers: Which messages.
        uid: Whether these are UIDs.
        items: What of them, each once, UID first, else in the order asked; UID is there
            for UID FETCH, MODSEQ for CHANGEDSINCE, asked for or not.
        changed_since: Only messages with a higher MODSEQ (RFC 7162 §3.1.4.1).
        vanished: Tell also which of the UIDs are gone since (RFC 7162 §3.2.6).
        partial: Only this page of the messages (RFC 9394 §3.3).
    """

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool
    items: tuple[FetchItem, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: PartialRange | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only UID FETCH (RFC 9051 §7.5.1)."""
        return self.uid

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return Attribute.MODSEQ in self.items


@dataclass(frozen=True, slots=True)
class Store(Command):
    """Change flags (RFC 9051 §6.4.6).

    Attributes:
        numbers: Which messages.
        uid: Whether these are UIDs.
        action: How.
        flags: Which flags.
        silent: Whether the new flags need not be told.
        unchanged_since: Only messages whose MODSEQ is not higher (RFC 7162 §3.1.3).
    """

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool
    action: FlagAction
    flags: frozenset[str]
    silent: bool = False
    unchanged_since: int | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only UID STORE (RFC 9051 §7.5.1)."""
        return self.uid

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return self.unchanged_since is not None


@dataclass(frozen=True, slots=True)
class Copy(Command):
    """Copy messages to a mailbox (RFC 9051 §6.4.7)."""

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move(Command):
    """Move messages to a mailbox (RFC 9051 §6.4.8)."""

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool
    mailbox: str
