"""Mailboxes: their names, what they tell of themselves, what a message in one is called.

A mailbox name is text whose levels are separated by ``/``; INBOX is one name however it is
written (RFC 9051 §5.1), as a whole or as the first level.  How a name looks on the wire
(modified UTF-7, other separators) or on disk is the business of `proto.imap` and of a store.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from mailplat.model.errors import Cannot

__all__ = [
    "INBOX",
    "MAX_LEVELS",
    "MAX_NAME_BYTES",
    "SEPARATOR",
    "Appended",
    "Copied",
    "MailboxInfo",
    "MailboxStatus",
    "QuotaLimit",
    "QuotaUsage",
    "SpecialUse",
    "ancestors",
    "normal_name",
]

INBOX = "INBOX"
SEPARATOR = "/"

MAX_LEVELS = 50
"""Levels of a name (Dovecot allows 16, Cyrus about 60)."""

MAX_NAME_BYTES = 1000
"""Bytes of a name in UTF-8 (Dovecot: 4096; Cyrus: 490)."""


class SpecialUse(StrEnum):
    """What a mailbox is for (RFC 6154 §2)."""

    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"


def normal_name(name: str) -> str:
    """Check a mailbox name and give it its one spelling.

    INBOX gets its capitals, as a whole and as the first level; Unicode becomes NFC
    (RFC 5198 §3, asked for by RFC 9051 §5.1).

    Raises:
        Cannot: The name is empty, too long or too deep, or has an empty level, a control
            character or a level ``.`` or ``..``.
    """
    name = unicodedata.normalize("NFC", name)
    levels = name.split(SEPARATOR)
    if len(levels) > MAX_LEVELS or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise Cannot(public="Mailbox name too long or too deep")
    for level in levels:
        if not level:
            raise Cannot(public="Mailbox name has an empty level")
        if level in {".", ".."}:
            raise Cannot(public="Mailbox name has a level that looks like a path")
        if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in level):
            raise Cannot(public="Mailbox name has a control character")
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    return SEPARATOR.join(levels)


def ancestors(name: str) -> list[str]:
    """Name the mailboxes above one, the topmost first."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:depth]) for depth in range(1, len(levels))]


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    r"""A row of LIST.

    Attributes:
        name: In its normal spelling.
        exists: False for a level that only has mailboxes below it, or for a name that is
            subscribed but gone (RFC 9051 §7.3.1 ``\NonExistent``).
        subscribed: Whether it is on the subscription list.
        special_use: What it is for.
        mailbox_id: Its MAILBOXID (RFC 8474 §4); ``""`` if it does not exist.
    """

    name: str
    exists: bool = True
    subscribed: bool = False
    special_use: frozenset[SpecialUse] = frozenset()
    mailbox_id: str = ""


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    r"""What STATUS tells (RFC 9051 §6.3.11).

    Attributes:
        messages: How many there are.
        unseen: How many are without ``\\Seen``.
        deleted: How many have ``\\Deleted``.
        recent: How many no session has claimed (RFC 3501 §2.3.2).
        uid_next: Higher than every UID given so far.
        uid_validity: Fixed while UIDs keep their meaning.
        highest_modseq: No change to the mailbox is newer (RFC 7162 §3.1.2.1).
        size: Sum of the messages' sizes, in bytes (RFC 8438).
        mailbox_id: MAILBOXID (RFC 8474 §4.3).
    """

    messages: int
    unseen: int
    deleted: int
    recent: int
    uid_next: int
    uid_validity: int
    highest_modseq: int
    size: int
    mailbox_id: str


@dataclass(frozen=True, slots=True)
class Appended:
    """Where new messages went: their UIDs, in the order given (RFC 4315 §3 APPENDUID)."""

    uid_validity: int
    uids: tuple[int, ...]
    modseq: int


@dataclass(frozen=True, slots=True)
class Copied:
    """Which messages became which (RFC 4315 §3 COPYUID).

    Attributes:
        uid_validity: The target's.
        sources: UIDs that were there to be copied, ascending.
        targets: Their new UIDs, ascending, one for one.
        modseq: The target's change.
    """

    uid_validity: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    modseq: int


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """What an account may keep; None is without limit (RFC 9208 §5).

    Attributes:
        storage: Bytes.
        messages: Messages.
    """

    storage: int | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """What an account keeps: bytes and messages, in all its mailboxes."""

    storage: int
    messages: int
