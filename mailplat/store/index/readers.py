"""A few threads that read, each with its own connection.

A job is a function of a connection; it sees one commit, the newest when it began, and holds up no
writer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from mailplat.model.errors import Corrupt, Unavailable
from mailplat.store.index.database import Connection, Database

__all__ = ["Job", "Readers"]

T = TypeVar("T")
Job = Callable[[Connection], T]


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    job: Job[T]
    subject: str
    deferred: Deferred[T]


class Readers:
    """Runs jobs that read.

    Args:
        database: Where from.
        reactor: Its thread gets the results.
        threads: How many.
    """

    def __init__(self, database: Database, reactor: Any, threads: int = 2) -> None:
        self._database = database
        self._reactor = reactor
        self._count = threads
        self._queue: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Connect, and take jobs from now on.  Blocks."""
        for number in range(self._count):
            connection = self._database.connect(writes=False)
            thread = threading.Thread(
                target=self._work,
                args=(connection,),
                name=f"mailplat reader {number + 1}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    async def stop(self) -> None:
        """Finish all jobs that wait, then disconnect."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            await deferToThread(thread.join)

    def read(self, job: Job[T], subject: str) -> Deferred[T]:
        """Run a job; ``subject`` says what it is about, for the reasons of errors."""
        call = _Call(job, subject, Deferred[T]())
        if self._threads:
            self._queue.put(call)
        else:
            call.deferred.errback(Unavailable(f"{subject}: {self._database.name} is closed"))
        return call.deferred

    def _work(self, connection: Connection) -> None:
        while (call := self._queue.get()) is not None:
            try:
                with connection.snapshot():
                    result = call.job(connection)
            except (Unavailable, Corrupt) as error:
                told = type(error)(f"{call.subject}: {error.reason}", public=error.public)
                told.__cause__ = error
                self._reactor.callFromThread(call.deferred.errback, Failure(told))
            except OSError as error:
                fault = Unavailable(f"{call.subject}: {error}")
                fault.__cause__ = error
                self._reactor.callFromThread(call.deferred.errback, Failure(fault))
            except Exception:
                self._reactor.callFromThread(call.deferred.errback, Failure())
            else:
                self._reactor.callFromThread(call.deferred.callback, result)
        connection.close()
