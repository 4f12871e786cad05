"""The policy table in a database: one thread takes all updates that wait, and commits them at once.

Invariants:

- The reactor never waits for the database; updates wait in a queue that has a bound.
- Updates of one batch see each other, in the order they came; an error of one's ``decide`` is its
  own, an error of the database is everybody's, and the next batch connects anew.
- Entries are bounded: a sweep removes what expired, and what is too much, every so often and
  after every so many changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailplat.interfaces.policy_table import Decide, IPolicyTable, Kept
from mailplat.model.errors import Unavailable
from mailplat.store.policy.database import PolicyConnection, PolicyDatabase

__all__ = ["DatabasePolicyTable", "TableLimits"]

T = TypeVar("T")

_log = Logger()

_LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class TableLimits:
    """What the table may take.

    Attributes:
        entries: Keys, roughly: between two sweeps there may be some more.
        sweep: Seconds between two sweeps.
        waiting: Updates that wait; a further one fails.
        batch: Updates that are committed together.
    """

    entries: int = 1_000_000
    sweep: float = 600.0
    waiting: int = 10_000
    batch: int = 200


@dataclass(slots=True, eq=False)
class _Update:
    """One that waits, with what came of it."""

    keys: dict[str, str]
    decide: Decide[Any]
    done: Deferred[Any]
    outcome: Any = None


@implementer(IPolicyTable)
class DatabasePolicyTable:
    """Keeps entries in a database; connects when it is first asked.

    Args:
        database: Which.
        reactor: Twisted's reactor, for its threads.
        now: Tells the time, seconds since 1970 UTC.
        limits: What it may take.
    """

    def __init__(
        self,
        database: PolicyDatabase,
        reactor: Any,
        now: Callable[[], float],
        limits: TableLimits | None = None,
    ) -> None:
        self._database = database
        self._reactor = reactor
        self._now = now
        self._limits = limits or TableLimits()
        self.entries = self._limits.entries
        self._pool: ThreadPool | None = None
        self._connection: PolicyConnection | None = None
        self._waiting: deque[_Update] = deque()
        self._working = False
        self._idle: list[Deferred[None]] = []
        self._sweep_at = 0.0
        self._changed = 0
        self._closed = False

    async def update(self, keys: Sequence[str], decide: Decide[T]) -> T:
        """See `IPolicyTable.update`."""
        if self._closed:
            raise Unavailable(f"{self._database.name}: the policy table is closed")
        if len(self._waiting) >= self._limits.waiting:
            raise Unavailable(f"{self._database.name}: too many updates of policy wait")
        update = _Update({_spelled(key): key for key in keys}, decide, Deferred())
        self._waiting.append(update)
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work())
        result: T = await update.done  # cancelled, it takes its result in silence
        return result

    async def close(self) -> None:
        """See `IPolicyTable.close`."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().done.errback(
                Failure(Unavailable(f"{self._database.name}: the policy table is closed"))
            )
        if self._working:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        pool, self._pool = self._pool, None
        if pool is not None:
            await deferToThreadPool(self._reactor, pool, self._disconnect)
            pool.stop()

    async def _work(self) -> None:
        """Do batches until nobody waits."""
        if self._pool is None:
            self._pool = ThreadPool(0, 1, "policy")
            self._pool.start()
        while self._waiting:
            size = min(len(self._waiting), self._limits.batch)
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                await deferToThreadPool(self._reactor, self._pool, self._do, batch)
            except Exception:
                failure = Failure()
                for update in batch:
                    update.outcome = failure
            for update in batch:
                update.done.callback(update.outcome)
        self._working = False
        while self._idle:
            self._idle.pop().callback(None)

    # in the thread

    def _do(self, batch: Sequence[_Update]) -> None:
        fresh = self._connection is None
        try:
            self._commit(batch)
        except Unavailable:
            if fresh:
                raise
            self._commit(batch)  # the server may have restarted while nobody asked
        try:
            self._sweep()
        except Exception:
            self._disconnect()
            _log.failure("{name}: cannot sweep the policy table", name=self._database.name)

    def _commit(self, batch: Sequence[_Update]) -> None:
        if self._connection is None:
            self._connection = self._database.connect()
        try:
            self._commit_by(self._connection, batch)
        except BaseException:
            self._connection.rollback()
            self._disconnect()
            raise

    def _commit_by(self, connection: PolicyConnection, batch: Sequence[_Update]) -> None:
        now = self._now()
        keys = dict.fromkeys(key for update in batch for key in update.keys)
        found = connection.begin(keys)
        changed: dict[str, Kept] = {}
        for update in batch:
            values = {
                key: found[spelled].value
                for spelled, key in update.keys.items()
                if spelled in found and found[spelled].expires > now
            }
            try:
                update.outcome, kept = update.decide(values)
            except Exception:
                update.outcome = Failure()
                continue
            spellings = {key: spelled for spelled, key in update.keys.items()}
            changes = {spellings[key]: one for key, one in kept.items()}
            found.update(changes)
            changed.update(changes)
        connection.commit(changed)
        self._changed += len(changed)

    def _sweep(self) -> None:
        now = self._now()
        due = now >= self._sweep_at or self._changed > self._limits.entries // 10
        if self._connection is None or not due:
            return
        self._sweep_at, self._changed = now + self._limits.sweep, 0
        self._connection.sweep(now, self._limits.entries)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _spelled(key: str) -> str:
    """Spell a key as any database takes it: bounded, ASCII, without NUL."""
    spelled = key.encode("ascii", "backslashreplace").replace(b"\0", b"\\0").decode()
    return (
        spelled
        if len(spelled) <= _LONGEST_KEY
        else f"sha256:{sha256(spelled.encode()).hexdigest()}"
    )
