"""The Maildir's half of the store: where the index's messages have their bytes.

Here it is opened, mended after a crash, read and closed.  What happens inside the index's
transactions is in `deciding`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailplat.interfaces.store import NewMessage
from mailplat.interfaces.upkeep import Fault
from mailplat.model.errors import ConfigurationFault
from mailplat.model.flags import flag_names
from mailplat.model.numset import NumSet
from mailplat.store.index.bodies import Wanted
from mailplat.store.index.database import Connection
from mailplat.store.index.readers import Readers
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.store import IndexedStore
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir import carried, journal, subscriptions
from mailplat.store.maildir import folders as tables
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.decisions import Decisions
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.doing import Doing
from mailplat.store.maildir.filename import UniqueNames
from mailplat.store.maildir.folders import Folders, lasting
from mailplat.store.maildir.journal import Journal, Kind, Step
from mailplat.store.maildir.layout import Layout
from mailplat.store.maildir.mover import Mover, Places
from mailplat.store.maildir.outside import Outside
from mailplat.store.maildir.reading import Reading
from mailplat.store.maildir.spares import Spares
from mailplat.store.maildir.staging import Staging

__all__ = ["MaildirBodies", "MaildirLimits"]

_log = Logger()

_FLAGS_OF = (
    "SELECT m.mask, b.keywords FROM messages m JOIN mailboxes b ON b.id = m.mailbox"
    " WHERE m.mailbox = ? AND m.uid = ?"
)
_SCHEMA = (*tables.SCHEMA, *journal.SCHEMA, *carried.SCHEMA, *subscriptions.SCHEMA)
_NAME_OF = "SELECT name FROM mailboxes WHERE id = ?"
_IS_THERE = "SELECT 1 FROM messages WHERE mailbox = ? AND uid = ?"


@dataclass(frozen=True, slots=True)
class MaildirLimits:
    """How a Maildir store works.

    Attributes:
        threads: Threads that write new messages and read foreign ones.
        settle_seconds: How long done steps of the journal wait until they are crossed out.
        carried_bytes: Messages up to this size are carried by the index until their files are
            durable, where files can be flushed together; 0 flushes each file by itself.
        carried_together: So are those of one call, up to so many bytes together.
        carried_backlog: Messages carried at once, about; more wait for a flush of their own.
        spares: Empty files kept ready for them, at most.
        outside: How other programs' changes are noticed.
    """

    threads: int = 8
    settle_seconds: float = 1.0
    carried_bytes: int = 64 << 10
    carried_together: int = 4 << 20
    carried_backlog: int = 16_384
    spares: int = 256
    outside: OutsideLimits = field(default_factory=OutsideLimits)


class MaildirBodies(Deciding):
    """See `mailplat.store.index.bodies.Bodies`.

    Args:
        root: The store's directory, absolute.
        reactor: Its thread, its clock, its file descriptors.
        connect: Opens a connection that reads the index.
        limits: How it works.
        disk: Does everything on the file system.
    """

    has_places = True

    def __init__(
        self,
        root: str,
        reactor: Any,
        connect: Callable[[], Connection],
        limits: MaildirLimits | None = None,
        disk: Disk | None = None,
    ) -> None:
        limits = limits or MaildirLimits()
        layout, disk, journal = Layout(root), disk or Disk(), Journal()
        folders, names = Folders(layout, disk), UniqueNames(time.time)
        self.pool = ThreadPool(0, limits.threads, name="mailplat maildir")
        self.pool.threadFactory = _PoolThread
        self._outside = Outside(self, self.pool, reactor, limits.outside)
        self._spares = Spares(layout, disk, self.pool.callInThread, limits.spares)
        self._doing = Doing(
            layout,
            disk,
            folders,
            journal,
            self._outside.expect,
            self._read_row,
            self._spares.take,
        )
        self.mover = Mover(
            layout,
            disk,
            folders,
            journal,
            self._doing,
            self._settled,
            settle_seconds=limits.settle_seconds,
        )
        super().__init__(
            layout,
            disk,
            journal,
            folders,
            names,
            Decisions(journal, self.mover),
            self._outside.found,
            self._outside.forget_home,
            self._subscribed,
        )
        self._reactor = reactor
        self._connect = connect
        self._connection: Connection | None = None
        self._connecting = Lock()
        self._carried_backlog = limits.carried_backlog
        self._staging = Staging(
            layout,
            disk,
            names,
            reactor,
            self.pool,
            limits.threads,
            limits.carried_bytes,
            limits.carried_together,
            self._carries,
        )
        self._reading = Reading(layout, disk, folders, journal, self._vanished)
        self._store: IndexedStore
        self._lock = -1
        self._running = False

    # opening and closing

    async def open(self, store: IndexedStore) -> None:
        """See `Bodies.open`."""
        self._store = store
        await deferToThread(self._prepare_root)
        steps, needless = await store.writer.submit(self._load, self.layout.index)
        done, places = await deferToThread(self._recover, steps)
        operation = partial(self.decisions.cross_out, steps=[*done, *needless], places=places)
        await store.writer.submit(operation, self.layout.index)
        self._running = True
        self.pool.start()
        self._spares.open()
        self.mover.start()
        await self._outside.open(store)

    def _prepare_root(self) -> None:
        for directory in (self.layout.tmp, self.layout.dead):
            self.disk.make_directory(directory)
        lock = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ConfigurationFault(
                f"{self.layout.root} is served by another mailplat process: stop that one first"
            ) from None
        self._lock = lock
        self._doing.together = self.disk.syncs_all(self.layout.root)

    def _load(self, tx: Transaction) -> tuple[list[Step], list[Step]]:
        """Read what a crash left to do, and what is not to be done after all.

        Folders that it is about are known from then on.
        """
        for statement in _SCHEMA:
            tx.run(statement)
        steps = []
        for number, kind, mailbox, uid, source, target in tx.all(journal.ALL_STEPS):
            flags: tuple[str, ...] | None = None
            if kind == Kind.RETITLE:
                row = tx.one(_FLAGS_OF, (mailbox, uid))
                flags = flag_names(row[0], row[1].split()) if row else None
            (name,) = tx.one(_NAME_OF, (mailbox,)) or ("",)
            steps.append(Step(number, Kind(kind), mailbox, uid, source, target, flags, name))
            self.folders.find(mailbox, tx)
        # another program removed these before their files were durable: do not bring them back
        buried = {(s.mailbox, s.uid) for s in steps if s.kind is Kind.BURY}
        needless = [
            step
            for step in steps
            if step.kind is Kind.PUBLISH
            and carried.is_row(step.source)
            and (step.mailbox, step.uid) not in buried
            and tx.one(_IS_THERE, (step.mailbox, step.uid)) is None
        ]
        return [step for step in steps if step not in needless], needless

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
            self._spares.stop()
            try:
                await self._store.writer.submit(self._keep_stamps, self.layout.index)
            finally:
                await deferToThread(self.pool.stop)
                await deferToThread(self._spares.remove)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
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
        operation = partial(self.decisions.cross_out, steps=steps, places=places)
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

    def _carries(self) -> bool:
        """Whether the index may carry messages: their files can be written, and flushed later.

        While one cannot be written, new messages go into files first, and are refused if that
        fails: the index takes no more than it can get rid of.
        """
        return (
            self._doing.together
            and not self.mover.is_stuck
            and len(self.journal.carried) < self._carried_backlog
        )

    def done(self, prepared: Sequence[Any]) -> None:
        """See `Bodies.done`."""
        self._staging.discard(prepared)

    # other programs' changes, and reading

    def look(self, home: HomeRow, mailbox: MailboxRow | None) -> Awaitable[None] | None:
        """See `Bodies.look`."""
        return self._outside.look(home, mailbox)

    def complete(self, mailbox: int, uids: NumSet) -> Awaitable[None]:
        """See `Bodies.complete`."""
        return self._outside.complete(mailbox, uids)

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> Sequence[bytes | None]:
        """See `Bodies.read`."""
        return self._reading.read(connection, wanted)

    def fetch(
        self, readers: Readers, wanted: Sequence[Wanted], subject: str
    ) -> Awaitable[Sequence[bytes | None]]:
        """See `Bodies.fetch`."""
        return readers.read(partial(self.read, wanted=wanted), subject)

    async def faults(self) -> Sequence[Fault]:
        """See `Bodies.faults`: every file belongs to a mailbox, or is taken for a message."""
        return ()

    async def sweep(self) -> int:
        """See `Bodies.sweep`."""
        return 0

    def _subscribed(self, account: str, home: int) -> None:
        self._reactor.callFromThread(self._outside.write_subscriptions, account, home)

    def _vanished(self, mailbox: int, places: dict[int, str]) -> None:
        self._reactor.callFromThread(self._outside.remove, mailbox, places)

    def _read_row(self, location: str) -> tuple[int, bytes] | None:
        """Read what the index carries, for a file that has to be written again; in any thread."""
        with self._connecting:
            if self._connection is None:
                self._connection = self._connect()
            return carried.read_row(self._connection, location)


class _PoolThread(Thread):
    """A thread that does not keep a process from ending whose store nobody closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)
