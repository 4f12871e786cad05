"""The text of messages in a table of the PostgreSQL database, indexed by pg_trgm.

The text that SEARCH looks through is kept folded, so that ``LIKE`` is the very comparison that
SEARCH makes; the index (GIN) finds the rows that have all runs of three letters of a needle.  The
table is no part of the schema that has revisions: it can be made anew at any time.

Several processes share the table: who fills it holds the row of its state, in which stands up to
where everything is in.  Filling is a transaction of its own, takes no lock of the store and waits
for no flush.

Without the extension pg_trgm nothing is kept, and searches read the mail.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from typing import Any

import psycopg
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.interfaces.search import Searched
from mailplat.model.errors import MailError, Unavailable
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection, IndexDatabase
from mailplat.store.index.readers import Readers
from mailplat.store.index.searched import (
    SEARCHED_BYTES,
    SEARCHED_CONTENTS,
    read_text,
)
from mailplat.store.index.summaries import numbers
from mailplat.store.sql.postgresql import PostgreSQLConnection

__all__ = ["TextTable"]

_log = Logger()

_FORMAT = 1
"""Raised when the text that goes in changes; an older table is filled anew."""

_HITS = 4096
"""So many hits are worth finding in any mailbox, however small."""

_PATIENCE = 3000
"""Milliseconds that a question may take; then reading is quicker, or nearly."""

_RUN = re.compile(r"\w{3}")
_ASCII_RUN = re.compile(r"[a-z0-9]{3}")

_EXTENSION = (
    "SELECT quote_ident(n.nspname) FROM pg_extension e"
    " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'"
)
_MAKE = (
    "CREATE TABLE IF NOT EXISTS search_state (format INTEGER PRIMARY KEY, upto BIGINT NOT NULL)",
    'CREATE TABLE IF NOT EXISTS search_texts (content BIGINT PRIMARY KEY, header TEXT COLLATE "C",'
    ' body TEXT COLLATE "C")',
    "CREATE INDEX IF NOT EXISTS search_headers ON search_texts"
    " USING gin (header {schema}.gin_trgm_ops)",
    "CREATE INDEX IF NOT EXISTS search_bodies ON search_texts"
    " USING gin (body {schema}.gin_trgm_ops)",
    "CREATE INDEX IF NOT EXISTS search_unread ON search_texts (content) WHERE header IS NULL",
)
_DROP = "DROP TABLE IF EXISTS search_texts, search_state"
_EMPTY = "TRUNCATE search_texts, search_state"
_BEGIN_STATE = "INSERT INTO search_state (format, upto) VALUES (?, 0) ON CONFLICT DO NOTHING"
_HOLD_STATE = "SELECT upto FROM search_state WHERE format = ? FOR UPDATE"
_UPTO = "SELECT upto FROM search_state WHERE format = ?"
_SET_UPTO = "UPDATE search_state SET upto = ? WHERE format = ?"
_NEXT = "SELECT id, size, parts FROM contents WHERE id > ? ORDER BY id LIMIT ?"
_MESSAGE = "SELECT mailbox, uid FROM messages WHERE content = ? LIMIT 1"
_KEEP = (
    "INSERT INTO search_texts (content, header, body) VALUES (?, ?, ?) ON CONFLICT (content)"
    " DO UPDATE SET header = excluded.header, body = excluded.body"
)
_TIDY = (
    "DELETE FROM search_texts t WHERE NOT EXISTS (SELECT 1 FROM messages m"
    " WHERE m.content = t.content)"
)
_QUICK = "SELECT set_config('synchronous_commit', 'off', true)"
_PATIENT = f"SELECT set_config('statement_timeout', '{_PATIENCE}', true)"
# what it costs to take long texts out of the table is not in the planner's figures
_BY_INDEX = "SELECT " + ", ".join(
    f"set_config('enable_{way}', 'off', true)" for way in ("seqscan", "indexscan", "indexonlyscan")
)
_LIKE = {
    Searched.HEADER: "header LIKE ?",
    Searched.BODY: "body LIKE ?",
    Searched.TEXT: "(header LIKE ? OR body LIKE ?)",
}


class TextTable:
    """Keeps the text of one store; see `mailplat.store.index.search.Keeper`.

    Args:
        database: The store's.
        bodies: Have the bytes.
        reactor: Threads.
    """

    def __init__(self, database: IndexDatabase, bodies: Bodies, reactor: Any) -> None:
        self.name = f"search:{database.name}"
        self._database = database
        self._bodies = bodies
        self._readers = Readers(database, reactor, 1)
        self._connection: PostgreSQLConnection | None = None
        self._run = _RUN

    async def open(self) -> bool:
        """See `Keeper.open`."""
        if not await deferToThread(self._open):
            return False
        await deferToThread(self._readers.start)
        return True

    async def close(self) -> None:
        """See `Keeper.close`."""
        await self._readers.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            await deferToThread(connection.close)

    async def empty(self) -> None:
        """See `Keeper.empty`."""
        await deferToThread(self._statement, _EMPTY, begin=True)

    async def remove(self) -> None:
        """See `Keeper.remove`."""
        await deferToThread(self._drop)

    # in a thread

    def _connect(self) -> PostgreSQLConnection:
        made = self._database.connect(writes=False)
        assert isinstance(made, PostgreSQLConnection)
        return made

    def _open(self) -> bool:
        """Connect, and make the table; False where it cannot be."""
        connection = self._connection = self._connect()
        schema = _find_extension(connection)
        if schema is None:
            _log.warn(
                "{name}: searches read the mail, for want of the extension pg_trgm: let an "
                "administrator of the database run CREATE EXTENSION pg_trgm",
                name=self._database.name,
            )
            connection.close()
            self._connection = None
            return False
        # what is no letter to the database's locale is in none of its runs
        (letters,) = connection.one(f"SELECT {schema}.show_trgm('жук') <> '{{}}'") or (False,)
        self._run = _RUN if letters else _ASCII_RUN
        with self._transaction() as own:
            own.one("SELECT pg_advisory_xact_lock(hashtext('search ' || current_schema()))")
            for statement in _MAKE:
                own.run(statement.replace("{schema}", schema))
            if own.one(_UPTO, (_FORMAT,)) is None:
                own.run(_EMPTY)
                own.run(_BEGIN_STATE, (_FORMAT,))
        return True

    @contextmanager
    def _transaction(self) -> Iterator[PostgreSQLConnection]:
        own = self._connection
        if own is None:
            raise Unavailable(f"{self.name} is not open")
        own.begin_aside()
        try:
            own.one(_QUICK)
            yield own
            own.commit()
        finally:
            own.rollback()

    def _statement(self, sql: str, *, begin: bool) -> None:
        with self._transaction() as own:
            own.run(sql)
            if begin:
                own.run(_BEGIN_STATE, (_FORMAT,))

    def _drop(self) -> None:
        connection = self._connection = self._connect()
        try:
            self._statement(_DROP, begin=False)
        finally:
            connection.close()
            self._connection = None

    def take_in(self) -> bool:
        """See `Keeper.take_in`."""
        with self._transaction() as own:
            held = own.one(_HOLD_STATE, (_FORMAT,))
            if held is None:
                raise Unavailable(f"{self.name}: another process makes it anew")
            rows = own.all(_NEXT, (held[0], SEARCHED_CONTENTS))
            upto, size = held[0], 0
            for content, bytes_, parts in rows:
                if size and size + bytes_ > SEARCHED_BYTES:
                    break
                upto, size = content, size + bytes_
                message = own.one(_MESSAGE, (content,))
                if message is not None:  # else nobody can look for it any more
                    want = Wanted(message[0], message[1], content, bytes_, "", 0, bytes_)
                    text = read_text(own, self._bodies, want, parts)
                    own.run(
                        _KEEP, (content, *((None, None) if text is None else map(_spelt, text)))
                    )
            if upto == held[0]:
                return False
            own.run(_SET_UPTO, (upto, _FORMAT))
        return True

    def tidy(self) -> None:
        """See `Keeper.tidy`."""
        self._statement(_TIDY, begin=False)

    # asking

    async def _ask(self, job: Any) -> Sequence[int] | None:
        found: Sequence[int] | None = await self._readers.read(job, self.name)
        return found

    def pick(
        self, needle: str, where: Searched, uids: Sequence[int], contents: Sequence[int]
    ) -> Awaitable[Sequence[int] | None]:
        """See `Keeper.pick`."""
        indexed = self._run.search(needle) is not None
        return self._ask(
            partial(
                _pick,
                needle=_spelt(needle),
                where=where if indexed else None,
                uids=uids,
                contents=contents,
            )
        )


def _find_extension(connection: PostgreSQLConnection) -> str | None:
    """Find the schema of pg_trgm, or make it if that is allowed; None without it."""
    for make in ("CREATE EXTENSION pg_trgm SCHEMA public", "CREATE EXTENSION pg_trgm", ""):
        found = connection.one(_EXTENSION)
        if found is not None:
            return str(found[0])
        if make:
            try:
                connection.run(make)
            except (MailError, psycopg.Error) as error:
                _log.debug("{error}", error=error)
    return None


def _pick(
    connection: Connection,
    needle: str,
    where: Searched | None,
    uids: Sequence[int],
    contents: Sequence[int],
) -> Sequence[int] | None:
    """Keep messages that match, and those that the table does not know; in a thread."""
    held = connection.one(_UPTO, (_FORMAT,))
    if where is None or held is None:
        return None
    connection.one(_PATIENT)
    connection.one(_BY_INDEX)
    first, last, limit = min(contents), max(contents), max(_HITS, len(contents))
    like = _LIKE[where]
    pattern = f"%{_escaped(needle)}%"
    row = connection.one(
        f"WITH hits AS MATERIALIZED (SELECT content FROM search_texts WHERE {like})"
        " SELECT string_agg(CAST(content AS text), ',') FROM"
        " (SELECT content FROM hits WHERE content BETWEEN ? AND ? LIMIT ?) x",
        (*[pattern] * like.count("?"), first, last, limit + 1),
    )
    found = set(numbers(row[0] if row else None))
    if len(found) > limit:
        return None
    unread = "SELECT content FROM search_texts WHERE header IS NULL AND content BETWEEN ? AND ?"
    found.update(row[0] for row in connection.all(unread, (first, last)))
    upto = held[0]
    if last <= upto:
        return list(compress(uids, map(found.__contains__, contents)))
    return [
        uid
        for uid, content in zip(uids, contents, strict=True)
        if content > upto or content in found
    ]


def _spelt(text: str) -> str:
    """Give text as PostgreSQL takes it; a needle that is in it is in it afterwards, too."""
    if text.isascii():
        return text.replace("\0", "\1") if "\0" in text else text
    return text.replace("\0", "\1").encode("utf-8", "replace").decode("utf-8")


def _escaped(needle: str) -> str:
    """Take from ``LIKE`` what it would read as anything."""
    return re.sub(r"([\\%_])", r"\\\1", needle)
