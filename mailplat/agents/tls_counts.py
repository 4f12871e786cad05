"""How often TLS with other servers went well or failed, by day and domain, on the disk.

Sessions are counted in memory and written together, once a minute and in the end: a crash loses a
minute of statistics and no mail.

Invariant: there are no more rows and no more counters in memory than the limit says; what would be
one more is not counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.agents.tls_notes import Applied
from mailplat.message.tls_report import DAY, FailedSessions, PolicySessions
from mailplat.model.errors import ConfigurationFault
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["TLSCounts"]

_WAIT = 10.0
"""Seconds that one process waits for another one's commit."""

_EVERY = 60.0
_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS tls_session (
        day INTEGER NOT NULL,
        domain TEXT NOT NULL,
        kind TEXT NOT NULL,
        policy TEXT NOT NULL,
        result TEXT NOT NULL,
        host TEXT NOT NULL,
        address TEXT NOT NULL,
        source TEXT NOT NULL,
        why TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (day, domain, kind, policy, result, host, address, source, why)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS tls_reported (
        day INTEGER NOT NULL,
        domain TEXT NOT NULL,
        uri TEXT NOT NULL,
        PRIMARY KEY (day, domain, uri)
    ) STRICT, WITHOUT ROWID
    """,
)
_UPDATE = (
    "UPDATE tls_session SET count = count + ? WHERE day = ? AND domain = ? AND kind = ?"
    " AND policy = ? AND result = ? AND host = ? AND address = ?"
    " AND source = ? AND why = ?"
)
_INSERT = "INSERT INTO tls_session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class _Counted(NamedTuple):
    day: int
    domain: str
    kind: str
    policy: str
    result: str
    host: str
    address: str
    source: str
    why: str


class TLSCounts:
    """Counts sessions; see `TLSNotes`.

    Args:
        reactor: Tells when to write, and has threads.
        now: The time, seconds since 1970 UTC.
        path: The database; it is made where there is none.
        most: How many different things are counted.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, now: Callable[[], float], path: Path, most: int = 100_000
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._path = path
        self._most = most
        self._fresh: Counter[_Counted] = Counter()
        self._policies: dict[Applied, str] = {}
        self._next: IDelayedCall | None = None
        self._writing = DeferredLock()

    async def open(self) -> None:
        """Make the database, if there is none.

        Raises:
            ConfigurationFault: It cannot be used.
        """
        try:
            await deferToThread(self._write, {})
        except sqlite3.Error as error:
            raise ConfigurationFault(f"{self._path}: {error}") from error

    async def close(self) -> None:
        """Write what was counted."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        await self.flush()

    def note(
        self,
        applied: Applied,
        result: str,
        *,
        host: str = "",
        address: str = "",
        source: str = "",
        why: str = "",
    ) -> None:
        """See `TLSNotes.note`."""
        domain = ascii_domain(applied.domain)
        if domain is None or domain.startswith("["):
            return
        policy = self._policies.get(applied)
        if policy is None:
            if len(self._policies) >= self._most:
                self._policies.clear()
            policy = json.dumps([applied.lines, applied.hosts])
            self._policies[applied] = policy
        day = int(self._now()) // DAY * DAY
        told = (host, address, source, why[:200]) if result else ("", "", "", "")
        counted = _Counted(day, domain, applied.kind.value, policy, result, *told)
        if counted not in self._fresh and len(self._fresh) >= self._most:
            return
        self._fresh[counted] += 1
        if self._next is None:
            self._next = self._reactor.callLater(_EVERY, self._flush_soon)

    def _flush_soon(self) -> None:
        self._next = None
        Deferred.fromCoroutine(self.flush()).addErrback(self._not_written)

    def _not_written(self, failure: Failure) -> None:
        self.log.failure("cannot write the counts of TLS", failure)

    async def flush(self) -> None:
        """Write what was counted."""
        await self._writing.acquire()
        fresh, self._fresh = self._fresh, Counter()
        try:
            if fresh:
                await deferToThread(self._write, fresh)
        finally:
            self._writing.release()

    async def days(self) -> list[tuple[int, str]]:
        """List the days and domains that are counted, the oldest day first."""
        await self.flush()
        return await deferToThread(self._days)

    async def sessions(self, day: int, domain: str) -> list[PolicySessions]:
        """Tell what came of the sessions with a domain on a day."""
        return await deferToThread(self._sessions, day, domain)

    async def reported(self, day: int, domain: str) -> set[str]:
        """Tell to which URIs a report went."""
        return await deferToThread(self._reported, day, domain)

    async def report(self, day: int, domain: str, uri: str) -> None:
        """Remember that a report went to a URI."""
        await deferToThread(self._report, day, domain, uri)

    async def forget(self, day: int, domain: str) -> None:
        """Forget a day of a domain."""
        await deferToThread(self._forget, day, domain)

    # In threads.

    def _write(self, fresh: Mapping[_Counted, int]) -> None:
        with self._database() as database:
            (rows,) = database.execute("SELECT count(*) FROM tls_session").fetchone()
            for counted, count in fresh.items():
                if database.execute(_UPDATE, (count, *counted)).rowcount:
                    continue
                if rows < self._most:
                    database.execute(_INSERT, (*counted, count))
                    rows += 1

    def _days(self) -> list[tuple[int, str]]:
        with self._database() as database:
            return database.execute(
                "SELECT DISTINCT day, domain FROM tls_session ORDER BY day, domain"
            ).fetchall()

    def _sessions(self, day: int, domain: str) -> list[PolicySessions]:
        with self._database() as database:
            rows = database.execute(
                "SELECT kind, policy, result, host, address, source, why, count FROM tls_session"
                " WHERE day = ? AND domain = ? ORDER BY kind, policy, count DESC",
                (day, domain),
            ).fetchall()
        good: Counter[tuple[str, str]] = Counter()
        failed: dict[tuple[str, str], list[FailedSessions]] = {}
        for kind, policy, result, host, address, source, why, count in rows:
            found = failed.setdefault((kind, policy), [])
            if result:
                found.append(FailedSessions(result, host, address, source, why, count))
            else:
                good[kind, policy] += count
        told = []
        for (kind, policy), those in failed.items():
            lines, hosts = json.loads(policy)
            told.append(
                PolicySessions(kind, tuple(lines), tuple(hosts), good[kind, policy], tuple(those))
            )
        return told

    def _reported(self, day: int, domain: str) -> set[str]:
        with self._database() as database:
            rows = database.execute(
                "SELECT uri FROM tls_reported WHERE day = ? AND domain = ?", (day, domain)
            ).fetchall()
        return {uri for (uri,) in rows}

    def _report(self, day: int, domain: str, uri: str) -> None:
        with self._database() as database:
            database.execute(
                "INSERT OR IGNORE INTO tls_reported VALUES (?, ?, ?)", (day, domain, uri)
            )

    def _forget(self, day: int, domain: str) -> None:
        with self._database() as database:
            for table in ("tls_session", "tls_reported"):
                database.execute(f"DELETE FROM {table} WHERE day = ? AND domain = ?", (day, domain))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=_WAIT)
        try:
            with database:
                for table in _SCHEMA:
                    database.execute(table)
                yield database
        finally:
            database.close()
