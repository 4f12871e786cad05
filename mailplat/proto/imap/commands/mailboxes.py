"""Commands about mailboxes as wholes: opened and closed, made, listed, counted (RFC 9051 §6.3).

Names are decoded text, as `model.mailbox.normal_name` leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from mailplat.model.mailbox import SpecialUse
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.event import Command

__all__ = [
    "Check",
    "Close",
    "Create",
    "Delete",
    "GetQuota",
    "GetQuotaRoot",
    "List",
    "ListReturn",
    "ListSelect",
    "Lsub",
    "Namespace",
    "Qresync",
    "Rename",
    "Select",
    "SetQuota",
    "Status",
    "StatusItem",
    "Subscribe",
    "Unselect",
    "Unsubscribe",
    "Xlist",
]


@dataclass(frozen=True, slots=True)
class Qresync:
    """What a client remembers of a mailbox (RFC 7162 §3.2.5).

    Attributes:
        uid_validity: Of the mailbox then.
        modseq: The last it knows of.
        known_uids: Messages it remembers; None if it did not say (then all).
        known_numbers: With ``known_number_uids``: some of its sequence numbers and their UIDs,
            both ascending.
    """

    uid_validity: int
    modseq: int
    known_uids: NumSet | None = None
    known_numbers: NumSet = NumSet()
    known_number_uids: NumSet = NumSet()


@dataclass(frozen=True, slots=True)
class Select(Command):
    """Open a mailbox (RFC 9051 §6.3.2), or EXAMINE it (§6.3.3).

    Attributes:
        mailbox: Its name.
        read_only: Whether it was EXAMINE.
        condstore: Whether CONDSTORE was asked for (RFC 7162 §3.1.8).
        qresync: What the client remembers; only after ENABLE QRESYNC.
    """

    tells_itself: ClassVar[bool] = True

    mailbox: str
    read_only: bool = False
    condstore: bool = False
    qresync: Qresync | None = None

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return self.condstore


@dataclass(frozen=True, slots=True)
class Check(Command):
    """Have the mailbox written down (RFC 3501 §6.4.1)."""


@dataclass(frozen=True, slots=True)
class Close(Command):
    """Expunge in silence, and close the mailbox (RFC 9051 §6.4.1)."""

    tells_itself: ClassVar[bool] = True

    @property
    def tells_expunge(self) -> bool:
        """Nothing is told while a mailbox closes."""
        return False


@dataclass(frozen=True, slots=True)
class Unselect(Command):
    """Close the mailbox and expunge nothing (RFC 9051 §6.4.2)."""

    tells_itself: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Create(Command):
    """Make a mailbox (RFC 9051 §6.3.4, RFC 6154 §3); a separator at the name's end is gone."""

    mailbox: str
    special_use: frozenset[SpecialUse] = frozenset()


@dataclass(frozen=True, slots=True)
class Delete(Command):
    """Remove a mailbox (RFC 9051 §6.3.5)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename(Command):
    """Rename a mailbox (RFC 9051 §6.3.6)."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Subscribe(Command):
    """Put a name on the subscription list (RFC 9051 §6.3.7)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command):
    """Take a name off the subscription list (RFC 9051 §6.3.8)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Namespace(Command):
    """Which namespaces are there? (RFC 2342)."""


class StatusItem(Enum):
    """What STATUS can tell (RFC 9051 §6.3.11, RFC 7162, 7889, 8438, 8474, 9208)."""

    MESSAGES = "MESSAGES"
    RECENT = "RECENT"
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    DELETED = "DELETED"
    DELETED_STORAGE = "DELETED-STORAGE"
    SIZE = "SIZE"
    HIGHESTMODSEQ = "HIGHESTMODSEQ"
    MAILBOXID = "MAILBOXID"
    APPENDLIMIT = "APPENDLIMIT"


@dataclass(frozen=True, slots=True)
class Status(Command):
    """Count a mailbox without opening it (RFC 9051 §6.3.11)."""

    mailbox: str
    items: tuple[StatusItem, ...]

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return StatusItem.HIGHESTMODSEQ in self.items


class ListSelect(Enum):
    """Which mailboxes LIST is about (RFC 5258 §3.1, RFC 6154 §2)."""

    SUBSCRIBED = "SUBSCRIBED"
    REMOTE = "REMOTE"
    RECURSIVEMATCH = "RECURSIVEMATCH"
    SPECIAL_USE = "SPECIAL-USE"


class ListReturn(Enum):
    """What LIST tells of them (RFC 5258 §3.2, RFC 6154 §2)."""

    SUBSCRIBED = "SUBSCRIBED"
    CHILDREN = "CHILDREN"
    SPECIAL_USE = "SPECIAL-USE"


@dataclass(frozen=True, slots=True)
class List(Command):
    r"""List mailboxes (RFC 9051 §6.3.9).

    Attributes:
        reference: Goes in front of each pattern; decoded text.
        patterns: Decoded text with ``%`` and ``*``; a single ``""`` asks for the separator
            (unless ``extended``, where it matches nothing: RFC 5258 §3).
        select: Which mailboxes.
        returns: What of them.
        status: STATUS of each that can be selected (RFC 5819); ``()`` if not asked for.
        extended: Whether any of the extended syntax was used (RFC 5258 §3).
    """

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[ListSelect] = frozenset()
    returns: frozenset[ListReturn] = frozenset()
    status: tuple[StatusItem, ...] = ()
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Lsub(Command):
    """List the subscribed names (RFC 3501 §6.3.9)."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Xlist(Command):
    """List mailboxes with their uses, as clients asked before RFC 6154."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class GetQuota(Command):
    """What does a quota root hold? (RFC 9208 §4.1.1)."""

    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot(Command):
    """Which quota roots has a mailbox? (RFC 9208 §4.1.2)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota(Command):
    """Limit a quota root (RFC 9208 §4.1.3): resource names in capitals, with their limits."""

    root: str
    limits: tuple[tuple[str, int], ...]
