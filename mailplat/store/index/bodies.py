"""The seam between the index and the bytes of messages.

The index (this package) knows mailboxes, UIDs, flags, MODSEQs, quota and summaries.  Where the
bytes are, a `Bodies` knows: in the same database (`mailplat.store.sql`), in the files of a Maildir
(`mailplat.store.maildir`).  A store is the index with one of them.

The way of a message, and the thread of each step:

1. ``prepare`` (reactor): before the transaction.  Write what takes long, in threads of your own: a
   Maildir writes and flushes files in ``tmp``, blobs are put.
2. ``store`` once for each new content, ``place`` once for each message (writer's thread, inside
   the transaction).  What they do outside the database they undo in ``tx.on_abort``; what many
   can share (the flush of a directory) goes into ``tx.before_commit`` under a key.
3. The commit: from here on the message is there.  Then ``tx.on_commit`` (writer's thread).
4. ``done`` (reactor), whether or not it went well: throw away what step 1 left.

A transaction may be **run again**: many calls share one commit, and when one of them fails after
it wrote, all are rolled back (every ``on_abort`` is called, newest first) and run once more, each
alone.  So a step inside does the same when it is done a second time with the same arguments.
A crash runs neither ``on_abort`` nor ``on_commit``: `Bodies.open` mends what it left.

Expunged messages keep their bytes for those who still show them (rule 6 of the store): the row
leaves the mailbox (``expunged``), its place is kept in the table of what is to be dropped, and
when nobody needs it any more, at the latest when the store is opened again, ``drop`` is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mailplat.interfaces.store import NewMessage
from mailplat.interfaces.upkeep import Fault
from mailplat.model.numset import NumSet
from mailplat.store.index.database import Connection
from mailplat.store.index.readers import Readers
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow

if TYPE_CHECKING:
    from mailplat.store.index.store import IndexedStore
    from mailplat.store.index.transaction import Transaction

__all__ = ["Bodies", "Dropped", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes to be read: from ``start`` to before ``stop``, both inside the message.

    Attributes:
        mailbox: The mailbox's id.
        uid: The message's UID.
        content: Its content's id.
        size: Bytes of the whole message.
        place: Its place if it is expunged; ``""`` while it is in the mailbox (then its row
            has the place, see `MessageRow`).
        start: First byte.
        stop: Behind the last one.
    """

    mailbox: int
    uid: int
    content: int
    size: int
    place: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """An expunged message whose bytes nobody needs any more.

    Attributes:
        mailbox: The id of the mailbox that it was in; that may be gone too.
        uid: Its UID there.
        content: Its content's id.
        place: As `Bodies.expunged` gave it.
    """

    mailbox: int
    uid: int
    content: int
    place: str


class Bodies(Protocol):
    """Where the bytes of messages are.

    ``tx`` arguments: the method runs in the writer's thread inside a transaction.  Others run in
    the reactor's thread, but for `read`.  An OSError raised inside a transaction becomes
    `Unavailable`, or `StorageFull` where that is what it says.
    """

    has_places: bool
    """Whether messages have places of their own.  If not, `expunged` and `flagged` are not called
    (that saves reading rows) and `place` and `link` answer ``""``."""

    def open(self, store: IndexedStore) -> Awaitable[None]:
        """Make ready, and mend what a crash left; the store's writer and readers run."""

    def close(self) -> Awaitable[None]:
        """Let go of everything; the writer still runs."""

    def prepare(
        self, messages: Sequence[NewMessage], accounts: Sequence[str]
    ) -> Awaitable[Sequence[Any]]:
        """Make messages ready to be stored in these accounts' homes; one answer for each.

        Raises:
            StorageFull: Nothing is left behind.
        """

    def done(self, prepared: Sequence[Any]) -> None:
        """The transaction ended, well or not: throw away what is left of these."""

    def store(self, tx: Transaction, content: int, prepared: Any) -> None:
        """Keep the bytes of a new content."""

    def place(
        self, tx: Transaction, mailbox: MailboxRow, uid: int, mask: int, prepared: Any
    ) -> str:
        """Put a new message into a mailbox; give its place."""

    def link(
        self,
        tx: Transaction,
        source: MailboxRow,
        rows: Sequence[MessageRow],
        target: MailboxRow,
        uids: Sequence[int],
        masks: Sequence[int],
    ) -> Sequence[str]:
        """Put messages of one mailbox into another under these UIDs with these flags.

        For a move, `expunged` follows with the same rows.
        """

    def expunged(
        self, tx: Transaction, mailbox: MailboxRow, rows: Sequence[MessageRow]
    ) -> Sequence[str]:
        """These leave the mailbox: say for each where its bytes are until `drop`."""

    def flagged(
        self,
        tx: Transaction,
        mailbox: MailboxRow,
        rows: Sequence[MessageRow],
        masks: Sequence[int],
    ) -> None:
        """These get other flags (``rows`` has the old ones); their places may change.

        A new place is written with `mailplat.store.index.messages.set_places`, in this
        transaction or in a later one.
        """

    def drop(self, tx: Transaction, rows: Sequence[Dropped], contents: Sequence[int]) -> None:
        """Nobody needs these messages' places, nor any of these contents, any more."""

    def mailbox_made(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """A mailbox was made; also INBOX and the folders of a new home."""

    def mailbox_renamed(
        self, tx: Transaction, home: HomeRow, mailbox: MailboxRow, old_name: str
    ) -> None:
        """A mailbox has another name now; called for each of a tree, the topmost first."""

    def mailbox_deleted(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """A mailbox was deleted; `expunged` was called for its messages before."""

    def home_made(self, tx: Transaction, home: HomeRow) -> None:
        """A home was made; its mailboxes follow."""

    def home_deleted(self, tx: Transaction, home: HomeRow) -> None:
        """A home was deleted, after each of its mailboxes."""

    def subscribed(self, tx: Transaction, home: HomeRow) -> None:
        """A name was put on a home's subscription list, or taken off it."""

    def look(self, home: HomeRow, mailbox: MailboxRow | None) -> Awaitable[None] | None:
        """See whether other programs changed something, before the index answers.

        Args:
            home: Whose home; a copy that is not changed.
            mailbox: The mailbox asked about; None is the home's list of mailboxes.

        Returns:
            None where there is nothing to wait for.  Else the changes found are brought into
            the index by ``store.writer.submit`` with the operations of `messages` and
            `folders`, as every other change is.
        """

    def complete(self, mailbox: int, uids: NumSet) -> Awaitable[None]:
        """Read messages that came without a content, and have them completed.

        They are in the index like that only if these `Bodies` put them there (see `completing`);
        those that cannot be read stay without one.

        Args:
            mailbox: The mailbox's id.
            uids: Messages of it.
        """

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> Sequence[bytes | None]:
        """Read bytes, in a reader's thread; None for a message that is gone.

        Raises:
            Corrupt: Bytes are missing or too few; the reason names mailbox and UID.
        """

    def fetch(
        self, readers: Readers, wanted: Sequence[Wanted], subject: str
    ) -> Awaitable[Sequence[bytes | None]]:
        """Do what `read` does from the reactor's thread; hold no reader while others are asked.

        Args:
            readers: The store's.
            wanted: What to read.
            subject: What it is about, for the reasons of errors.
        """

    def faults(self) -> Awaitable[Sequence[Fault]]:
        """Look at what is kept outside the index and belongs to no account; changes nothing."""

    def sweep(self) -> Awaitable[int]:
        """Mend what `faults` told; tell how much was removed or found again."""
