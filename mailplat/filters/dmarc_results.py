"""Results of DMARC until they are reported: a small SQLite database, counts of alike messages.

Invariants:

- Mail never waits for it: what is noted is counted in memory, and written some seconds later in
  one transaction; a crash loses these seconds of counts, and no mail.
- It never grows beyond a number of rows; above that only messages like those known are counted,
  and the report says that some are missing.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.message.auth.dmarc_report import (
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
)
from mailplat.model.errors import ConfigurationFault

__all__ = ["DmarcResults", "Gathered"]

T = TypeVar("T")

_log = Logger()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS span (
    begin INTEGER NOT NULL,         -- seconds since 1970 UTC
    domain TEXT NOT NULL,           -- whose policy it is
    published TEXT NOT NULL,        -- the policy that was seen last, as JSON
    reports_to TEXT NOT NULL,
    missing INTEGER NOT NULL,       -- messages that were not counted for want of room
    PRIMARY KEY (begin, domain)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alike (
    begin INTEGER NOT NULL,
    domain TEXT NOT NULL,
    facts TEXT NOT NULL,            -- the row without its count, as JSON
    count INTEGER NOT NULL,
    PRIMARY KEY (begin, domain, facts)
) WITHOUT ROWID;
"""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known of a domain's mail in a span of time.

    Attributes:
        published: Its policy, as it was seen last.
        reports_to: Where it wants reports.
        rows: What came, the most frequent first.
        missing: Messages that are in no row.
    """

    published: Published
    reports_to: str
    rows: Sequence[Row]
    missing: int = 0


_Span = tuple[int, str]


@implementer(IDmarcResults)
class DmarcResults:
    """Gathers results.

    Args:
        reactor: Its threads touch the disk.
        path: The database's file.
        interval: Seconds that one report covers; spans begin at multiples of it since 1970.
        max_rows: Rows that are kept.
        flush_after: Seconds after which what was noted is written.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        *,
        interval: int = 86_400,
        max_rows: int = 100_000,
        flush_after: float = 5.0,
    ) -> None:
        self.interval = interval
        self._reactor = reactor
        self._path = path
        self._max_rows = max_rows
        self._flush_after = flush_after
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._seen: dict[_Span, tuple[str, str]] = {}
        self._missing: Counter[_Span] = Counter()
        self._lock = DeferredLock()
        self._flushing: Any = None
        self._open = False

    async def open(self) -> None:
        """Make the database, if there is none.

        Raises:
            ConfigurationFault: The file is something else, or another version's.
        """
        await self._in_thread(self._create)
        self._open = True

    async def close(self) -> None:
        """Write what was noted."""
        if self._open:
            if self._flushing is not None:
                self._flushing.cancel()
                self._flushing = None
            self._open = False
            await self.flush()

    def note(self, at: float, published: Published, reports_to: str, row: Row) -> None:
        """See `IDmarcResults.note`."""
        if not self._open:
            return
        begin = int(at) // self.interval * self.interval
        facts = asdict(row)
        del facts["count"]
        key = (begin, published.domain, json.dumps(facts, ensure_ascii=False, sort_keys=True))
        if key in self._counts or len(self._counts) < self._max_rows:
            self._counts[key] += row.count
        else:
            self._missing[begin, published.domain] += row.count
        self._seen[begin, published.domain] = (json.dumps(asdict(published)), reports_to)
        if self._flushing is None:
            self._flushing = self._reactor.callLater(self._flush_after, self._flush_later)

    def _flush_later(self) -> None:
        self._flushing = None

        def failed(failure: Any) -> None:
            _log.failure("results of DMARC are lost", failure=failure)

        Deferred.fromCoroutine(self.flush()).addErrback(failed)

    async def flush(self) -> None:
        """Write what was noted until now."""
        counts, seen, missing = self._counts, self._seen, self._missing
        self._counts, self._seen, self._missing = Counter(), {}, Counter()
        if seen:
            await self._in_thread(lambda: self._write(counts, seen, missing))

    async def ended(self, now: float) -> Sequence[_Span]:
        """Name the spans that are over, the oldest first: when each began, and whose it is."""
        return await self._in_thread(lambda: self._ended(int(now) - self.interval))

    async def gathered(self, begin: int, domain: str) -> Gathered:
        """Give what is known of a domain's mail in a span."""
        return await self._in_thread(lambda: self._gathered(begin, domain))

    async def forget(self, begin: int, domain: str) -> None:
        """Forget a span that was reported."""
        await self._in_thread(lambda: self._forget(begin, domain))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do one thing at a time."""
        await self._lock.acquire()
        try:
            pool = self._reactor.getThreadPool()
            done: T = await deferToThreadPool(self._reactor, pool, work)
            return done
        finally:
            self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10.0, isolation_level=None)

    def _create(self) -> None:
        try:
            with closing(self._connect()) as database:
                (version,) = database.execute("PRAGMA user_version").fetchone()
                if version not in (0, _VERSION):
                    raise ConfigurationFault(f"{self._path} is of another version of mailplat")
                database.execute("PRAGMA journal_mode=WAL")
                database.executescript(_SCHEMA)
                database.execute(f"PRAGMA user_version={_VERSION}")
        except sqlite3.Error as error:
            raise ConfigurationFault(f"{self._path}: {error}") from None
        self._path.chmod(0o600)

    def _write(
        self,
        counts: Counter[tuple[int, str, str]],
        seen: dict[_Span, tuple[str, str]],
        missing: Counter[_Span],
    ) -> None:
        with closing(self._connect()) as database:
            database.execute("BEGIN IMMEDIATE")
            (there,) = database.execute("SELECT count(*) FROM alike").fetchone()
            for (begin, domain, facts), count in counts.items():
                found = database.execute(
                    "UPDATE alike SET count = count + ? WHERE begin = ? AND domain = ? "
                    "AND facts = ?",
                    (count, begin, domain, facts),
                )
                if found.rowcount:
                    continue
                if there >= self._max_rows:
                    missing[begin, domain] += count
                    continue
                database.execute(
                    "INSERT INTO alike VALUES (?, ?, ?, ?)", (begin, domain, facts, count)
                )
                there += 1
            (spans,) = database.execute("SELECT count(*) FROM span").fetchone()
            for (begin, domain), (published, reports_to) in seen.items():
                more = missing[begin, domain]
                found = database.execute(
                    "UPDATE span SET published = ?, reports_to = ?, missing = missing + ? "
                    "WHERE begin = ? AND domain = ?",
                    (published, reports_to, more, begin, domain),
                )
                if not found.rowcount and spans < self._max_rows:
                    spans += 1
                    database.execute(
                        "INSERT INTO span VALUES (?, ?, ?, ?, ?)",
                        (begin, domain, published, reports_to, more),
                    )
            database.execute("COMMIT")
        if missing:
            _log.warn(
                "results of DMARC: {count} messages are not counted, as there are {rows} rows: "
                "raise dmarc.max_rows",
                count=missing.total(),
                rows=self._max_rows,
            )

    def _ended(self, before: int) -> list[_Span]:
        with closing(self._connect()) as database:
            return database.execute(
                "SELECT begin, domain FROM span WHERE begin <= ? ORDER BY begin, domain", (before,)
            ).fetchall()

    def _gathered(self, begin: int, domain: str) -> Gathered:
        with closing(self._connect()) as database:
            published, reports_to, missing = database.execute(
                "SELECT published, reports_to, missing FROM span WHERE begin = ? AND domain = ?",
                (begin, domain),
            ).fetchone()
            alike = database.execute(
                "SELECT facts, count FROM alike WHERE begin = ? AND domain = ? "
                "ORDER BY count DESC, facts",
                (begin, domain),
            ).fetchall()
        rows = [replace(_row(json.loads(facts)), count=count) for facts, count in alike]
        return Gathered(Published(**json.loads(published)), reports_to, rows, missing)

    def _forget(self, begin: int, domain: str) -> None:
        with closing(self._connect()) as database:
            database.execute("BEGIN IMMEDIATE")
            for table in ("alike", "span"):
                database.execute(
                    f"DELETE FROM {table} WHERE begin = ? AND domain = ?",
                    (begin, domain),
                )
            database.execute("COMMIT")


def _row(facts: dict[str, Any]) -> Row:
    """Read a row as it is kept."""
    return Row(
        **{
            **facts,
            "count": 0,
            "overrides": tuple(Override(**one) for one in facts["overrides"]),
            "signatures": tuple(SignatureResult(**one) for one in facts["signatures"]),
            "senders": tuple(SPFResult(**one) for one in facts["senders"]),
        }
    )
