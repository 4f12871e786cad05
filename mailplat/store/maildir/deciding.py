"""What transactions of the index decide about files: the half of the Maildir that runs inside.

Invariants: before a commit nothing in a mailbox's directory is touched.  What a transaction decides
goes into the journal in the same transaction, and is done to the files afterwards; so a crash at
any step leaves the index right and the journal to be done again (``docs/internals/durability.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from twisted.logger import Logger

from mailplat.model.errors import AlreadyExists, MailError, Unavailable
from mailplat.model.flags import FIRST_KEYWORD, flag_names
from mailplat.store.index.bodies import Dropped
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir import folders as tables
from mailplat.store.maildir import subscriptions
from mailplat.store.maildir.carried import is_row
from mailplat.store.maildir.decisions import Decision, Decisions
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.doing import InHand
from mailplat.store.maildir.filename import FileName, UniqueNames, letters_of
from mailplat.store.maildir.folders import Folder, Folders
from mailplat.store.maildir.journal import Journal, Kind
from mailplat.store.maildir.layout import Layout
from mailplat.store.maildir.listing import base_of
from mailplat.store.maildir.names import account_directory, folder_directory
from mailplat.store.maildir.staging import Staged

__all__ = ["Deciding"]

_log = Logger()


class Deciding:
    """See `mailplat.store.index.bodies.Bodies`, of which this is what has a transaction.

    Args:
        layout: Where everything is.
        disk: Looks, and makes links in ``tmp``.
        journal: Where files are meanwhile.
        folders: The mailboxes' directories.
        names: Makes names of files.
        decisions: Have the journal written.
        found: Told, in the writer's thread, of an account for which a mailbox was made where a
            directory was already.
        forgotten: Told likewise of an account, and its home, that was deleted.
        subscribed: Told likewise of an account, and its home, whose subscriptions changed.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        journal: Journal,
        folders: Folders,
        names: UniqueNames,
        decisions: Decisions,
        found: Callable[[str], None],
        forgotten: Callable[[str, int], None],
        subscribed: Callable[[str, int], None],
    ) -> None:
        self.layout = layout
        self.disk = disk
        self.journal = journal
        self.folders = folders
        self.names = names
        self.decisions = decisions
        self._found = found
        self._forgotten = forgotten
        self._subscribed = subscribed
        self._adopted: tuple[str, str] | None = None
        self._vanishing = False

    # coming

    def store(self, tx: Transaction, content: int, prepared: Any) -> None:
        """See `Bodies.store`: bytes belong to messages here, not to contents."""

    def place(
        self, tx: Transaction, mailbox: MailboxRow, uid: int, mask: int, prepared: Any
    ) -> str:
        """See `Bodies.place`."""
        decision = self.decisions.of(tx)
        staged: Staged = prepared
        folder = self._usable(decision, mailbox)
        base = staged.base
        if staged.data is not None:
            source, is_first = decision.carry(staged)
            if not is_first:
                base = self.names.base_like(base)
            body = InHand(staged.date, staged.data)
            return self._publish(decision, folder, mailbox, uid, mask, base, source, body)
        if staged.taken:
            base = self.names.base_like(base)
            self._link(decision, self.layout.path("", staged.location), base)
        else:
            staged.taken = True
            tx.on_abort(staged.give_back)
        return self._publish(decision, folder, mailbox, uid, mask, base)

    def link(
        self,
        tx: Transaction,
        source: MailboxRow,
        rows: Sequence[MessageRow],
        target: MailboxRow,
        uids: Sequence[int],
        masks: Sequence[int],
    ) -> Sequence[str]:
        """See `Bodies.link`."""
        decision = self.decisions.of(tx)
        folder = self._usable(decision, target)
        there = self.folders.find(source.id, tx)
        places = []
        for row, uid, mask in zip(rows, uids, masks, strict=True):
            if there is None or source.id in decision.made:
                raise Unavailable(f"{source.name}: its directory is being made")
            carried = self.journal.carried.get((source.id, row.uid), "")
            body: InHand | None = None
            with there.lock:
                before = self.journal.locations.get((source.id, row.uid), row.place)
                path = self.layout.path(there.directory, before)
                base = self.names.base_like(base_of(row.place))
                if carried:  # the file is not durable, and so would be no copy of it
                    body = None if is_row(before) else InHand(row.date, None, path)
                elif not self._link(decision, path, base):
                    there.dirty = True
                    raise Unavailable(f"UID {row.uid} of {source.name}: its file is gone")
            place = self._publish(decision, folder, target, uid, mask, base, carried, body)
            places.append(place)
        return places

    def _link(self, decision: Decision, path: str, base: str) -> bool:
        """Give a file a second name in ``tmp``; whether it was there."""
        target = self.layout.path("", f"tmp/{base}")
        if self.disk.link(path, target):
            decision.tx.on_abort(partial(self._unlink, target))
            return True
        return False

    def _unlink(self, path: str) -> None:
        try:
            self.disk.unlink(path)
        except MailError as error:
            _log.warn("a file is removed at the next start: {error}", error=error)

    def _publish(
        self,
        decision: Decision,
        folder: Folder | None,
        mailbox: MailboxRow,
        uid: int,
        mask: int,
        base: str,
        source: str = "",
        body: InHand | None = None,
    ) -> str:
        """Decide that a file in ``tmp``, or a row, becomes a message; give its place."""
        if not source:
            source = f"tmp/{base}"
            decision.tx.before_commit("maildir tmp", self._flush_tmp)
        place = f"new/{base}"
        flags = flag_names(mask, mailbox.keywords)
        known = self._letter_of(folder, mask)
        letters = letters_of(flags, known)
        if letters:
            place = "cur/" + FileName(base, letters).in_cur()
        decision.add(Kind.PUBLISH, mailbox.id, uid, source, place)
        if body is not None:
            decision.hand_over(body)
        if not _lettered(flags, known):
            decision.add(Kind.RETITLE, mailbox.id, uid, place, flags=flags)
        return place

    def _flush_tmp(self) -> None:
        self.disk.sync_directory(self.layout.tmp)

    def _letter_of(self, folder: Folder | None, mask: int) -> dict[str, str]:
        """Give the letter of each keyword, where there are keywords among the flags."""
        if mask >> FIRST_KEYWORD and folder is not None:
            return self.folders.letter_of(folder)
        return {}

    def _usable(self, decision: Decision, mailbox: MailboxRow) -> Folder | None:
        """Give a mailbox's folder, if it is there already; see that files can go there."""
        if mailbox.id in decision.made:
            return None
        folder = self.folders.find(mailbox.id, decision.tx)
        if folder is not None and mailbox.id not in decision.usable:
            if not folder.taken_over:
                raise Unavailable(f"{folder.directory}: is being taken over")
            directory = self.layout.directory(folder.directory)
            if self.disk.status(directory) is not None:  # else it is made again
                for sub in ("new", "cur"):
                    self.disk.check_directory(f"{directory}/{sub}", self.layout.tmp)
            decision.usable.add(mailbox.id)
        return folder

    # flags, and going

    def flagged(
        self,
        tx: Transaction,
        mailbox: MailboxRow,
        rows: Sequence[MessageRow],
        masks: Sequence[int],
    ) -> None:
        """See `Bodies.flagged`."""
        decision = self.decisions.of(tx)
        folder = self.folders.find(mailbox.id, tx)
        names: dict[int, tuple[str, ...]] = {}
        for row, mask in zip(rows, masks, strict=True):
            flags = names.get(mask)
            if flags is None:
                flags = names[mask] = flag_names(mask, mailbox.keywords)
            key = mailbox.id, row.uid
            if key not in decision.retitled and not self.journal.is_moving(key):
                known = self._letter_of(folder, mask)
                letters = FileName.parse(row.place[4:]).letters
                if _lettered(flags, known) and letters_of(flags, known, letters) == letters:
                    continue  # another program renamed it so
            decision.add(Kind.RETITLE, mailbox.id, row.uid, row.place, flags=flags)

    def expunged(
        self, tx: Transaction, mailbox: MailboxRow, rows: Sequence[MessageRow]
    ) -> Sequence[str]:
        """See `Bodies.expunged`."""
        decision = self.decisions.of(tx)
        places = []
        for row in rows:
            place = self.journal.locations.get((mailbox.id, row.uid), row.place)
            if not place.startswith(("new/", "cur/")):
                place = row.place
            places.append(place)
            if not self._vanishing:
                decision.add(Kind.BURY, mailbox.id, row.uid, place)
        return places

    @contextmanager
    def vanishing(self) -> Iterator[None]:
        """What is removed inside is gone from the disk already.  In the writer's thread."""
        self._vanishing = True
        try:
            yield
        finally:
            self._vanishing = False

    def drop(self, tx: Transaction, rows: Sequence[Dropped], contents: Sequence[int]) -> None:
        """See `Bodies.drop`."""
        decision = self.decisions.of(tx)
        for row in rows:
            decision.add(Kind.DROP, row.mailbox, row.uid, row.place)

    # homes and mailboxes

    def home_made(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_made`."""
        account_directory(home.account)  # refuses names that no directory can have

    def home_deleted(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_deleted`."""
        decision = self.decisions.of(tx)
        directory, grave = account_directory(home.account), self.layout.dead_home(home.id)
        decision.add(Kind.REMOVE_HOME, -home.id, 0, directory, grave)
        decision.news.append(partial(self._forgotten, home.account, home.id))
        tx.run(subscriptions.FORGET, (home.id,))

    def subscribed(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.subscribed`."""
        tx.on_commit(partial(self._subscribed, home.account, home.id))

    def mailbox_made(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """See `Bodies.mailbox_made`."""
        decision = self.decisions.of(tx)
        account = account_directory(home.account)
        directory = self._directory(account, mailbox.name)
        decision.claim(account, directory)
        found = self.disk.status(f"{self.layout.directory(directory)}/cur") is not None
        if found:
            decision.news.append(partial(self._found, home.account))
        else:
            decision.add(Kind.MAKE, mailbox.id, 0, "", directory, name=mailbox.name)
        tx.insert(tables.FOLDERS, mailbox.id, home.id, directory, int(not found), 0, 0, 0)
        folder = Folder(mailbox.id, home.id, directory, not found, (0, 0), 0)
        decision.made.add(mailbox.id)
        decision.news.append(partial(self.folders.keep, folder))

    def mailbox_renamed(
        self, tx: Transaction, home: HomeRow, mailbox: MailboxRow, old_name: str
    ) -> None:
        """See `Bodies.mailbox_renamed`."""
        decision = self.decisions.of(tx)
        account = account_directory(home.account)
        folder = self.folders.find(mailbox.id, tx)
        if folder is None or mailbox.id in decision.made:
            raise Unavailable(f"{old_name}: its directory is being made")
        directory = self._directory(account, mailbox.name)
        decision.claim(account, folder.directory, directory)
        if self.disk.status(self.layout.directory(directory)) is not None:
            raise AlreadyExists(f"{self.layout.directory(directory)}: there is such a directory")
        source = folder.directory
        decision.add(Kind.RENAME, mailbox.id, 0, source, directory, name=mailbox.name)
        decision.made.add(mailbox.id)
        tx.run(tables.SET_DIRECTORY, (directory, mailbox.id))

    def mailbox_deleted(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """See `Bodies.mailbox_deleted`."""
        decision = self.decisions.of(tx)
        folder = self.folders.find(mailbox.id, tx)
        if folder is None or mailbox.id in decision.made:
            raise Unavailable(f"{mailbox.name}: its directory is being made")
        tx.run(tables.FORGET_FOLDER, (mailbox.id,))
        holds = decision.withdraw_burials(mailbox.id) + 1
        if self._vanishing:
            decision.news.append(partial(self.folders.forget, mailbox.id))
        else:
            decision.claim(account_directory(home.account), folder.directory)
            grave = self.layout.dead_folder(mailbox.id)
            decision.add(Kind.REMOVE, mailbox.id, 0, folder.directory, grave)
            decision.news.append(partial(folder.mark_deleted, holds))

    @contextmanager
    def adopting(self, name: str, directory: str) -> Iterator[None]:
        """The mailbox made inside has that directory.  In the writer's thread."""
        self._adopted = name, directory
        try:
            yield
        finally:
            self._adopted = None

    def _directory(self, account: str, name: str) -> str:
        if self._adopted is not None and self._adopted[0] == name:
            return self._adopted[1]
        folder = folder_directory(name)
        return f"{account}/{folder}" if folder else account


def _lettered(flags: Sequence[str], known: dict[str, str]) -> bool:
    """Whether every keyword has a letter."""
    return all(flag.startswith("\\") or flag.lower() in known for flag in flags)
