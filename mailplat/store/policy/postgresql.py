"""The policy table in PostgreSQL, in the schema of the mail, shared by all servers there.

Keys are locked by advisory locks, in the order of their numbers, so that nobody waits for somebody
who waits for him; who comes next sees what was committed.  A commit is not flushed: losing the last
moment before a power cut costs delays, never mail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from zlib import crc32

import psycopg

from mailplat.interfaces.policy_table import Kept
from mailplat.store.policy.database import PolicyConnection, check_version
from mailplat.store.policy.schema import POSTGRESQL, SCHEMA_VERSION
from mailplat.store.sql.faults import told
from mailplat.store.sql.postgresql import PostgreSQLDatabase

__all__ = ["PostgreSQLPolicyDatabase"]

_LOCK = 0x4D50
"""The class of the advisory locks of keys ("MP"); below it, one of making the table."""

_LOCKS = b"SELECT pg_advisory_xact_lock(%s, one) FROM unnest(CAST(%s AS int[])) AS one"


class PostgreSQLPolicyDatabase:
    """A database, or one schema of it.

    Args:
        url: What libpq takes, as the store does.
        busy_seconds: How long to wait for other servers.

    Raises:
        ConfigurationFault: The URL cannot be read.
    """

    def __init__(self, url: str, *, busy_seconds: float = 10.0) -> None:
        self._database = PostgreSQLDatabase(url, busy_seconds=busy_seconds)
        self._busy_seconds = busy_seconds
        self.name = self._database.name

    def connect(self) -> PolicyConnection:
        """See `PolicyDatabase.connect`."""
        raw = self._database.connect_plain()
        try:
            with _told(self.name):
                self._prepare(raw)
        except BaseException:
            raw.close()
            raise
        return _Connection(self.name, raw)

    def _prepare(self, raw: Any) -> None:
        wait = f"{round(self._busy_seconds * 1000)}ms"
        raw.execute("SELECT set_config('lock_timeout', %s, false)", [wait])
        raw.execute("SET synchronous_commit = off")
        raw.execute(_LOCKS, [_LOCK - 1, [0]])  # servers that start at once make it one by one
        for statement in POSTGRESQL.create:
            raw.execute(statement)
        found = [version for (version,) in raw.execute(POSTGRESQL.find_version)]
        check_version(self.name, found)
        if not found:
            raw.execute(POSTGRESQL.add_version, {"version": SCHEMA_VERSION})
        raw.commit()


class _Connection:
    def __init__(self, name: str, raw: Any) -> None:
        self._name = name
        self._raw = raw

    def begin(self, keys: Collection[str]) -> dict[str, Kept]:
        """See `PolicyConnection.begin`."""
        with _told(self._name):
            numbers = sorted({_number(key) for key in keys})
            self._raw.execute(_LOCKS, [_LOCK, numbers])
            found = {}
            for key in keys:
                row = self._raw.execute(POSTGRESQL.find, {"key": key}).fetchone()
                if row is not None:
                    found[key] = Kept(*row)
            return found

    def commit(self, changed: Mapping[str, Kept]) -> None:
        """See `PolicyConnection.commit`."""
        rows = [
            {"key": key, "value": kept.value, "expires": kept.expires}
            for key, kept in changed.items()
        ]
        with _told(self._name):
            if rows:
                self._raw.cursor().executemany(POSTGRESQL.put, rows)
            self._raw.commit()

    def rollback(self) -> None:
        """See `PolicyConnection.rollback`."""
        with suppress(psycopg.Error):
            self._raw.rollback()

    def sweep(self, now: float, most: int) -> int:
        """See `PolicyConnection.sweep`."""
        with _told(self._name):
            self._raw.execute(POSTGRESQL.expire, {"now": now})
            (count,) = self._raw.execute(POSTGRESQL.count).fetchone()
            if count > most:
                self._raw.execute(POSTGRESQL.shrink, {"most": count - most})
            self._raw.commit()
            return min(int(count), most)

    def close(self) -> None:
        """See `PolicyConnection.close`."""
        with suppress(psycopg.Error):
            self._raw.close()


def _number(key: str) -> int:
    """Give the number of a key's lock: as any hash, two keys may share one."""
    return crc32(key.encode()) - (1 << 31)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        fault = told(error, name)
        if fault is None:
            raise
        raise fault from error
