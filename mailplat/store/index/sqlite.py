"""SQLite behind the index's few methods, by the standard library's driver.

Durable is what was committed: the log is written ahead (WAL) and flushed at every commit
(``synchronous=FULL``).  Readers see the last commit and hold up nobody.  Another process may read
and write as well; it waits its turn for some seconds.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from mailplat.model.errors import ConfigurationFault, Corrupt, StorageFull, Unavailable
from mailplat.store.index.database import ANYTHING, NOTHING, Dialect, Following, Row, Touched
from mailplat.store.index.schema import APPLICATION_ID, check_version, script

__all__ = ["SQLITE", "SQLiteConnection", "SQLiteDatabase", "SQLiteDialect"]

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SQLiteDialect:
    """SQLite's own words."""

    name = "sqlite"
    take_lease: str | None = None
    drop_lease: str | None = None

    def joined_numbers(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_numbers`."""
        return f"group_concat({expression})"

    def joined_lines(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_lines`."""
        return f"group_concat({expression}, char(10))"

    def joined_bytes(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_bytes`; a byte string's bytes go through unchanged."""
        return f"CAST(group_concat({expression}, '') AS BLOB)"

    def length(self, expression: str) -> str:
        """See `Dialect.length`; every text in the index that is measured is a byte string."""
        return f"length({expression})"


SQLITE = SQLiteDialect()
"""The one there is."""


class SQLiteConnection:
    """One connection to a SQLite file.

    Args:
        path: The file, which is there.
        busy_seconds: How long to wait for another process that writes.
        cache_bytes: Memory for pages.
        checkpoint_bytes: Size of the log ahead at which a commit moves it into the file.
        writes: False opens it for reading alone.
        flushes: False leaves it to the system when a commit reaches the disk; a power cut may
            then take the newest ones, and never leaves half of one.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float,
        cache_bytes: int,
        checkpoint_bytes: int,
        writes: bool,
        flushes: bool = True,
    ) -> None:
        self.dialect: Dialect = SQLITE
        self._path = path
        self._version: int | None = None
        with _told(path):
            self._raw = sqlite3.connect(
                path,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
            try:
                (page_size,) = self._raw.execute("PRAGMA page_size").fetchone()
                for pragma in (
                    f"synchronous={'FULL' if flushes else 'NORMAL'}",
                    f"cache_size=-{cache_bytes // 1024}",
                    "temp_store=MEMORY",
                    f"wal_autocheckpoint={max(1, checkpoint_bytes // page_size)}",
                    f"journal_size_limit={2 * checkpoint_bytes}",
                    f"query_only={int(not writes)}",
                ):
                    self._raw.execute(f"PRAGMA {pragma}")
                self._inode = os.stat(path).st_ino
            except BaseException:
                self._raw.close()
                raise

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """See `Connection.all`."""
        try:
            return self._raw.execute(sql, args).fetchall()
        except sqlite3.Error as error:
            _raise(error, self._path)

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """See `Connection.one`."""
        try:
            rows = self._raw.execute(sql, args).fetchall()
        except sqlite3.Error as error:
            _raise(error, self._path)
        return rows[0] if rows else None

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """See `Connection.run`."""
        try:
            return self._raw.execute(sql, args).rowcount
        except sqlite3.Error as error:
            _raise(error, self._path)

    def begin(self) -> None:
        """See `Connection.begin`."""
        self._check_file()
        self.run("BEGIN IMMEDIATE")

    def commit(self, touched: Collection[tuple[int, int]] = NOTHING) -> None:
        """See `Connection.commit`; others see that something was written, not what."""
        self.run("COMMIT")

    def can_commit(self) -> bool:
        """See `Connection.can_commit`."""
        return self._raw.in_transaction

    def rollback(self) -> None:
        """See `Connection.rollback`; SQLite may have rolled back by itself."""
        with suppress(sqlite3.Error):
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Connection.snapshot`."""
        self.run("BEGIN")
        try:
            yield
        finally:
            self.rollback()

    def check(self) -> list[str]:
        """See `Connection.check`."""
        lines = [str(row[0]) for row in self.all("PRAGMA integrity_check(20)")]
        return [] if lines == ["ok"] else [f"{self._path}: {line}" for line in lines]

    def others_wrote(self) -> Touched:
        """See `Connection.others_wrote`."""
        row = self.one("PRAGMA data_version")
        version = row[0] if row else 0
        changed = self._version is not None and version != self._version
        self._version = version
        return ANYTHING if changed else NOTHING

    def close(self) -> None:
        """See `Connection.close`."""
        with suppress(sqlite3.Error):
            self._raw.close()

    def _check_file(self) -> None:
        """A file removed or replaced under a running server would take mail and lose it."""
        try:
            same = os.stat(self._path).st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise Unavailable(f"{self._path}: the database was removed or replaced; restart")


class SQLiteDatabase:
    """A SQLite file.

    Args:
        path: The file; its directory is made if it is not there.
        busy_seconds: How long to wait for another process that writes.
        cache_bytes: Memory for pages, for each connection.
        checkpoint_bytes: Size of the log ahead at which a commit moves it into the file.
        page_bytes: Size of a page of a new file.
        remedy: What an operator may do if the file is damaged.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = 10.0,
        cache_bytes: int = 16 << 20,
        checkpoint_bytes: int = 16 << 20,
        page_bytes: int = 4096,
        remedy: str = "choose another path, or restore it from a backup",
    ) -> None:
        self.dialect: Dialect = SQLITE
        self.name = f"sqlite:{path}"
        self.search_path: Path | None = path.with_name(path.name + ".search")
        self.path = path
        self._busy_seconds = busy_seconds
        self._cache_bytes = cache_bytes
        self._checkpoint_bytes = checkpoint_bytes
        self._page_bytes = page_bytes
        self._remedy = remedy

    def create(self) -> None:
        """See `Database.create`."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # only the server's own user may read mail; the log ahead inherits the mode
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigurationFault(
                f"{self.path}: {error.strerror}: choose another path, or "
                "give the server's user the right to write there"
            ) from error
        try:
            with _told(self.path):
                self._create_schema()
        except Corrupt as error:
            raise ConfigurationFault(
                f"{self.path} is no SQLite database, or a damaged one: {self._remedy} "
                f"({error.reason})"
            ) from error
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _create_schema(self) -> None:
        raw = sqlite3.connect(self.path, timeout=self._busy_seconds, isolation_level=None)
        try:
            raw.execute(f"PRAGMA page_size={self._page_bytes}")
            if self._is_empty(raw):
                raw.execute("PRAGMA journal_mode=WAL")
                raw.execute("PRAGMA synchronous=FULL")
                raw.execute("BEGIN IMMEDIATE")
                if self._is_empty(raw):  # nobody made it in the meantime
                    from sqlalchemy.dialects.sqlite.base import SQLiteDialect as Written

                    for statement in script(Written()):
                        raw.execute(statement)
                    raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
                raw.execute("COMMIT")
            (mark,) = raw.execute("PRAGMA application_id").fetchone()
            if mark != APPLICATION_ID:
                raise ConfigurationFault(
                    f"{self.path} is the database of another program: choose another path"
                )
            found = raw.execute("SELECT value FROM counters WHERE name = 'schema'").fetchone()
            check_version(str(self.path), found)
            raw.execute("PRAGMA journal_mode=WAL")
        finally:
            raw.close()

    @staticmethod
    def _is_empty(raw: sqlite3.Connection) -> bool:
        (tables,) = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(tables == 0)

    def follow(self, reactor: Any, tell: Callable[[], None]) -> Following | None:
        """See `IndexDatabase.follow`: a file tells nobody."""
        return None

    def connect(self, *, writes: bool) -> SQLiteConnection:
        """See `Database.connect`."""
        return SQLiteConnection(
            self.path,
            busy_seconds=self._busy_seconds,
            cache_bytes=self._cache_bytes,
            checkpoint_bytes=self._checkpoint_bytes,
            writes=writes,
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        _raise(error, path)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


def _raise(error: sqlite3.Error, path: Path) -> NoReturn:
    """Say SQLite's error as one of ours; a mistake in a statement stays what it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = f"{path}: {error}"
    if code in _FULL:
        raise StorageFull(reason) from error
    if code in _DAMAGED:
        raise Corrupt(reason) from error
    if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
        raise Unavailable(reason) from error
    raise error
