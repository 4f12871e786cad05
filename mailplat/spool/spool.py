"""The durable spool: SQLite for envelopes, state and small mails; a file for each large one.

``docs/internals/queue-states.md`` has the states of a mail and what a crash leaves of each.

Invariants:

- The reactor's thread touches neither the database nor a file.
- A large body's file is there and flushed before the commit that names it, and is removed after
  the commit that forgets it; `open` removes what a crash left between.
- One process at a time works on the queue (`lock`); any number may look after it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred as Later
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.spool import (
    IOperatedSpool,
    IQueueSpool,
    Lane,
    LaneState,
    NewMail,
    Pending,
    Selection,
    Settlement,
    Spooled,
)
from mailplat.model.errors import Corrupt, MailError, NoSuchMail, Unavailable
from mailplat.model.outcome import Deferred
from mailplat.spool import changes, queries
from mailplat.spool.bodies import SpooledFile
from mailplat.spool.changes import NewRow, Settled, Settling
from mailplat.spool.database import connect, create
from mailplat.spool.disk import Disk, failure
from mailplat.spool.gathering import Gathering
from mailplat.spool.intake import MemoryBody
from mailplat.spool.writer import Writer

__all__ = ["Spool"]

T = TypeVar("T")

_log = Logger()

_PAGE = 1000
"""Mails that a command of the operator changes in one transaction."""

_LANES = 20
"""Lanes that are read in one go."""


@implementer(IQueueSpool, IOperatedSpool)
class Spool:
    """The spool in a directory.

    Args:
        reactor: Its threads touch the disk.
        directory: Where; made by `open`.
        now: The time, seconds since 1970 UTC.
        works: Whether this process works on the queue, and not just looks after it.
        inline: Bytes up to which a body is in the database.
        warn_after: Seconds after which a new mail's deadline is.
        busy_seconds: How long to wait for another process that writes.
        disk: Makes things durable.
    """

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        now: Callable[[], float],
        *,
        works: bool = True,
        inline: int = 64 * 1024,
        warn_after: int = 4 * 3600,
        busy_seconds: float = 20.0,
        disk: Disk | None = None,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._bodies = directory / "bodies"
        self._file = directory / "spool.sqlite"
        self._now = now
        self._works = works
        self._inline = inline
        self._warn_after = warn_after
        self._busy_seconds = busy_seconds
        self._disk = disk or Disk()
        self._writer: Writer | None = None
        self._readers: list[sqlite3.Connection] = []
        self._lock: int | None = None
        self._bodies_wanted = Gathering(self._find_bodies)
        self._settling = Gathering(self._settle)
        self._due_wanted = Gathering(self._find_due, most=_LANES)
        self._notice: Callable[[Collection[Lane], bool], None] = _nobody

    # life

    async def open(self) -> None:
        """See `ISpool.open`."""
        connection = await deferToThread(self._open)
        self._writer = Writer(self._reactor, self._disk, connection, str(self._file))

    def _open(self) -> sqlite3.Connection:
        try:
            os.makedirs(self._bodies, mode=0o700, exist_ok=True)
        except OSError as error:
            raise failure(error, str(self._bodies)) from error
        if self._works:
            self._lock = self._disk.lock(str(self._directory / "lock"))
        try:
            create(self._file, self._busy_seconds)
            self._disk.sync_directory(str(self._directory))
            connection = connect(self._file, self._busy_seconds, writes=True)
            if self._works:
                self._remove_orphans(connection)
        except BaseException:
            self._unlock()
            raise
        return connection

    def _remove_orphans(self, connection: sqlite3.Connection) -> None:
        names = self._disk.names(str(self._bodies))
        for orphan in set(names) - queries.files(connection, names):
            _log.info("spool: a body that belongs to no mail is removed: {name}", name=orphan)
            self._disk.unlink(str(self._bodies / orphan))
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if free > 25_000 and free > pages // 2:  # 100 MB and more than what is in use
            connection.execute("PRAGMA incremental_vacuum").fetchall()

    async def close(self) -> None:
        """See `ISpool.close`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        while self._readers:
            self._readers.pop().close()
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            self._disk.unlock(lock)

    def watch(self, notice: Callable[[Collection[Lane], bool], None]) -> None:
        """See `IQueueSpool.watch`."""
        self._notice = notice

    # taking in

    async def accept(self, mails: Sequence[NewMail]) -> None:
        """See `ISpool.accept`."""
        rows: list[NewRow] = []

        def work(db: sqlite3.Connection) -> None:
            for row in rows:
                changes.accept(db, row)

        try:
            for mail in mails:
                rows.append(await self._prepare(mail))
            await self._write(work)
        except BaseException:
            await self._forget(rows)
            raise
        if lanes := {lane for row in rows if not row.held for lane in row.lanes}:
            self._notice(lanes, any(map(_is_special, rows)))

    async def _prepare(self, mail: NewMail) -> NewRow:
        """Bring a body to where it will be kept; its row is not written yet."""
        body, now = mail.body, int(self._now())
        data: bytes | None = None
        if body.size > self._inline:
            await deferToThread(self._write_file, mail.queue_id, body)
        elif body.in_memory:
            data = body.read(0, body.size)
        else:
            data = await deferToThread(body.read, 0, body.size)
        sender = mail.envelope.sender
        release = sender.released(now)  # RFC 4865 §4
        wanted = sender.wanted_by(now)
        deadline = release + self._warn_after
        pending = [
            Pending(
                one,
                mail.agents[one],
                last=mail.why,
                due=None if mail.held else release,
                targets=mail.targets.get(one, ()),
            )
            for one in dict.fromkeys(mail.envelope.recipients)
        ]
        return NewRow(
            mail.queue_id,
            sender,
            pending,
            now,
            deadline if wanted is None else min(deadline, wanted),
            body.size,
            data,
        )

    def _write_file(self, queue_id: str, body: IBody) -> None:
        path = str(self._bodies / queue_id)
        self._disk.write(path, body)
        try:
            self._disk.sync_directory(str(self._bodies))
        except MailError:
            self._unlink_files([queue_id])
            raise

    async def _forget(self, rows: Sequence[NewRow]) -> None:
        """Remove the files of mails that were not taken on after all."""
        await self._unlink([row.queue_id for row in rows if row.data is None])

    async def _unlink(self, queue_ids: Sequence[str]) -> None:
        """Remove files that no row names; what stays is an orphan, and found by `open`."""
        if queue_ids:
            await deferToThread(self._unlink_files, queue_ids)

    def _unlink_files(self, queue_ids: Sequence[str]) -> None:
        for one in queue_ids:
            try:
                self._disk.unlink(str(self._bodies / one))
            except MailError as error:
                _log.warn("spool: cannot remove a body: {reason}", reason=error.reason)

    # working on it

    async def ready(self, now: int, limit: int) -> Sequence[LaneState]:
        """See `IQueueSpool.ready`."""
        return await self._read(lambda db: queries.ready(db, now, limit))

    async def due(
        self, lane: Lane, now: int, limit: int, without: Collection[str]
    ) -> Sequence[Spooled]:
        """See `IQueueSpool.due`."""
        return await self._due_wanted.ask((lane, now, limit, tuple(without)))

    async def _find_due(
        self, wanted: Sequence[tuple[Lane, int, int, tuple[str, ...]]]
    ) -> list[list[Spooled]]:
        return await self._read(lambda db: [queries.due(db, *one) for one in wanted])

    async def overdue(self, now: int, limit: int) -> Sequence[Spooled]:
        """See `IQueueSpool.overdue`."""
        return await self._read(lambda db: queries.overdue(db, now, limit))

    async def next_time(self, now: int) -> int | None:
        """See `IQueueSpool.next_time`."""
        return await self._read(lambda db: queries.next_time(db, now))

    async def open_body(self, queue_id: str) -> IBody:
        """See `IQueueSpool.open_body`."""
        found = await self._bodies_wanted.ask(queue_id)
        if found is None:
            raise NoSuchMail(f"{queue_id} is not in the spool")
        size, data = found
        if data is not None:
            return MemoryBody(data)
        return await deferToThread(self._open_file, queue_id, size)

    async def _find_bodies(self, queue_ids: Sequence[str]) -> list[tuple[int, bytes | None] | None]:
        return await self._read(lambda db: queries.bodies_of(db, queue_ids))

    def _open_file(self, queue_id: str, size: int) -> IBody:
        path = self._bodies / queue_id
        try:
            body = SpooledFile(path)
        except FileNotFoundError:
            raise Corrupt(f"{path} is missing") from None
        except OSError as error:
            raise Unavailable(f"{path}: {error}") from error
        if body.size != size:
            body.close()
            raise Corrupt(f"{path} has {body.size} bytes, not {size}")
        return body

    async def settle(self, queue_id: str, settlement: Settlement) -> None:
        """See `IQueueSpool.settle`."""
        rows: list[NewRow] = []
        try:
            for report in settlement.reports:
                rows.append(await self._prepare(report))
            done = await self._settling.ask(Settling(queue_id, settlement, rows))
            if isinstance(done, Exception):
                raise done
        except BaseException:
            await self._forget(rows)
            raise
        await self._unlink(done.files)
        if not done.count:
            await self._forget(rows)
            return
        woken = {lane for row in rows for lane in row.lanes}
        woken |= {Lane.of(one.agent, one.recipient.address) for one in settlement.added}
        if woken:
            self._notice(woken, any(map(_is_special, rows)))

    async def _settle(self, block: Sequence[Settling]) -> Sequence[Settled | Exception]:
        """Note a block in one go; if that fails, each for itself, so that each fails alone."""
        try:
            return await self._write(lambda db: changes.settle(db, block))
        except Exception:
            if len(block) == 1:
                raise
        alone = [Later.fromCoroutine(self._settle_alone(one)) for one in block]
        return [await one for one in alone]

    async def _settle_alone(self, one: Settling) -> Settled | Exception:
        try:
            (done,) = await self._write(lambda db: changes.settle(db, [one]))
        except Exception as error:
            return error
        return done

    async def block(self, lane: Lane, until: int, failures: int, last: Deferred | None) -> None:
        """See `IQueueSpool.block`."""
        await self._write(lambda db: changes.block(db, lane, until, failures, last))

    # looking after it

    async def find(self, queue_id: str) -> Spooled | None:
        """See `IOperatedSpool.find`."""
        found = await self.select(Selection(queue_ids=(queue_id,)), 1)
        return found[0] if found else None

    async def select(self, selection: Selection, limit: int, behind: str = "") -> Sequence[Spooled]:
        """See `IOperatedSpool.select`."""
        return await self._read(
            lambda db: queries.find(db, queries.rows_of(db, selection, limit, behind))
        )

    async def names(self, selection: Selection) -> Sequence[str]:
        """See `IOperatedSpool.names`."""
        return await self._read(lambda db: queries.names_of(db, selection))

    async def hold(self, selection: Selection, held: bool) -> int:
        """See `IOperatedSpool.hold`."""
        now = int(self._now())
        return await self._in_pages(
            selection, lambda db, rows: Settled(changes.hold(db, rows, held, now))
        )

    async def retry(self, selection: Selection) -> int:
        """See `IOperatedSpool.retry`."""
        now = int(self._now())
        return await self._in_pages(
            selection, lambda db, rows: Settled(changes.retry(db, rows, now))
        )

    async def remove(self, selection: Selection) -> int:
        """See `IOperatedSpool.remove`."""
        return await self._in_pages(selection, changes.remove)

    async def reroute(self, selection: Selection, agent: str) -> int:
        """See `IOperatedSpool.reroute`."""
        now = int(self._now())
        return await self._in_pages(
            selection, lambda db, rows: Settled(changes.reroute(db, rows, agent, now))
        )

    async def lanes(self, limit: int) -> Sequence[LaneState]:
        """See `IOperatedSpool.lanes`."""
        return await self._read(lambda db: queries.lanes(db, limit))

    async def _in_pages(
        self,
        selection: Selection,
        change: Callable[[sqlite3.Connection, Sequence[int]], Settled],
    ) -> int:
        """Change the mails that are selected now, a page in a transaction."""
        rows = await self._read(lambda db: queries.rows_of(db, selection, -1))
        count = 0
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]

            def work(db: sqlite3.Connection, page: Sequence[int] = page) -> Settled:
                return change(db, queries.existing(db, page))

            done = await self._write(work)
            count += done.count
            await self._unlink(done.files)
        return count

    # threads

    async def _write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise Unavailable(f"{self._file}: the spool is not open")
        return await self._writer.run(operation)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise Unavailable(f"{self._file}: the spool is not open")
        return await deferToThread(self._run_query, query)

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = connect(self._file, self._busy_seconds, writes=False)
        try:
            return query(connection)
        except sqlite3.Error as error:
            raise failure(error, str(self._file)) from error
        finally:
            self._readers.append(connection)


def _is_special(row: NewRow) -> bool:
    """Whether a mail is urgent, or has times of its own."""
    sender = row.sender
    timed = sender.deliver_by is not None or sender.released(row.arrived) > row.arrived
    return timed or sender.priority > 0


def _nobody(lanes: Collection[Lane], special: bool) -> None:
    """Nobody watches yet."""
