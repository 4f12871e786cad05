"""A few threads that read, each with its own connection.

A job is a function of a connection; it sees one commit, the newest when it began, and holds up no
writer.

Each thread waits for itself, and the one that read last is given the next job: waking one thread
that is still warm costs a fraction of what a queue costs that several wait for.
"""

from __future__ import annotations

import threading
from collections import deque
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


_Inbox = SimpleQueue[_Call[Any] | None]
"""Where one thread waits for its next job; None ends it."""


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
        self._threads: list[tuple[threading.Thread, _Inbox]] = []
        self._idle: list[_Inbox] = []  # the reactor's; who came last is taken first
        self._waiting: deque[_Call[Any]] = deque()  # while no thread is idle

    def start(self) -> None:
        """Connect, and take jobs from now on.  Blocks."""
        for number in range(self._count):
            connection = self._database.connect(writes=False)
            inbox: _Inbox = SimpleQueue()
            thread = threading.Thread(
                target=self._work,
                args=(connection, inbox),
                name=f"mailplat reader {number + 1}",
                daemon=True,
            )
            thread.start()
            self._threads.append((thread, inbox))
            self._idle.append(inbox)

    async def stop(self) -> None:
        """Finish all jobs that wait, then disconnect."""
        threads, self._threads = self._threads, []
        for _, inbox in threads:
            inbox.put(None)
        for thread, _ in threads:
            await deferToThread(thread.join)

    def read(self, job: Job[T], subject: str) -> Deferred[T]:
        """Run a job; ``subject`` says what it is about, for the reasons of errors."""
        call = _Call(job, subject, Deferred[T]())
        if not self._threads:
            call.deferred.errback(Unavailable(f"{subject}: {self._database.name} is closed"))
        elif self._idle:
            self._idle.pop().put(call)
        else:
            self._waiting.append(call)
        return call.deferred

    # in a thread

    def _work(self, connection: Connection, inbox: _Inbox) -> None:
        call = inbox.get()
        while call is not None:
            result = _run(connection, call)
            try:
                following = self._waiting.popleft()
            except IndexError:
                self._reactor.callFromThread(self._done, call, result, inbox)
                call = inbox.get()
            else:
                self._reactor.callFromThread(self._done, call, result, None)
                call = following
        connection.close()

    # in the reactor

    def _done(self, call: _Call[T], result: T | Failure, idle: _Inbox | None) -> None:
        """Take a result; give a thread that is idle now what came in the meantime."""
        if idle is not None:
            if self._waiting:
                idle.put(self._waiting.popleft())
            else:
                self._idle.append(idle)
        call.deferred.callback(result)


def _run(connection: Connection, call: _Call[T]) -> T | Failure:
    try:
        with connection.snapshot():
            return call.job(connection)
    except (Unavailable, Corrupt) as error:
        told = type(error)(f"{call.subject}: {error.reason}", public=error.public)
        told.__cause__ = error
        return Failure(told)
    except OSError as error:
        fault = Unavailable(f"{call.subject}: {error}")
        fault.__cause__ = error
        return Failure(fault)
    except Exception:
        return Failure()
