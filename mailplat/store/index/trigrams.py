"""A file with the trigrams of messages' text: which contents may have a substring.

A content's text is cut into all its runs of three characters (SQLite's FTS5 does that).  A content
without one of a needle's runs cannot have the needle; one with all of them may.

The file stands beside the index of the store and is filled after it, by content ids, which only
rise and are never given twice.  It is cut into *spans* of ids, a table each; of a span everything
up to its mark ``upto`` is in.  What lies in no span, or beyond the mark, is not known here and has
to be read.  That is all the state there is: after a crash filling goes on at the marks.

A content that is gone leaves with its span: a table without positions cannot forget a single row.
A span that has lost half of its contents is filled anew, one that has lost all is dropped, small
neighbours become one.  Until then a dead row costs room and nothing else.

Invariant: the file belongs to the database whose mark it bears.  If it does not, or if it knows
contents that the database never had (which was restored from a backup, then), it is emptied.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailplat.store.index.database import Connection, Dialect
from mailplat.store.index.sqlite import SQLITE, SQLiteConnection
from mailplat.store.index.summaries import numbers

__all__ = [
    "OPEN",
    "Document",
    "Matches",
    "Span",
    "TrigramFile",
    "add",
    "belongs",
    "empty",
    "match",
    "spans",
    "tidy",
    "trigrams",
]

_FORMAT = 1
"""Raised when the text that goes in changes; an older file is built anew."""

OPEN: Final = (1 << 62) - 1
"""Where the span ends that still grows."""

_SPAN = 8192
"""Contents in a span when it is closed."""

_RUNS = 16
"""Runs of a long needle that are looked for."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spans (id INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, upto INTEGER NOT NULL, docs INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS unread (content INTEGER PRIMARY KEY)",
)
_SET = (
    "INSERT INTO about (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_SPANS = "SELECT id, first, last, upto, docs FROM spans ORDER BY first"


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one content; None where it could not be read."""

    content: int
    header: str | None
    body: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """Contents with ids that follow each other.

    Attributes:
        id: Names its table.
        first: The first id.
        last: The last one.
        upto: All ids up to here are in.
        docs: How many contents are in.
    """

    id: int
    first: int
    last: int
    upto: int
    docs: int

    @property
    def is_full(self) -> bool:
        """Whether everything is in."""
        return self.upto >= self.last


@dataclass(frozen=True, slots=True)
class Matches:
    """The answer to a query, as of one moment.

    Attributes:
        contents: Those that may have the needle, among the known ones.
        known: Ranges of ids about which that is the whole answer, ascending.
    """

    contents: set[int]
    known: Sequence[tuple[int, int]]


class TrigramFile:
    """The file; a `mailplat.store.index.readers.Readers` may read it.

    Args:
        path: Where it is, or will be.
        busy_seconds: How long to wait for another process that writes.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0) -> None:
        self.path = path
        self.name = f"search:{path}"
        self.dialect: Dialect = SQLITE
        self._busy_seconds = busy_seconds

    def create(self) -> None:
        """Make the file if it is not there."""
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = self.connect(writes=True)
        try:
            connection.one("PRAGMA journal_mode=WAL")
            connection.begin()
            for statement in _SCHEMA:
                connection.run(statement)
            connection.commit()
        finally:
            connection.rollback()
            connection.close()

    def remove(self) -> None:
        """Remove the file: it is damaged, and can be made again."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def connect(self, *, writes: bool) -> SQLiteConnection:
        """Open a connection; what is lost in a power cut is found and taken in again."""
        return SQLiteConnection(
            self.path,
            busy_seconds=self._busy_seconds,
            cache_bytes=8 << 20,
            checkpoint_bytes=8 << 20,
            writes=writes,
            flushes=False,
        )


def belongs(connection: Connection, mark: int, newest: int) -> bool:
    """Whether a file is the one of a database, and of its present state.

    Args:
        connection: To the file.
        mark: The database's own.
        newest: The highest content id that it gave.
    """
    about: dict[str, int] = dict(connection.all("SELECT name, value FROM about"))
    (upto,) = connection.one("SELECT coalesce(max(upto), 0) FROM spans") or (0,)
    return about == {"mark": mark, "format": _FORMAT} and upto <= newest


def empty(connection: Connection, mark: int) -> None:
    """Make a file that knows nothing yet; in a transaction."""
    for span in spans(connection):
        connection.run(f"DROP TABLE span{span.id}")
    for table in ("spans", "unread", "about"):
        connection.run(f"DELETE FROM {table}")
    connection.run(_SET, ("mark", mark))
    connection.run(_SET, ("format", _FORMAT))
    _add_span(connection, 1, OPEN)


def spans(connection: Connection) -> list[Span]:
    """Read all spans, ascending."""
    return [Span(*row) for row in connection.all(_SPANS)]


def _add_span(connection: Connection, first: int, last: int) -> None:
    (number,) = connection.one("SELECT coalesce(max(id), 0) + 1 FROM spans") or (1,)
    connection.run(
        f"CREATE VIRTUAL TABLE span{number} USING fts5(text, content='', detail=none,"
        " columnsize=0, tokenize='trigram case_sensitive 1')"
    )
    connection.run(
        "INSERT INTO spans (id, first, last, upto, docs) VALUES (?, ?, ?, ?, 0)",
        (number, first, last, first - 1),
    )


def _drop_span(connection: Connection, span: Span) -> None:
    connection.run(f"DROP TABLE span{span.id}")
    connection.run("DELETE FROM spans WHERE id = ?", (span.id,))


# filling


def add(connection: Connection, span: Span, documents: Iterable[Document], upto: int) -> None:
    """Take documents into a span, which is then known up to an id; in a transaction."""
    into = f"INSERT INTO span{span.id} (rowid, text) VALUES (?, ?)"
    count = 0
    for document in documents:
        count += 1
        if document.header is None or document.body is None:
            connection.run("INSERT OR IGNORE INTO unread VALUES (?)", (document.content,))
            continue
        # one row for the header, one for the body: the last bit tells them apart
        connection.run(into, (document.content << 1 | 1, _spelt(document.header)))
        connection.run(into, (document.content << 1, _spelt(document.body)))
    docs = span.docs + count
    last = span.last
    if last == OPEN and docs >= _SPAN:
        last = upto
        _add_span(connection, upto + 1, OPEN)
    if upto >= last:
        connection.run(f"INSERT INTO span{span.id} (span{span.id}) VALUES ('optimize')")
    connection.run(
        "UPDATE spans SET last = ?, upto = ?, docs = ? WHERE id = ?", (last, upto, docs, span.id)
    )


def tidy(connection: Connection, live: Sequence[tuple[Span, int]]) -> None:
    """Let go of contents that are gone; in a transaction.

    Args:
        connection: To the file.
        live: All full spans and the one that grows, ascending, each with how many of its
            contents are still there.
    """
    before: tuple[Span, int] | None = None
    for span, left in live:
        if span.last == OPEN:
            if 2 * left < span.docs:
                _drop_span(connection, span)
                _add_span(connection, span.first if left else span.upto + 1, OPEN)
            continue
        if not left:
            _drop_span(connection, span)
            continue
        if before is not None and before[1] + left <= _SPAN // 2:
            _drop_span(connection, before[0])
            _drop_span(connection, span)
            _add_span(connection, before[0].first, span.last)
            before = None  # what it is now has to be filled first
            continue
        if 2 * left < span.docs:
            _drop_span(connection, span)
            _add_span(connection, span.first, span.last)
            before = None
            continue
        before = span, left


# asking


def _spelt(text: str) -> str:
    """Give text as SQLite takes it; a needle that is in it is in it afterwards, too."""
    if text.isascii():
        return text.replace("\0", "\1") if "\0" in text else text
    return text.replace("\0", "\1").encode("utf-8", "replace").decode("utf-8")


def trigrams(needle: str) -> list[str]:
    """Cut a needle into runs of three characters, each once; of a long one, some of them."""
    needle = _spelt(needle)
    runs = list(dict.fromkeys(needle[at : at + 3] for at in range(len(needle) - 2)))
    if len(runs) > _RUNS:
        runs = [runs[number * (len(runs) - 1) // (_RUNS - 1)] for number in range(_RUNS)]
    return runs


def match(
    connection: Connection,
    needle: str,
    kind: int | None,
    first: int,
    last: int,
    limit: int,
) -> Matches | None:
    """Find the contents that may have a needle.

    Args:
        connection: To the file, in a snapshot.
        needle: Three characters at least.
        kind: 1 for headers, 0 for bodies, None for both.
        first: The lowest content asked about.
        last: The highest one.
        limit: So many are worth finding.

    Returns:
        None if there are more than ``limit``.
    """
    query = " AND ".join('"' + run.replace('"', '""') + '"' for run in trigrams(needle))
    picked = "" if kind is None else f" AND rowid & 1 = {kind}"
    found: set[int] = {row[0] for row in connection.all("SELECT content FROM unread")}
    known = []
    for span in spans(connection):
        if span.upto < first or span.first > last or span.upto < span.first:
            continue
        known.append((span.first, span.upto))
        row = connection.one(
            "SELECT group_concat(content) FROM (SELECT rowid >> 1 AS content"
            f" FROM span{span.id} WHERE span{span.id} MATCH ?"
            f" AND rowid BETWEEN ? AND ?{picked} LIMIT ?)",
            (query, first << 1, last << 1 | 1, 2 * limit + 1),
        )
        found.update(numbers(row[0] if row else None))
        if len(found) > limit:
            return None
    return Matches(found, known)
