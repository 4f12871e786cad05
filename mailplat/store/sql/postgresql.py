"""PostgreSQL behind the index's few methods, by psycopg 3.

Durable is what was committed (``synchronous_commit`` is never off here).  Several processes may
work on one database: who begins to write takes the store's advisory lock and has it until the
commit, so that UIDs and MODSEQs are given by one at a time and the order of the commits is that
of the MODSEQs.  Each commit leaves a row that says what it touched (the table ``commits``), which
the others read when it is their turn, and a notice (`mailplat.store.sql.notices`).

A connection that is lost is made again when the next transaction begins; what was under way is
rolled back by the server.  A store lives in one schema, the first of the ``search_path``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any, NoReturn

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.types.string import StrBinaryDumper, StrDumper
from twisted.logger import Logger

from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable
from mailplat.store.index.database import EVERYTHING, NOTHING, Dialect, Row, Touched
from mailplat.store.index.schema import check_version, metadata, script
from mailplat.store.sql.faults import no_connection, told
from mailplat.store.sql.notices import Notices

__all__ = ["POSTGRESQL", "PostgreSQLConnection", "PostgreSQLDatabase", "PostgreSQLDialect"]

_log = Logger()

_LOCK = 0x4D504C54
"""The class of the advisory locks ("MPLT"); the second number is the schema's."""

_LEASE = "hashtextextended(current_schema(), ?)"
"""The advisory lock of a home's maildrop."""

_KEPT = 4096
"""Commits whose row is kept at least; who comes back after more reads everything again."""

_TRIM = 512
"""Every so many commits the oldest rows go."""

_TELLABLE = 2000
"""So many touched mailboxes are named; if there are more, everything was touched."""

_STATEMENTS = 512
"""Statements that a connection keeps prepared."""


class PostgreSQLDialect:
    """PostgreSQL's own words."""

    name = "postgresql"
    take_lease: str | None = f"SELECT pg_try_advisory_lock({_LEASE})"
    drop_lease: str | None = f"SELECT pg_advisory_unlock({_LEASE})"

    def joined_numbers(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_numbers`."""
        return f"string_agg(CAST({expression} AS text), ','{_order(by)})"

    def joined_lines(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_lines`."""
        return f"string_agg({expression}, chr(10){_order(by)})"

    def joined_bytes(self, expression: str, by: str = "") -> str:
        """See `Dialect.joined_bytes`."""
        return f"string_agg({expression}, CAST('' AS bytea){_order(by)})"

    def length(self, expression: str) -> str:
        """See `Dialect.length`."""
        return f"octet_length({expression})"


def _order(by: str) -> str:
    return f" ORDER BY {by}" if by else ""


POSTGRESQL = PostgreSQLDialect()
"""The one there is."""


class PostgreSQLConnection:
    """One connection, made again when it was lost.

    Args:
        database: Whose.
        writes: Whether it writes to the store.
    """

    def __init__(self, database: PostgreSQLDatabase, *, writes: bool) -> None:
        self.dialect: Dialect = POSTGRESQL
        self._database = database
        self._name = database.name
        self._writes = writes
        self._wrote = False
        self._others: Touched = NOTHING
        self._seen: int | None = None
        self._raw = database.connect_raw(writes=writes)
        self._cursor = self._raw.cursor(binary=True)
        if writes:
            (self._seen,) = self.one("SELECT coalesce(max(number), 0) FROM commits") or (0,)

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """See `Connection.all`."""
        try:
            return self._cursor.execute(_numbered(sql), args).fetchall()
        except psycopg.Error as error:
            _raise(error, self._name)

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """See `Connection.one`."""
        try:
            return self._cursor.execute(_numbered(sql), args).fetchone()
        except psycopg.Error as error:
            _raise(error, self._name)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """See `Connection.run`."""
        self._wrote = True
        try:
            return self._cursor.execute(_numbered(sql), args).rowcount
        except psycopg.Error as error:
            _raise(error, self._name)

    def _script(self, sql: str) -> psycopg.Cursor[Row]:
        """Run several statements in one turn; the cursor stands at the first one's answer."""
        try:
            return self._raw.cursor().execute(sql.encode())
        except psycopg.Error as error:
            _raise(error, self._name)

    def _begin(self, sql: str) -> psycopg.Cursor[Row]:
        """Begin a transaction; where the connection was lost in the meantime, on a new one."""
        self._wrote = False
        if not self._raw.closed:
            try:
                return self._script(sql)
            except Unavailable:
                if not self._raw.closed:
                    self.rollback()
                    raise
        self._raw = self._database.connect_raw(writes=self._writes)
        self._cursor = self._raw.cursor(binary=True)
        return self._script(sql)

    def begin(self) -> None:
        """See `Connection.begin`; waits for other processes, and reads what they did."""
        cursor = self._begin(
            f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()));"
            f"SELECT number, touched FROM commits WHERE number >= {self._seen} ORDER BY number"
        )
        cursor.nextset()
        cursor.nextset()
        found = cursor.fetchall()
        if found and self._seen is not None:
            numbers = [number for number, _ in found]
            first = self._seen if self._seen else 1
            if numbers[0] != first:
                self._others = EVERYTHING
            else:
                for number, touched in found:
                    if number > self._seen:
                        self._others = _together(self._others, touched)
            self._seen = numbers[-1]
        elif self._seen:
            self._others = EVERYTHING  # the past is another one now
            (self._seen,) = self.one("SELECT coalesce(max(number), 0) FROM commits") or (0,)

    def begin_aside(self) -> None:
        """Begin a transaction that writes nothing of the store's; it waits for nobody."""
        self._begin("BEGIN")

    def commit(self, touched: Collection[tuple[int, int]] = NOTHING) -> None:
        """See `Connection.commit`."""
        if not self._wrote or self._seen is None:
            self._finish(self._script("COMMIT"))
            return
        number = self._seen + 1
        words = " ".join(f"{home}:{mailbox}" for home, mailbox in touched)
        text = words if len(touched) <= _TELLABLE else "*"
        trim = (
            f"DELETE FROM commits WHERE number <= {number - _KEPT};" if not number % _TRIM else ""
        )
        tell = self._database.notice if touched else ""
        self._finish(
            self._script(f"INSERT INTO commits VALUES ({number}, '{text}');{trim}{tell}COMMIT")
        )
        self._seen = number

    def _finish(self, cursor: psycopg.Cursor[Row]) -> None:
        """Make sure that it was a commit: of a transaction that failed it is a rollback."""
        while cursor.nextset():
            pass
        if cursor.statusmessage != "COMMIT":
            raise Unavailable(f"{self._name}: the transaction had failed")

    def can_commit(self) -> bool:
        """See `Connection.can_commit`: any error ends a transaction here."""
        return self._raw.info.transaction_status is TransactionStatus.INTRANS

    def rollback(self) -> None:
        """See `Connection.rollback`."""
        with suppress(psycopg.Error):
            if self._raw.info.transaction_status is not TransactionStatus.IDLE:
                self._raw.cursor().execute(b"ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Connection.snapshot`."""
        self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            self.rollback()

    def check(self) -> list[str]:
        """See `Connection.check`: reads every table, and checks indexes if amcheck is there."""
        try:
            for table in metadata.sorted_tables:
                self.all(f"SELECT count(*), max(length(CAST(t AS text))) FROM {table.name} t")
            if self.one("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'"):
                self.all(
                    "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i"
                    " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam"
                    " WHERE a.amname = 'btree'"
                    " AND c.relnamespace = CAST(current_schema() AS regnamespace)"
                )
        except Corrupt as error:
            return [error.reason]
        return []

    def others_wrote(self) -> Touched:
        """See `Connection.others_wrote`."""
        others, self._others = self._others, NOTHING
        return others

    def close(self) -> None:
        """See `Connection.close`."""
        with suppress(psycopg.Error):
            self._raw.close()


class PostgreSQLDatabase:
    """A database, or one schema of it.

    Args:
        url: What libpq takes: ``postgresql://USER@HOST/DATABASE?...``.
        busy_seconds: How long to wait for another process that writes.
        connect_seconds: How long to wait for the server's answer to a connection.

    Raises:
        ConfigurationFault: The URL cannot be read.
    """

    search_path: Path | None = None

    def __init__(
        self, url: str, *, busy_seconds: float = 10.0, connect_seconds: float = 10.0
    ) -> None:
        self.dialect: Dialect = POSTGRESQL
        try:
            given: dict[str, Any] = conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            raise ConfigurationFault(
                f"a PostgreSQL URL cannot be read ({_without_secret(url, error)}); expected "
                "postgresql://USER@HOST/DATABASE"
            ) from error
        self.name = _name(given)
        self._parameters = {
            "connect_timeout": max(2, round(connect_seconds)),
            "application_name": "mailplat",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            **given,
            "client_encoding": "utf8",
        }
        self._busy_seconds = busy_seconds
        self._token = token_hex(8)
        self.notice = f"SELECT pg_notify('mailplat:' || current_schema(), '{self._token}');"

    def connect_plain(self) -> psycopg.Connection[Row]:
        """Connect as any other program does: for migrations, and for who listens.

        Raises:
            Unavailable: There is no connection; the reason says the remedy.
        """
        try:
            return psycopg.connect(row_factory=tuple_row, **self._parameters)
        except psycopg.Error as error:
            raise Unavailable(no_connection(error, self.name)) from error

    def connect_raw(self, *, writes: bool) -> psycopg.Connection[Row]:
        """Connect, and set what every transaction of ours needs.

        Raises:
            Unavailable: There is no connection; the reason says the remedy.
        """
        parameters = dict(self._parameters)
        if writes:
            parameters.setdefault("target_session_attrs", "read-write")
        wait = round(self._busy_seconds * 1000)
        try:
            raw = psycopg.connect(
                autocommit=True,
                row_factory=tuple_row,
                cursor_factory=psycopg.RawCursor,
                **parameters,
            )
            try:
                raw.execute(
                    "SELECT set_config('synchronous_commit', 'on', false)"
                    " WHERE current_setting('synchronous_commit') = 'off';"
                    "SET jit = off; SET default_transaction_isolation = 'read committed';"
                    f"SET lock_timeout = {wait};".encode()
                    + b"SET idle_in_transaction_session_timeout = 60000"
                )
            except BaseException:
                raw.close()
                raise
        except psycopg.Error as error:
            raise Unavailable(no_connection(error, self.name)) from error
        for dumper in (Int8Dumper, Int8BinaryDumper):
            # one type for every number, or each mix of sizes would be another statement
            raw.adapters.register_dumper(int, dumper)
        for text in (StrDumper, StrBinaryDumper):
            raw.adapters.register_dumper(str, text)
        raw.prepare_threshold = 2
        raw.prepared_max = _STATEMENTS
        return raw

    def create(self) -> None:
        """See `Database.create`."""
        try:
            raw = self.connect_raw(writes=True)
        except Unavailable as error:
            raise ConfigurationFault(error.reason) from error
        try:
            with raw.transaction():
                self._create(raw)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationFault(
                f"{self.name}: {error.diag.message_primary}: let the user own the schema, by "
                'ALTER SCHEMA ... OWNER TO "USER", or GRANT CREATE, USAGE ON SCHEMA ... TO "USER"'
            ) from error
        except psycopg.Error as error:
            fault = told(error, self.name)
            raise ConfigurationFault(fault.reason if fault else f"{self.name}: {error}") from error
        finally:
            raw.close()

    def _create(self, raw: psycopg.Connection[Row]) -> None:
        (schema, encoding, flushes) = _one(
            raw,
            "SELECT current_schema(), current_setting('server_encoding'), current_setting('fsync')",
        )
        if schema is None:
            raise ConfigurationFault(
                f"{self.name}: no schema of the search_path is there: CREATE SCHEMA, or name "
                "another one in the URL (options=-csearch_path%3DNAME)"
            )
        if encoding != "UTF8":
            raise ConfigurationFault(
                f"{self.name}: the encoding of the database is {encoding}: make one with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )
        if flushes != "on":
            _log.warn(
                "{name}: fsync is {what}: a power cut loses mail", name=self.name, what=flushes
            )
        _one(raw, f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()))")
        rows = raw.execute(b"SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        there = {row[0] for row in rows.fetchall()} & set(metadata.tables)
        if not there:
            from sqlalchemy.dialects import postgresql

            made = script(postgresql.dialect())  # type: ignore[no-untyped-call]
            raw.execute(";".join(made).encode())
        elif not there >= {"counters", "homes", "mailboxes"}:
            raise ConfigurationFault(
                f"{self.name}: the schema {schema} has tables of another program "
                f"({', '.join(sorted(there))}): choose another schema or database"
            )
        found = raw.execute(b"SELECT value FROM counters WHERE name = 'schema'").fetchone()
        check_version(self.name, found)

    def connect(self, *, writes: bool) -> PostgreSQLConnection:
        """See `Database.connect`."""
        return PostgreSQLConnection(self, writes=writes)

    def follow(self, reactor: Any, tell: Callable[[], None]) -> Notices:
        """See `IndexDatabase.follow`."""
        return Notices(self.connect_plain, self.name, self._token, reactor, tell)


@lru_cache(4096)
def _numbered(sql: str) -> bytes:
    """Number the parameters, as PostgreSQL wants them."""
    first, *rest = sql.split("?")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))).encode()


def _together(known: Touched, text: str) -> Touched:
    """Add what a row of ``commits`` says."""
    if text == "*" or known == EVERYTHING:
        return EVERYTHING
    pairs = (word.split(":") for word in text.split())
    return known | {(int(home), int(mailbox)) for home, mailbox in pairs}


def _one(raw: psycopg.Connection[Row], sql: str) -> Row:
    row = raw.execute(sql.encode()).fetchone()
    assert row is not None
    return row


def _name(given: dict[str, Any]) -> str:
    """Spell a URL for the operator, without its password."""
    user = f"{given['user']}@" if given.get("user") else ""
    host = str(given.get("host") or given.get("hostaddr") or "")
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{user}{host}{port}/{given.get('dbname') or ''}"


def _without_secret(url: str, error: psycopg.Error) -> str:
    """What is wrong with a URL; the parser's words may repeat it, and its password with it."""
    text = str(error).strip()
    return text if "://" in url and url.partition("@")[0] not in text else "its form"


def _raise(error: psycopg.Error, name: str) -> NoReturn:
    """Say PostgreSQL's error as one of ours; a mistake in a statement stays what it is."""
    fault = told(error, name)
    if fault is None:
        raise error
    raise fault from error
