"""The one thread that writes, and the commits that its callers share.

An operation is a function of a connection.  The thread takes all that wait, runs one after the
other in one transaction, each behind a savepoint, and commits once (group commit).

Invariants: nobody hears of a change before it is durable; an operation that fails has changed
nothing and fails alone; if the commit fails, all that shared it fail, and none of it is there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from mailplat.model.errors import Unavailable
from mailplat.spool.disk import Disk, failure

__all__ = ["Writer"]

T = TypeVar("T")


class _Call(Generic[T]):
    """An operation on its way there and back."""

    __slots__ = ("deferred", "operation", "outcome")

    def __init__(self, operation: Callable[[sqlite3.Connection], T]) -> None:
        self.operation = operation
        self.deferred: Deferred[T] = Deferred()
        self.outcome: T | Failure | None = None


class Writer:
    """Runs operations durably, one batch after the other.

    Args:
        reactor: Its thread gets the results.
        disk: Commits.
        connection: To the database; closed at the end.
        name: What the database is called in reasons.
        batch: Operations that share a commit at most.
    """

    def __init__(
        self,
        reactor: Any,
        disk: Disk,
        connection: sqlite3.Connection,
        name: str,
        *,
        batch: int = 256,
    ) -> None:
        self._reactor = reactor
        self._disk = disk
        self._connection = connection
        self._name = name
        self._batch = batch
        self._closed = False
        self._queue: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mailplat spool", daemon=True)
        self._thread.start()

    def run(self, operation: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """Run an operation; what it returned comes when it is durable."""
        if self._closed:
            return fail(Unavailable(f"{self._name}: the spool is closed"))
        call = _Call(operation)
        self._queue.put(call)
        return call.deferred

    def close(self) -> Deferred[None]:
        """Finish what waits, and end the thread."""
        if self._closed:
            return succeed(None)
        self._closed = True
        self._queue.put(None)
        return deferToThread(self._thread.join)

    # in the thread

    def _work(self) -> None:
        stopping = False
        while not stopping:
            calls: list[_Call[Any]] = []
            call = self._queue.get()
            try:
                while call is not None:
                    calls.append(call)
                    if len(calls) >= self._batch:
                        break
                    call = self._queue.get_nowait()
                else:
                    stopping = True
            except Empty:
                pass
            if calls:
                self._run(calls)
                self._reactor.callFromThread(_hand_over, calls)
        self._connection.close()

    def _run(self, calls: list[_Call[Any]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for call in calls:
                self._run_one(call)
            self._disk.commit(self._connection)
        except BaseException as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            for call in calls:
                call.outcome = self._told(error)

    def _run_one(self, call: _Call[Any]) -> None:
        self._connection.execute("SAVEPOINT operation")
        try:
            call.outcome = call.operation(self._connection)
        except Exception as error:
            self._connection.execute("ROLLBACK TO operation")
            call.outcome = self._told(error)
        self._connection.execute("RELEASE operation")

    def _told(self, error: BaseException) -> Failure:
        if isinstance(error, OSError | sqlite3.OperationalError | sqlite3.DatabaseError):
            told = failure(error, self._name)
            told.__cause__ = error
            return Failure(told)
        return Failure(error)


def _hand_over(calls: list[_Call[Any]]) -> None:
    for call in calls:
        if isinstance(call.outcome, Failure):
            call.deferred.errback(call.outcome)
        else:
            call.deferred.callback(call.outcome)
