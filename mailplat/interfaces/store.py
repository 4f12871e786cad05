"""What mailplat asks of a message store.

`IStore` -> `IHome` (one account) -> `IMailbox` (one open mailbox) -> its messages, as columns.

Rules for every implementation; `mailplat.testing.stores` tests each of them:

1. UIDs ascend strictly and are never given twice within a UIDVALIDITY, not even after an expunge
   or a crash.  UIDVALIDITY changes only when UIDs could lie; a mailbox made again under an old
   name gets a higher one (RFC 9051 §2.3.1.1).
2. A home has one MODSEQ counter.  Every change to any of its mailboxes takes a higher value, and
   `IMailbox.changes_since` answers from that one log.
3. One call is one transaction: when its awaitable fires, the change survives a crash; when it
   fails, nothing of it happened (but see `IMailbox.expunge`).
4. After the change is durable, and in MODSEQ order, everybody who watches is told that there is
   something new, while no lock is held.  What is new they ask for; so being told twice or late
   harms nobody, and a slow watcher holds up no writer.
5. A quota that would be passed raises `OverQuota`, and nothing is stored.
6. The bytes of an expunged message can be read until every mailbox handle that was open at the
   time has acknowledged the change, or was closed.
7. Mailbox names are checked by `model.mailbox.normal_name`; no name reaches outside its home.

Every awaitable may also raise `Unavailable`, and `Corrupt` where stored data contradicts itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from zope.interface import Attribute, Interface

from mailplat.interfaces.bodies import IBody
from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import (
    Appended,
    Copied,
    MailboxInfo,
    MailboxStatus,
    QuotaLimit,
    QuotaUsage,
    SpecialUse,
)
from mailplat.model.numset import NumSet
from mailplat.model.summary import Summary

__all__ = [
    "BodyRange",
    "Column",
    "Folder",
    "IHome",
    "IHomeLease",
    "IMailbox",
    "IStore",
    "IWatch",
    "MailboxState",
    "NewMessage",
    "Rows",
    "Target",
]


class Column(Enum):
    """What can be asked of many messages at once, and what a row of it holds."""

    FLAGS = "flags"  # int: a mask, see model.flags
    MODSEQ = "modseq"  # int
    SIZE = "size"  # int: bytes
    DATE = "date"  # int: INTERNALDATE, seconds since 1970 UTC
    SAVED = "saved"  # int: SAVEDATE, seconds since 1970 UTC (RFC 8514)
    SENT = "sent"  # int | None: the Date field, seconds since 1970 UTC
    HEADER = "header"  # bytes: the whole header with its empty line, whatever its size
    ENVELOPE = "envelope"  # bytes, ready for the wire
    BODY = "body"  # bytes, ready for the wire
    BODYSTRUCTURE = "bodystructure"  # bytes, ready for the wire
    PARTS = "parts"  # bytes: message.parts' packed table
    PREVIEW = "preview"  # str
    EMAIL_ID = "email_id"  # str: the same for copies of one message (RFC 8474 §5.1)
    MESSAGE_ID = "message_id"  # str
    REFERENCES = "references"  # tuple[str, ...]
    BASE_SUBJECT = "base_subject"  # str
    NUL = "nul"  # bool: whether the body holds a NUL


@dataclass(frozen=True, slots=True)
class NewMessage:
    r"""A message to be stored.

    Attributes:
        body: Its bytes, with CRLF line ends as they came; the store does not close it.
        summary: What `message.summary` made of them.
        flags: System flags and keywords; never ``\\Recent``.
        date: INTERNALDATE, seconds since 1970 UTC.
    """

    body: IBody
    summary: Summary
    flags: frozenset[str]
    date: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivered message goes.

    Attributes:
        account: The account's name.
        mailbox: The mailbox; made (and subscribed) if it is not there.
        flags: Given to this copy besides the message's own.
    """

    account: str
    mailbox: str = "INBOX"
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Folder:
    """A mailbox that every new home begins with, subscribed."""

    name: str
    special_use: SpecialUse | None = None


@dataclass(frozen=True, slots=True)
class MailboxState:
    """An open mailbox at one moment, all of it at the same MODSEQ.

    Attributes:
        uids: The UIDs of all messages, ascending; the caller's own, never changed by the
            store afterwards.  An ``array('I')`` where the store can.
        uid_next: Higher than every UID given so far.
        modseq: Where `IMailbox.changes_since` goes on from.
        recent_uid: Messages from this UID on are recent to the caller (RFC 3501 §2.3.2).
    """

    uids: Sequence[int]
    uid_next: int
    modseq: int
    recent_uid: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of some messages.

    Attributes:
        uids: Those of the messages asked for that are there, ascending.
        columns: For each column asked for a sequence as long as ``uids``, row for row.
    """

    uids: Sequence[int]
    columns: Mapping[Column, Sequence[Any]]

    def __getitem__(self, column: Column) -> Sequence[Any]:
        return self.columns[column]


@dataclass(frozen=True, slots=True)
class BodyRange:
    """Bytes of one message: from ``start`` to before ``stop``; cut at the message's end."""

    uid: int
    start: int
    stop: int


class IWatch(Interface):
    """A standing request to be told of changes."""

    def stop() -> None:
        """Tell no more, from now on.  Twice is no error."""


class IHomeLease(Interface):
    """The exclusive right to a home's maildrop (RFC 1939 §4)."""

    def release() -> None:
        """Give it back.  Twice is no error."""


class IMailbox(Interface):
    """One mailbox, opened by one session (RFC 9051 §2.3).

    Handles of the same mailbox do not disturb each other.  UIDs that are not there are passed
    over by every method.

    Conformance: `mailplat.testing.stores.MailboxContract`.
    """

    name: str = Attribute("The name it was opened by.")
    mailbox_id: str = Attribute("Stays the same through RENAME (RFC 8474 §4).")
    uid_validity: int = Attribute("Fixed while the handle is open.")
    keywords: Sequence[str] = Attribute(
        "Keyword i is bit 5 + i of a mask.  Only ever grows; read it again after each call."
    )

    def state(claim_recent: bool) -> Awaitable[MailboxState]:
        """Tell what is in the mailbox now.

        Args:
            claim_recent: Take the recent messages: no later caller sees them as recent, unless
                nothing can be written at the moment.
        """

    def rows(uids: Sequence[int] | NumSet, columns: Collection[Column]) -> Awaitable[Rows]:
        """Read columns of messages, in blocks.

        Give an ascending sequence (a slice of a view is quickest) or a set.  FLAGS, MODSEQ,
        SIZE and DATE of an open mailbox come from memory; no column but an oversized HEADER
        opens a body.
        """

    def bodies(ranges: Sequence[BodyRange]) -> Awaitable[Sequence[bytes | None]]:
        """Read bytes of messages, many at once; None for a message that is gone.

        The caller bounds the sum.  See rule 6 for expunged messages.

        Raises:
            Corrupt: The bytes of one are missing or damaged; ask one by one to find which.
        """

    def store_flags(
        uids: NumSet, action: FlagAction, flags: Collection[str], unchanged_since: int | None
    ) -> Awaitable[FlagsStored]:
        """Change the flags of messages (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

        Where nothing changes, no MODSEQ is taken.

        Raises:
            LimitReached: The mailbox takes no more keywords; nothing was changed.
        """

    def expunge(uids: NumSet) -> Awaitable[NumSet]:
        """Remove messages for good, whatever their flags; tell which were there.

        Thousands of them may go in several transactions, the lowest UIDs first, so that others
        who write have their turn: if it fails, some of them may be gone.
        """

    def copy(uids: NumSet, target: str) -> Awaitable[Copied]:
        """Copy messages with their flags and dates to a mailbox of the same home.

        Raises:
            NoSuchMailbox: There is no such target.
            OverQuota: Nothing was copied.
        """

    def move(uids: NumSet, target: str) -> Awaitable[Copied]:
        """Move messages: each is in exactly one of both mailboxes at any time (RFC 6851).

        Where the target is this mailbox, they get new UIDs at its end, likewise in one step
        (RFC 6851 §3.3).

        Raises:
            NoSuchMailbox: There is no such target.
        """

    def changes_since(modseq: int) -> Awaitable[Changes]:
        """Tell what changed after a MODSEQ that this mailbox once had.

        A message that came and went since is in ``vanished`` alone.  A MODSEQ too old for
        the log's memory gives a larger answer, never a wrong one (RFC 7162 §3.2.10.2).
        """

    def acknowledge(modseq: int) -> None:
        """This handle's owner shows no message any more that vanished up to here (rule 6)."""

    def watch(tell: Callable[[], None]) -> IWatch:
        """Call ``tell`` in the reactor's thread whenever there may be something new.

        Several changes may be told as one.  ``tell`` returns at once and raises nothing.
        It is also called when the mailbox is deleted: then `changes_since` raises
        `NoSuchMailbox`.
        """

    def close() -> None:
        """The handle is used no more.  Twice is no error."""


class IHome(Interface):
    """All mail of one account.

    Conformance: `mailplat.testing.stores.HomeContract`.
    """

    account: str = Attribute("The account's name.")

    def mailboxes() -> Awaitable[Sequence[MailboxInfo]]:
        """List all mailboxes, INBOX first, then by name.

        Levels that exist only through what is below them, and subscribed names that are
        gone, are in the list too, as not existing.
        """

    def status(names: Collection[str]) -> Awaitable[Mapping[str, MailboxStatus]]:
        """Count mailboxes without opening them; names that do not exist are left out."""

    def open_mailbox(name: str) -> Awaitable[IMailbox]:
        """Open a mailbox; the caller closes it.

        Raises:
            NoSuchMailbox: There is none of that name.
        """

    def create(name: str, special_use: Collection[SpecialUse]) -> Awaitable[str]:
        """Make a mailbox and give its MAILBOXID; levels above it need not exist.

        Raises:
            AlreadyExists: There is one of that name.
            Cannot: The name cannot be (see `model.mailbox.normal_name`).
        """

    def delete(name: str) -> Awaitable[None]:
        """Remove a mailbox and its messages; what is below it stays (RFC 9051 §6.3.5).

        Raises:
            NoSuchMailbox: There is none of that name.
            Cannot: It is INBOX.
        """

    def rename(old: str, new: str) -> Awaitable[None]:
        """Rename a mailbox and all below it; subscriptions stay as they are.

        Renaming INBOX moves its messages into a new mailbox and leaves INBOX empty
        (RFC 9051 §6.3.6).

        Raises:
            NoSuchMailbox: There is none of the old name.
            AlreadyExists: There is one of the new name.
            Cannot: The new name cannot be, or lies below the old one.
        """

    def subscribe(name: str) -> Awaitable[None]:
        """Put a name on the subscription list, whether or not there is such a mailbox."""

    def unsubscribe(name: str) -> Awaitable[None]:
        """Take a name off the subscription list; one that is not on it is no error."""

    def append(name: str, messages: Sequence[NewMessage]) -> Awaitable[Appended]:
        """Store messages, all or none (RFC 3502).

        Raises:
            NoSuchMailbox: There is none of that name.
            OverQuota: Nothing was stored.
            StorageFull: Nothing was stored.
            LimitReached: The mailbox takes no more keywords; nothing was stored.
        """

    def usage() -> Awaitable[QuotaUsage]:
        """Tell what the account keeps; exact, never drifting."""

    def limit() -> Awaitable[QuotaLimit]:
        """Tell what the account may keep."""

    def set_limit(limit: QuotaLimit) -> Awaitable[None]:
        """Change what the account may keep; less than it keeps now is no error."""

    def lease_maildrop() -> Awaitable[IHomeLease]:
        """Take the exclusive right to the maildrop.

        Raises:
            InUse: Another session has it.
        """

    def watch(tell: Callable[[str], None]) -> IWatch:
        """Call ``tell`` with a mailbox's name whenever something changed there.

        Also when a mailbox of that name came, went or was renamed.  As for
        `IMailbox.watch` otherwise.
        """


class IStore(Interface):
    """Everybody's mail.

    Conformance: `mailplat.testing.stores.StoreContract`.
    """

    def open() -> Awaitable[None]:
        """Make ready, and mend what a crash left half done.

        Raises:
            ConfigurationFault: The store cannot be used; the reason says the remedy.
        """

    def close() -> Awaitable[None]:
        """Finish what is under way, and let go of everything."""

    def open_home(account: str) -> Awaitable[IHome]:
        """Give an account's home; never to be closed.

        The first time it is made, with INBOX and the store's folders; later calls are cheap.
        """

    def accounts() -> Awaitable[Sequence[str]]:
        """Name the accounts that have a home, sorted."""

    def delete_home(account: str) -> Awaitable[None]:
        """Remove all mail of an account.  None there is no error."""

    def deliver(message: NewMessage, targets: Sequence[Target]) -> Awaitable[Sequence[Appended]]:
        """Store one message for many, all or none; the answers are in the targets' order.

        Concurrent calls share one flush (group commit).  A mailbox or a home that is
        missing is made.

        Raises:
            OverQuota: Nothing was stored; the reason names the accounts.
            StorageFull: Nothing was stored.
        """
