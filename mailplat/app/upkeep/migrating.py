"""Brings the schema of a database to another revision, and back, by Alembic's scripts.

The scripts are in `mailplat.app.migrations`, a folder for each schema; their revisions are called
``0001``, ``0002`` and so on.  Which one a database has stands in the database itself, where the
server looks for it too (it never imports Alembic): in the table ``counters`` of a store, in
``account_schema`` of accounts.

Invariants: a revision and the note of it are one transaction, on SQLite as on PostgreSQL, so one
that fails or is broken off leaves the one before.  Nothing is done while another process holds the
database: a Maildir's lock, connections to a PostgreSQL database, a writer of a SQLite file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailplat.model.errors import ConfigurationFault, InUse, Unavailable

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory
    from sqlalchemy import Connection, Engine

__all__ = ["Revision", "Schema", "accounts_schema", "schemas", "store_schema"]

_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
)

_ASKED = 20
"""How often to look for others: who just left is seen a moment longer."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a schema.

    Attributes:
        id: ``0001`` and so on.
        meaning: What it brought.
    """

    id: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema's revision stands."""

    folder: str
    table: str
    find: str
    note: str
    begin: str


_STORE = _Place(
    "store",
    "counters",
    "SELECT value FROM counters WHERE name = 'schema'",
    "UPDATE counters SET value = {} WHERE name = 'schema'",
    "INSERT INTO counters (name, value) VALUES ('schema', {})",
)
_ACCOUNTS = _Place(
    "accounts",
    "account_schema",
    "SELECT max(version) FROM account_schema",
    "UPDATE account_schema SET version = {}",
    "INSERT INTO account_schema (version) VALUES ({})",
)


class Schema:
    """A schema in a database.

    Args:
        name: The database, for the operator.
        place: What schema it is.
        connect: Makes a connection of the driver.
        dialect: SQLAlchemy's name of dialect and driver.
        lock: A file that a server locks; None if there is none.
        there: Whether the database is there at all.
    """

    def __init__(
        self,
        name: str,
        place: _Place,
        connect: Callable[[], Any],
        dialect: str,
        *,
        lock: Path | None = None,
        there: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.kind = place.folder
        self._place = place
        self._connect = connect
        self._dialect = dialect
        self._lock = lock
        self._there = there

    def history(self) -> list[Revision]:
        """Name all revisions, the newest first."""
        return [
            Revision(one.revision, one.doc.rstrip(".")) for one in self._scripts().walk_revisions()
        ]

    def current(self) -> str | None:
        """Tell which revision a database has; None if there is nothing yet.

        Raises:
            Unavailable: It cannot be asked.
        """
        if not self._there():
            return None
        with self._connected() as connection:
            return self._current(connection)

    def upgrade(self, target: str = "", *, force: bool = False) -> list[Revision]:
        """Bring it up.

        Args:
            target: The revision to end at; the newest one if empty.
            force: Do so though other processes are connected.

        Returns:
            The revisions that were brought, in their order.

        Raises:
            ConfigurationFault: There is no such revision above the one it has.
            InUse: Another process works on it.
            Unavailable: It cannot be changed; it has the last revision that went well.
        """
        return self._walk(target, force, up=True)

    def downgrade(self, target: str = "", *, force: bool = False) -> list[Revision]:
        """Take revisions back, the newest first; one of them if no target is given.

        Args, Returns and Raises are those of `upgrade`.
        """
        return self._walk(target, force, up=False)

    def _walk(self, target: str, force: bool, *, up: bool) -> list[Revision]:
        done: list[Revision] = []
        with self._held(), self._connected() as connection:
            path = self._path(self._current(connection), target, up=up)
            if path and not force:
                self._make_sure_alone(connection)
            connection.rollback()
            for script in path:
                self._step(connection, script, up=up)
                done.append(Revision(script.revision, script.doc.rstrip(".")))
        return done

    def _path(self, current: str | None, target: str, *, up: bool) -> list[Script]:
        """Find the scripts between here and there, in the order to be run."""
        scripts = self._scripts()
        ids = [one.revision for one in scripts.walk_revisions()][::-1]
        if current is not None and current not in ids:
            raise ConfigurationFault(
                f"{self.name} has revision {current}, the newest one here is {ids[-1]}: use the "
                "newer mailplat that made it"
            )
        here = ids.index(current) if current is not None else -1
        if not target:
            there = len(ids) - 1 if up else here - 1
        elif target in ids:
            there = ids.index(target)
        else:
            raise ConfigurationFault(f"there is no revision {target}: there are {', '.join(ids)}")
        if not up and (there < 0 or there > here):
            raise ConfigurationFault(
                f"{self.name} has revision {current}: there is nothing before it to go back to"
                if there < 0
                else f"{self.name} has revision {current}, which is before {target}"
            )
        if up and there < here:
            raise ConfigurationFault(
                f"{self.name} has revision {current} already: `mailplatctl db downgrade` goes back"
            )
        wanted = ids[here + 1 : there + 1] if up else ids[there + 1 : here + 1][::-1]
        return [scripts.get_revision(one) for one in wanted]

    def _step(self, connection: Connection, script: Script, *, up: bool) -> None:
        """Run one script and note it, in one transaction."""
        from alembic.operations import Operations
        from alembic.runtime.migration import MigrationContext
        from sqlalchemy.exc import DBAPIError

        place = self._place
        try:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with Operations.context(MigrationContext.configure(connection)):
                (script.module.upgrade if up else script.module.downgrade)()
            number = int(script.revision) if up else int(str(script.down_revision))
            first = up and script.down_revision is None
            connection.exec_driver_sql((place.begin if first else place.note).format(number))
            connection.commit()
        except DBAPIError as error:
            connection.rollback()
            raise Unavailable(f"{self.name}: {error.orig}") from error
        except BaseException:
            connection.rollback()
            raise

    def _current(self, connection: Connection) -> str | None:
        from sqlalchemy import inspect

        if not inspect(connection).has_table(self._place.table):
            return None
        row = connection.exec_driver_sql(self._place.find).fetchone()
        connection.rollback()
        return None if row is None or row[0] is None else f"{row[0]:04}"

    def _make_sure_alone(self, connection: Connection) -> None:
        if connection.dialect.name != "postgresql":
            return
        others = 0
        for _ in range(_ASKED):
            (others,) = connection.exec_driver_sql(_OTHERS).one()
            if not others:
                return
            connection.exec_driver_sql("SELECT pg_sleep(0.05)")
            connection.rollback()
        raise InUse(
            f"{self.name}: {others} connections of mailplat: stop all servers first "
            "(--force does without)"
        )

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep servers away that lock a file."""
        if self._lock is None or not self._lock.parent.is_dir():
            yield
            return
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InUse(f"{self.name}: a server is running: stop it first") from error
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        from sqlalchemy.exc import DBAPIError

        engine = self.engine()
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise Unavailable(f"{self.name}: {error.orig}") from error
        finally:
            engine.dispose()

    def engine(self) -> Engine:
        """Make an engine of SQLAlchemy for the database."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        return create_engine(self._dialect, creator=self._connect, poolclass=NullPool)

    def _scripts(self) -> ScriptDirectory:
        from alembic.script import ScriptDirectory

        folder = str(Path(__file__).parents[1] / "migrations" / self.kind)
        return ScriptDirectory(folder, version_locations=[folder])


def _sqlite(path: Path, place: _Place, lock: Path | None = None) -> Schema:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    return Schema(f"sqlite:{path}", place, connect, "sqlite://", lock=lock, there=path.exists)


def store_schema(description: str, directory: str) -> Schema | None:
    """Find the schema of a store.

    Args:
        description: What the configuration says in ``store.use``.
        directory: The data directory.

    Returns:
        None if the store has none, or one that its plugin looks after.

    Raises:
        ConfigurationFault: The description cannot be read.
    """
    prefix, _, argument = description.partition(":")
    if prefix == "maildir":
        from mailplat.store.maildir.layout import Layout

        layout = Layout(os.path.abspath(os.path.join(directory, argument)))
        return _sqlite(Path(layout.index), _STORE, Path(layout.lock))
    if prefix != "sql":
        return None
    from mailplat.store.index.sqlite import SQLiteDatabase
    from mailplat.store.sql.store import sql_database

    database = sql_database(argument, directory)
    if isinstance(database, SQLiteDatabase):
        return _sqlite(database.path, _STORE)
    from mailplat.store.sql.postgresql import PostgreSQLDatabase

    assert isinstance(database, PostgreSQLDatabase)
    return Schema(database.name, _STORE, database.connect_plain, "postgresql+psycopg://")


def accounts_schema(description: str, directory: str) -> Schema | None:
    """Find the schema of accounts; see `store_schema`."""
    prefix, _, argument = description.partition(":")
    path = argument.removeprefix("sqlite:///")
    if prefix != "sql" or path == argument:
        return None
    return _sqlite(Path(os.path.join(directory, path)), _ACCOUNTS)


def schemas(store: str, accounts: str, directory: str) -> Sequence[Schema]:
    """Find all schemas of a configuration."""
    found = store_schema(store, directory), accounts_schema(accounts, directory)
    return [schema for schema in found if schema is not None]
