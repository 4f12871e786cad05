"""The Maildir's half of the store: where the index's messages have their bytes.

Invariants: before a commit nothing in a mailbox's directory is touched.  What a transaction decides
goes into the journal in the same transaction, and is done to the files afterwards; so a crash at
any step leaves the index right and the journal to be done again (``docs/internals/durability.md``).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailplat.interfaces.store import NewMessage
from mailplat.model.errors import AlreadyExists, ConfigurationFault, MailError, Unavailable
from mailplat.model.flags import FIRST_KEYWORD, flag_names
from mailplat.store.index.bodies import Dropped, Wanted
from mailplat.store.index.database import Connection
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.maildir import folders as tables
from mailplat.store.maildir import journal as journals
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.decisions import Decision, Decisions, cross_out
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import FileName, UniqueNames, letters_of
from mailplat.store.maildir.folders import Folder, Folders, lasting
from mailplat.store.maildir.journal import Journal, Kind, Step
from mailplat.store.maildir.layout import Layout
from mailplat.store.maildir.listing import base_of
from mailplat.store.maildir.mover import Mover, Places
from mailplat.store.maildir.names import account_directory, folder_directory
from mailplat.store.maildir.outside import Outside
from mailplat.store.maildir.reading import Reading
from mailplat.store.maildir.staging import Staged, Staging

if TYPE_CHECKING:
    from mailplat.store.index.store import IndexedStore
    from mailplat.store.index.transaction import Transaction

__all__ = ["MaildirBodies", "MaildirLimits"]

_log = Logger()

_FLAGS_OF = (
    "SELECT m.mask, b.keywords FROM messages m JOIN mailboxes b ON b.id = m.mailbox"
    " WHERE m.mailbox = ? AND m.uid = ?"
)
_NAME_OF = "SELECT name FROM mailboxes WHERE id = ?"


@dataclass(frozen=True, slots=True)
class MaildirLimits:
    """How a Maildir store works.

    Attributes:
        threads: Threads that write new messages and read foreign ones.
        settle_seconds: How long done steps of the journal wait until they are crossed out.
        outside: How other programs' changes are noticed.
    """

    threads: int = 8
    settle_seconds: float = 1.0
    outside: OutsideLimits = field(default_factory=OutsideLimits)


class MaildirBodies:
    """See `mailplat.store.index.bodies.Bodies`.

    Args:
        root: The store's directory, absolute.
        reactor: Its thread, its clock, its file descriptors.
        limits: How it works.
        disk: Does everything on the file system.
    """

    has_places = True

    def __init__(
        self,
        root: str,
        reactor: Any,
        limits: MaildirLimits | None = None,
        disk: Disk | None = None,
    ) -> None:
        limits = limits or MaildirLimits()
        self.layout = Layout(root)
        self.disk = disk or Disk()
        self.journal = Journal()
        self.folders = Folders(self.layout, self.disk)
        self.names = UniqueNames(time.time)
        self.pool = ThreadPool(0, limits.threads, name="mailplat maildir")
        self.pool.threadFactory = _PoolThread
        self.mover = Mover(
            self.layout,
            self.disk,
            self.folders,
            self.journal,
            self._settled,
            self._expect,
            settle_seconds=limits.settle_seconds,
        )
        self._reactor = reactor
        self._decisions = Decisions(self.journal, self.mover)
        self._staging = Staging(
            self.layout, self.disk, self.names, reactor, self.pool, limits.threads
        )
        self._outside = Outside(self, reactor, limits.outside)
        self._reading = Reading(self.layout, self.disk, self.folders, self.journal, self._vanished)
        self._store: IndexedStore
        self._adopted: tuple[str, str] | None = None
        self._vanishing = False
        self._lock = -1
        self._running = False

    # opening and closing

    async def open(self, store: IndexedStore) -> None:
        """See `Bodies.open`."""
        self._store = store
        await deferToThread(self._prepare_root)
        steps = await store.writer.submit(self._load, self.layout.index)
        done, places = await deferToThread(self._recover, steps)
        operation = partial(cross_out, mover=self.mover, steps=done, places=places)
        await store.writer.submit(operation, self.layout.index)
        self._running = True
        self.pool.start()
        self.mover.start()
        await self._outside.open(store)

    def _prepare_root(self) -> None:
        for directory in (self.layout.tmp, self.layout.dead):
            self.disk.make_directory(directory)
        lock = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ConfigurationFault(
                f"{self.layout.root} is served by another mailplat process: stop that one first"
            ) from None
        self._lock = lock

    def _load(self, tx: Transaction) -> list[Step]:
        """Read what a crash left to do; know the folders that it is about."""
        for statement in (*tables.SCHEMA, *journals.SCHEMA):
            tx.run(statement)
        steps = []
        for number, kind, mailbox, uid, source, target in tx.all(journals.ALL_STEPS):
            flags: tuple[str, ...] | None = None
            if kind == Kind.RETITLE:
                row = tx.one(_FLAGS_OF, (mailbox, uid))
                flags = flag_names(row[0], row[1].split()) if row else None
            (name,) = tx.one(_NAME_OF, (mailbox,)) or ("",)
            steps.append(Step(number, Kind(kind), mailbox, uid, source, target, flags, name))
            self.folders.find(mailbox, tx)
        return steps

    def _recover(self, steps: Sequence[Step]) -> tuple[Sequence[Step], Places]:
        """Do what a crash left to do; remove what it left for nothing."""
        self.journal.note(steps)
        done, places = self.mover.do_all(steps)
        crossed = set(map(id, done))
        needed = {name for s in steps if id(s) not in crossed for name in (s.source, s.target)}
        for name in self.disk.names(self.layout.tmp):
            if f"tmp/{name}" not in needed:
                self.disk.unlink(f"{self.layout.tmp}/{name}")
        moved = {step.target for step in steps}
        for name in self.disk.names(self.layout.dead):
            if not name.endswith(".d"):
                self.disk.unlink(f"{self.layout.dead}/{name}")
            elif f".mailplat/dead/{name}" not in moved:  # those go when they are crossed out
                self.disk.remove_tree(f"{self.layout.dead}/{name}")
        return done, places

    async def close(self) -> None:
        """See `Bodies.close`; after an `open` that failed as well."""
        if self._running:
            self._running = False
            await self._outside.close()
            await deferToThread(self.mover.stop)
            try:
                await self._store.writer.submit(self._keep_stamps, self.layout.index)
            finally:
                await deferToThread(self.pool.stop)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _keep_stamps(self, tx: Transaction) -> None:
        now = time.time_ns()
        for folder in self.folders.all():
            if not folder.deleted:
                values = (*lasting(folder.stamps, now), folder.listed, folder.mailbox)
                tx.run(tables.SET_STAMPS, values)

    def _settled(self, steps: Sequence[Step], places: Places) -> None:
        self._reactor.callFromThread(self._cross_out, steps, places)

    def _cross_out(self, steps: Sequence[Step], places: Places) -> None:
        operation = partial(cross_out, mover=self.mover, steps=steps, places=places)
        done: Deferred[None] = self._store.writer.submit(operation, self.layout.index)
        done.addErrback(self._not_crossed_out, steps)

    def _not_crossed_out(self, failure: Failure, steps: Sequence[Step]) -> None:
        _log.warn("the journal is crossed out later: {error}", error=failure.value)
        self.mover.settle_again(steps)

    # new messages

    async def prepare(
        self, messages: Sequence[NewMessage], accounts: Sequence[str]
    ) -> Sequence[Any]:
        """See `Bodies.prepare`."""
        for account in accounts:
            waiting = self._outside.take_over(account)
            if waiting is not None:
                await waiting
        return await self._staging.write(messages)

    def done(self, prepared: Sequence[Any]) -> None:
        """See `Bodies.done`."""
        self._staging.discard(prepared)

    def store(self, tx: Transaction, content: int, prepared: Any) -> None:
        """See `Bodies.store`: bytes belong to messages here, not to contents."""

    def place(
        self, tx: Transaction, mailbox: MailboxRow, uid: int, mask: int, prepared: Any
    ) -> str:
        """See `Bodies.place`."""
        decision = self._decisions.of(tx)
        staged: Staged = prepared
        folder = self._usable(decision, mailbox)
        base = staged.base
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
        decision = self._decisions.of(tx)
        folder = self._usable(decision, target)
        there = self.folders.find(source.id, tx)
        places = []
        for row, uid, mask in zip(rows, uids, masks, strict=True):
            if there is None or source.id in decision.made:
                raise Unavailable(f"{source.name}: its directory is being made")
            with there.lock:
                before = self.journal.locations.get((source.id, row.uid), row.place)
                base = self.names.base_like(base_of(before))
                if not self._link(decision, self.layout.path(there.directory, before), base):
                    there.dirty = True
                    raise Unavailable(f"UID {row.uid} of {source.name}: its file is gone")
            places.append(self._publish(decision, folder, target, uid, mask, base))
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
    ) -> str:
        """Decide that a file in ``tmp`` becomes a message; give its place."""
        decision.tx.before_commit("maildir tmp", self._flush_tmp)
        place = f"new/{base}"
        flags = flag_names(mask, mailbox.keywords)
        known = self._letter_of(folder, mask)
        letters = letters_of(flags, known)
        if letters:
            place = "cur/" + FileName(base, letters).in_cur()
        decision.add(Kind.PUBLISH, mailbox.id, uid, f"tmp/{base}", place)
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
        decision = self._decisions.of(tx)
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
        decision = self._decisions.of(tx)
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
        decision = self._decisions.of(tx)
        for row in rows:
            decision.add(Kind.DROP, row.mailbox, row.uid, row.place)

    # homes and mailboxes

    def home_made(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_made`."""
        account_directory(home.account)  # refuses names that no directory can have

    def home_deleted(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_deleted`."""
        decision = self._decisions.of(tx)
        directory, grave = account_directory(home.account), self.layout.dead_home(home.id)
        decision.add(Kind.REMOVE_HOME, -home.id, 0, directory, grave)
        decision.news.append(partial(self._outside.forget_home, home.account, home.id))

    def mailbox_made(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """See `Bodies.mailbox_made`."""
        decision = self._decisions.of(tx)
        account = account_directory(home.account)
        directory = self._directory(account, mailbox.name)
        decision.claim(account, directory)
        found = self.disk.status(f"{self.layout.directory(directory)}/cur") is not None
        if found:
            decision.news.append(partial(self._outside.found, home.account))
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
        decision = self._decisions.of(tx)
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
        decision = self._decisions.of(tx)
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

    # other programs' changes, and reading

    def look(self, home: HomeRow, mailbox: MailboxRow | None) -> Awaitable[None] | None:
        """See `Bodies.look`."""
        return self._outside.look(home, mailbox)

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> Sequence[bytes | None]:
        """See `Bodies.read`."""
        return self._reading.read(connection, wanted)

    def _vanished(self, mailbox: int, places: dict[int, str]) -> None:
        self._reactor.callFromThread(self._outside.remove, mailbox, places)

    def _expect(self, path: str) -> bool:
        return self._outside.expect(path)


class _PoolThread(Thread):
    """A thread that does not keep a process from ending whose store nobody closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)


def _lettered(flags: Sequence[str], known: dict[str, str]) -> bool:
    """Whether every keyword has a letter."""
    return all(flag.startswith("\\") or flag.lower() in known for flag in flags)
