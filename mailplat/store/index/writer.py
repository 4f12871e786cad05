"""The one thread that writes, and the commits that its callers share.

An operation is a function of a `Transaction`.  The thread takes all that wait, runs one after the
other, and commits once: that is what makes many small durable writes cheap (group commit).  Then
everything goes back to the reactor in one step and in this order: what changed is applied to what
is held in memory, in the order of the commits; the awaitables fire; watchers are told.

Invariants: nobody hears of a change before it is durable.  An operation that fails has changed
nothing: one that raises before it wrote just leaves the batch; if one raises later, all is rolled
back and each operation is run once more in a transaction of its own.  A commit that fails is never
tried again: it may have been carried out, and mail must not be doubled; all its callers are told
that it failed; so are those of a transaction that could not begin.  After any failure the thread
goes on.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.model.errors import Corrupt, MailError, StorageFull, Unavailable
from mailplat.store.index.database import (
    ANYTHING,
    EVERYTHING,
    NOTHING,
    Connection,
    Database,
    Touched,
)
from mailplat.store.index.transaction import (
    Event,
    OthersWrote,
    RowCache,
    Transaction,
    touched_by,
)

__all__ = ["Operation", "Writer"]

T = TypeVar("T")
Operation = Callable[[Transaction], T]

_log = Logger()


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    """An operation on its way there and back."""

    operation: Operation[T]
    subject: str
    weight: int
    deferred: Deferred[T]
    result: T | None = None
    failure: Failure | None = None
    events: Sequence[Event] = field(default_factory=list)


class _NotBegun(Exception):
    """There is no transaction: nobody's operation is to blame; ``__cause__`` says what happened."""


class _CommitFailed(Exception):
    """Whether the transaction was carried out is not known; ``__cause__`` says what happened."""


class Writer:
    """Runs operations durably, one batch after the other.

    Args:
        database: Where to.
        reactor: Its clock gives SAVEDATEs; its thread gets the results.
        publish: Told in the reactor's thread what a batch changed; gives what is to be done
            after the awaitables fired.
        batch_calls: Operations that share a commit at most.
        batch_bytes: Bytes of messages that share a commit, roughly.
    """

    def __init__(
        self,
        database: Database,
        reactor: Any,
        publish: Callable[[Sequence[Event]], Callable[[], None]],
        *,
        batch_calls: int = 512,
        batch_bytes: int = 16 << 20,
    ) -> None:
        self._database = database
        self._reactor = reactor
        self._publish = publish
        self._batch_calls = batch_calls
        self._batch_bytes = batch_bytes
        self._queue: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._cache = RowCache()
        self._others_wrote: Touched = NOTHING
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, and take operations from now on.  Blocks."""
        connection = self._database.connect(writes=True)
        connection.others_wrote()  # memory begins after this
        self._thread = threading.Thread(
            target=self._work, args=(connection,), name="mailplat writer", daemon=True
        )
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Finish all operations that wait, then disconnect."""
        thread, self._thread = self._thread, None
        if thread is None:
            return succeed(None)
        self._queue.put(None)
        return deferToThread(thread.join).addCallback(lambda _: self._refuse_rest())

    def submit(self, operation: Operation[T], subject: str, weight: int = 0) -> Deferred[T]:
        """Run an operation; what it returned comes when it is durable.

        Args:
            operation: Raises errors of `model.errors` before it writes; anything it raises
                undoes it, and fails this call alone.
            subject: What it is about, for the reasons of errors.
            weight: Bytes it brings, roughly.
        """
        call = _Call(operation, subject, weight, Deferred[T]())
        if self._thread is None:
            call.deferred.errback(Unavailable(f"{subject}: {self._database.name} is closed"))
        else:
            self._queue.put(call)
        return call.deferred

    # in the thread

    def _work(self, connection: Connection) -> None:
        stopping = False
        while not stopping:
            batch: list[_Call[Any]] = []
            weight = 0
            call = self._queue.get()
            try:
                while call is not None:
                    batch.append(call)
                    weight += call.weight
                    if len(batch) >= self._batch_calls or weight >= self._batch_bytes:
                        break
                    call = self._queue.get_nowait()
                else:
                    stopping = True
            except Empty:
                pass
            if batch:
                events = self._run(connection, batch)
                self._reactor.callFromThread(self._hand_over, batch, events)
        connection.close()

    def _run(self, connection: Connection, batch: list[_Call[Any]]) -> list[Event]:
        """Run a batch as one transaction, or, where that fails, each alone."""
        try:
            if self._run_together(connection, batch):
                return [event for call in batch for event in call.events]
        except (_CommitFailed, _NotBegun) as error:
            for call in batch:
                self._fail(call, error.__cause__ or error)
            return []
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0], error)
                return []
        events: list[Event] = []
        unable: BaseException | None = None
        for call in batch:
            call.failure = None
            try:
                if unable is not None:
                    raise unable  # who waits behind must not wait as long again
                self._run_together(connection, [call], alone=True)
                events += call.events
            except _CommitFailed as error:
                self._fail(call, error.__cause__ or error)
            except _NotBegun as error:
                unable = error.__cause__ or error
                self._fail(call, unable)
            except Exception as error:
                self._fail(call, error)
        return events

    def _run_together(
        self, connection: Connection, batch: list[_Call[Any]], alone: bool = False
    ) -> bool:
        """Run operations in one transaction; False if they have to be run apart."""
        tx = Transaction(connection, self._cache, int(self._reactor.seconds()))
        try:
            try:
                connection.begin()
            except Exception as error:
                raise _NotBegun from error
            if wrote := connection.others_wrote():
                self._cache.forget(wrote)
                self._others_wrote = _both(self._others_wrote, wrote)
            for call in batch:
                tx.next_operation()
                before = tx.writes
                try:
                    call.result = call.operation(tx)
                except MailError as error:
                    if alone or tx.writes != before or not connection.can_commit():
                        raise
                    self._fail(call, error)
                else:
                    call.events = tx.take_events()
            tx.finish()
            touched = touched_by(event for call in batch for event in call.events)
            try:
                connection.commit(touched)
            except Exception as error:
                raise _CommitFailed from error
        except BaseException as error:
            connection.rollback()
            for call in batch:
                call.events = []
            for step in tx.aborted():
                _guarded(step)
            if alone or len(batch) == 1 or isinstance(error, _CommitFailed | _NotBegun):
                raise
            return False
        for step in tx.committed():
            _guarded(step)
        if self._others_wrote:
            batch[0].events = [OthersWrote(self._others_wrote), *batch[0].events]
            self._others_wrote = NOTHING
        return True

    def _fail(self, call: _Call[Any], error: BaseException) -> None:
        """Note what an operation raised, naming what it was about."""
        told = error
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            told = (StorageFull if full else Unavailable)(f"{call.subject}: {error}")
        elif isinstance(error, Unavailable | Corrupt):
            told = type(error)(f"{call.subject}: {error.reason}", public=error.public)
        if told is not error:
            told.__cause__ = error
        call.failure = Failure(told)
        call.events = []

    # in the reactor

    def _hand_over(self, batch: list[_Call[Any]], events: list[Event]) -> None:
        tell = self._publish(events)
        for call in batch:
            if call.failure is None:
                call.deferred.callback(call.result)
            else:
                call.deferred.errback(call.failure)
        tell()

    def _refuse_rest(self) -> None:
        """What was submitted while the thread ended is not done."""
        while not self._queue.empty():
            call = self._queue.get_nowait()
            if call is not None:
                call.deferred.errback(Unavailable(f"{call.subject}: the store is closed"))


def _both(one: Touched, other: Touched) -> Touched:
    """Say what two reports say."""
    for everything in (EVERYTHING, ANYTHING):
        if everything in (one, other):
            return everything
    return one | other


def _guarded(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception:
        _log.failure("a step after a transaction raised")
