"""The index's rows as values.

A `HomeRow` and a `MailboxRow` belong to the writer's thread, which changes them in place while a
transaction runs; what leaves that thread is a copy that nobody changes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mailplat.model.mailbox import MailboxStatus, QuotaLimit, QuotaUsage

__all__ = ["HomeRow", "MailboxRow", "MessageRow"]


@dataclass(slots=True)
class HomeRow:
    """One account's home.

    Attributes:
        id: Never given twice.
        account: The account's name.
        modseq: The newest MODSEQ given in this home.
        storage: Bytes of all messages.
        messages: Number of all messages.
        limited: Whether somebody set its limit; if not, the store's own holds.
        storage_limit: Bytes it may keep; None is without limit.
        messages_limit: Messages it may keep; None is without limit.
    """

    id: int
    account: str
    modseq: int
    storage: int
    messages: int
    limited: int
    storage_limit: int | None
    messages_limit: int | None

    def copy(self) -> HomeRow:
        """Take a copy that leaves the writer."""
        return HomeRow(
            self.id,
            self.account,
            self.modseq,
            self.storage,
            self.messages,
            self.limited,
            self.storage_limit,
            self.messages_limit,
        )

    @property
    def usage(self) -> QuotaUsage:
        """What it keeps."""
        return QuotaUsage(self.storage, self.messages)

    def limit(self, otherwise: QuotaLimit) -> QuotaLimit:
        """What it may keep, where nobody set a limit: the store's."""
        if self.limited:
            return QuotaLimit(self.storage_limit, self.messages_limit)
        return otherwise


@dataclass(slots=True)
class MailboxRow:
    r"""One mailbox with its counters, all exact.

    Attributes:
        id: Never given twice.
        home: The home's id.
        name: In its normal spelling.
        mailbox_id: MAILBOXID.
        uid_validity: Unlike every other given in this store.
        uid_next: Higher than every UID given.
        modseq: No change to the mailbox is newer.
        recent_uid: Messages from this UID on were not claimed as recent.
        messages: How many there are.
        recent: How many have a UID of at least ``recent_uid``.
        unseen: How many are without ``\Seen``.
        deleted: How many have ``\Deleted``.
        size: Sum of their sizes, bytes.
        log_start: What vanished up to this MODSEQ is not in the log any more.
        log_rows: Rows of this mailbox in the log of what vanished.
        keywords: Keyword i is bit 5 + i of a mask.
        special_use: What it is for, each as it is spelled in IMAP.
    """

    id: int
    home: int
    name: str
    mailbox_id: str
    uid_validity: int
    uid_next: int
    modseq: int
    recent_uid: int
    messages: int
    recent: int
    unseen: int
    deleted: int
    size: int
    log_start: int
    log_rows: int
    keywords: tuple[str, ...]
    special_use: tuple[str, ...]

    def copy(self) -> MailboxRow:
        """Take a copy that leaves the writer."""
        return MailboxRow(
            self.id,
            self.home,
            self.name,
            self.mailbox_id,
            self.uid_validity,
            self.uid_next,
            self.modseq,
            self.recent_uid,
            self.messages,
            self.recent,
            self.unseen,
            self.deleted,
            self.size,
            self.log_start,
            self.log_rows,
            self.keywords,
            self.special_use,
        )

    @property
    def status(self) -> MailboxStatus:
        """What STATUS tells."""
        return MailboxStatus(
            messages=self.messages,
            unseen=self.unseen,
            deleted=self.deleted,
            recent=self.recent,
            uid_next=self.uid_next,
            uid_validity=self.uid_validity,
            highest_modseq=self.modseq,
            size=self.size,
            mailbox_id=self.mailbox_id,
        )


class MessageRow(NamedTuple):
    """One message of a mailbox.

    Attributes:
        uid: Its UID.
        content: The id of its content: the same for copies of one message.
        mask: Its flags (`model.flags`).
        modseq: Its last change.
        added: The MODSEQ that it came with.
        size: Bytes.
        date: INTERNALDATE, seconds since 1970 UTC.
        saved: SAVEDATE, seconds since 1970 UTC.
        place: Where its bytes are, in the words of `Bodies`, without line ends; ``""`` if
            that keeps none.
    """

    uid: int
    content: int
    mask: int
    modseq: int
    added: int
    size: int
    date: int
    saved: int
    place: str
