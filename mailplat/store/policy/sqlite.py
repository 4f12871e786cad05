"""The policy table in a SQLite file of its own, which several processes may share.

The log ahead is not flushed at each commit: a power cut costs a few greylisted mails a second
delay, and a flush would cost every one of them some milliseconds.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mailplat.interfaces.policy_table import Kept
from mailplat.model.errors import Corrupt, MailError, StorageFull, Unavailable
from mailplat.store.policy.database import PolicyConnection, check_version
from mailplat.store.policy.schema import SCHEMA_VERSION, SQLITE

__all__ = ["SQLitePolicyDatabase"]


class SQLitePolicyDatabase:
    """A file.

    Args:
        path: Made if it is not there; its directory is.
        busy_seconds: How long to wait for other processes.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0) -> None:
        self.name = f"sqlite:{path}"
        self._path = path
        self._busy_seconds = busy_seconds

    def connect(self) -> PolicyConnection:
        """See `PolicyDatabase.connect`."""
        with _told(self._path):
            # addresses of strangers and of our users are nobody else's business
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            raw = sqlite3.connect(
                self._path,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(raw)
            except BaseException:
                raw.close()
                raise
        return _Connection(self._path, raw)

    def _prepare(self, raw: sqlite3.Connection) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY"):
            raw.execute(f"PRAGMA {pragma}")
        raw.execute("BEGIN IMMEDIATE")
        for statement in SQLITE.create:
            raw.execute(statement)
        found = [version for (version,) in raw.execute(SQLITE.find_version)]
        check_version(self.name, found)
        if not found:
            raw.execute(SQLITE.add_version, {"version": SCHEMA_VERSION})
        raw.execute("COMMIT")


class _Connection:
    def __init__(self, path: Path, raw: sqlite3.Connection) -> None:
        self._path = path
        self._raw = raw

    def begin(self, keys: Collection[str]) -> dict[str, Kept]:
        """See `PolicyConnection.begin`; a transaction that writes has the file to itself."""
        with _told(self._path):
            self._raw.execute("BEGIN IMMEDIATE")
            found = {}
            for key in keys:
                row = self._raw.execute(SQLITE.find, {"key": key}).fetchone()
                if row is not None:
                    found[key] = Kept(*row)
            return found

    def commit(self, changed: Mapping[str, Kept]) -> None:
        """See `PolicyConnection.commit`."""
        with _told(self._path):
            self._raw.executemany(
                SQLITE.put,
                [
                    {"key": key, "value": kept.value, "expires": kept.expires}
                    for key, kept in changed.items()
                ],
            )
            self._raw.execute("COMMIT")

    def rollback(self) -> None:
        """See `PolicyConnection.rollback`."""
        with suppress(sqlite3.Error):
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")

    def sweep(self, now: float, most: int) -> int:
        """See `PolicyConnection.sweep`."""
        with _told(self._path):
            self._raw.execute(SQLITE.expire, {"now": now})
            ((count,),) = self._raw.execute(SQLITE.count).fetchall()
            if count > most:
                self._raw.execute(SQLITE.shrink, {"most": count - most})
            return min(int(count), most)

    def close(self) -> None:
        """See `PolicyConnection.close`."""
        with suppress(sqlite3.Error):
            self._raw.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say SQLite's errors as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        kind: type[MailError] = Unavailable
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            kind = StorageFull
        raise kind(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(
            f"{path}: {error}: remove the file while the server is stopped; nothing but "
            "delays is lost with it"
        ) from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
