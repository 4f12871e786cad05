"""Threads for filters that block: bounded, a pool of their own, and none is waited for for ever.

A thread cannot be ended from outside.  One whose answer nobody waits for any more is abandoned: it
is counted until its filter returns, and another takes its place, up to a bound.  Beyond it nothing
is asked, so filters that never return cost a known number of threads and no mail.

Invariants:

- At most ``threads`` calls are waited for at once; with those that were abandoned there are never
  more than ``threads + abandoned``.
- One owner has one call at a time; while an abandoned one runs, further ones are refused.
- The server can end whatever these threads do: they are daemons, and nobody joins them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.model.errors import Unavailable

__all__ = ["FilterThreads"]

_log = Logger()


class _Call:
    """Something to be done in a thread."""

    __slots__ = ("done", "owner", "work", "worker")

    def __init__(self, owner: object, work: Callable[[], Any], done: Deferred[Any]) -> None:
        self.owner = owner
        self.work = work
        self.done: Deferred[Any] | None = done
        self.worker: SimpleQueue[_Call | None] | None = None


class FilterThreads:
    """The pool.

    Args:
        reactor: Hears of what threads have done.
        threads: Calls that run at once.
        abandoned: Threads beside these, in place of those whose filters did not return in time.
        waiting: Calls that wait for a thread; further ones are refused.
    """

    def __init__(
        self, reactor: Any, *, threads: int = 10, abandoned: int = 20, waiting: int = 1000
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._most = threads + abandoned
        self._most_waiting = waiting
        self._waiting: deque[_Call] = deque()
        self._idle: list[SimpleQueue[_Call | None]] = []
        self._running: dict[int, _Call] = {}  # by the identity of the owner
        self._abandoned = 0
        self._closed = False

    @property
    def abandoned(self) -> int:
        """Threads that nobody waits for, and that have not returned."""
        return self._abandoned

    async def open(self) -> None:
        """Nothing to begin: threads begin with the first call."""

    async def close(self) -> None:
        """End the threads that have nothing to do, and leave the others to themselves."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def call(self, owner: object, work: Callable[[], Any]) -> Deferred[Any]:
        """Do something in a thread.

        Args:
            owner: Whose calls are made one after the other.
            work: What blocks.

        Returns:
            What the work gave or raised.  To cancel it is to abandon it.  Fails with `Unavailable`
            if there is no room for it.
        """
        done: Deferred[Any] = Deferred(lambda _: self._abandon(call))
        call = _Call(owner, work, done)
        if id(owner) in self._running:
            done.errback(Failure(Unavailable("its call before has not returned yet")))
        elif len(self._waiting) >= self._most_waiting or self._abandoned >= self._most:
            done.errback(Failure(Unavailable("too many calls do not return")))
        else:
            self._running[id(owner)] = call
            self._waiting.append(call)
            self._start()
        return done

    def _start(self) -> None:
        while self._waiting:
            existing = len(self._running) - len(self._waiting)
            if existing >= self._most or existing - self._abandoned >= self._threads:
                break
            call = self._waiting.popleft()
            call.worker = self._idle.pop() if self._idle else self._new_thread()
            call.worker.put(call)

    def _new_thread(self) -> SimpleQueue[_Call | None]:
        calls: SimpleQueue[_Call | None] = SimpleQueue()
        # a daemon: a filter that never returns must not keep the process from ending
        threading.Thread(target=self._work, args=(calls,), name="filter", daemon=True).start()
        return calls

    def _work(self, calls: SimpleQueue[_Call | None]) -> None:
        """In the thread: do one call after the other."""
        while (call := calls.get()) is not None:
            result: Any
            try:
                result = call.work()
            except BaseException:  # a filter's exit is not the thread's
                result = Failure()
            self._reactor.callFromThread(self._returned, call, result)

    def _returned(self, call: _Call, result: Any) -> None:
        """In the reactor: a thread is free again."""
        del self._running[id(call.owner)]
        assert call.worker is not None
        done, call.done = call.done, None
        if done is None:
            self._abandoned -= 1
            _log.info("an abandoned thread has returned; {n} have not", n=self._abandoned)
        if self._closed or len(self._idle) >= self._threads:
            call.worker.put(None)
        else:
            self._idle.append(call.worker)
        self._start()
        if done is not None:
            done.callback(result)

    def _abandon(self, call: _Call) -> None:
        call.done = None
        if call.worker is None:
            self._waiting.remove(call)
            del self._running[id(call.owner)]
            return
        self._abandoned += 1
        _log.warn("a filter's thread is abandoned; {n} have not returned", n=self._abandoned)
        self._start()
