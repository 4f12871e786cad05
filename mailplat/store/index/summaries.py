"""A message's summary as rows of ``contents`` and ``headers``, and back as columns of a block.

Written one row a message; read as one row a block: the database joins each column's values, here
they are cut apart again.  The values of a block of messages thus cost one step of the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from mailplat.interfaces.store import Column
from mailplat.model.numset import NumSet
from mailplat.model.summary import SUMMARY_VERSION, Summary
from mailplat.store.index import statements
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection, Dialect
from mailplat.store.index.transaction import Transaction

__all__ = ["SUMMARY_COLUMNS", "SummaryReader", "insert_content", "numbers", "replace_content"]

_EIGHT_BIT, _NUL = 1, 2


def insert_content(tx: Transaction, summary: Summary) -> int:
    """Keep a summary as a new content; give the content's id."""
    content = tx.next_number("content")
    _insert(tx, content, summary)
    return content


def replace_content(tx: Transaction, content: int, summary: Summary) -> None:
    """Keep another summary of the same bytes."""
    tx.run("DELETE FROM contents WHERE id = ?", (content,))
    tx.run("DELETE FROM headers WHERE content = ?", (content,))
    _insert(tx, content, summary)


def _insert(tx: Transaction, content: int, summary: Summary) -> None:
    tx.insert(
        statements.CONTENTS,
        content,
        SUMMARY_VERSION,
        summary.size,
        summary.header_size,
        _EIGHT_BIT * summary.eight_bit | _NUL * summary.nul,
        summary.sent,
        summary.envelope,
        summary.body,
        summary.bodystructure,
        summary.parts,
        _bytes(summary.preview),
        _bytes(summary.message_id),
        _bytes(" ".join(summary.references)),
        _bytes(summary.base_subject),
    )
    tx.insert(statements.HEADERS, content, summary.header)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def numbers(joined: str | None) -> list[int]:
    """Cut numbers apart that the database joined."""
    return list(map(int, joined.split(","))) if joined else []


def _texts(values: list[bytes]) -> list[str]:
    return list(map(_text, values))


def _references(values: list[bytes]) -> list[tuple[str, ...]]:
    return [tuple(_text(value).split(" ")) if value else () for value in values]


def _same(values: list[Any]) -> list[Any]:
    return values


# columns of byte strings: where they stand, and what becomes of a block of them
_BYTES: dict[Column, tuple[str, Callable[[list[bytes]], list[Any]]]] = {
    Column.ENVELOPE: ("c.envelope", _same),
    Column.BODY: ("c.body", _same),
    Column.BODYSTRUCTURE: ("c.bodystructure", _same),
    Column.PARTS: ("c.parts", _same),
    Column.PREVIEW: ("c.preview", _texts),
    Column.MESSAGE_ID: ("c.message_id", _texts),
    Column.REFERENCES: ("c.refs", _references),
    Column.BASE_SUBJECT: ("c.base_subject", _texts),
    Column.HEADER: ("h.header", _same),
}

_NO_DATE: Final = -(1 << 62)


def _dates(values: list[int]) -> list[int | None]:
    return [None if value == _NO_DATE else value for value in values]


def _ids(values: list[int]) -> list[str]:
    return [f"M{value:x}" for value in values]


def _nuls(values: list[int]) -> list[bool]:
    return [bool(value & _NUL) for value in values]


# columns of numbers, likewise; the database passes over NULL when it joins
_NUMBERS: dict[Column, tuple[str, Callable[[list[int]], list[Any]]]] = {
    Column.SAVED: ("m.saved", _same),
    Column.SENT: (f"coalesce(c.sent, {_NO_DATE})", _dates),
    Column.EMAIL_ID: ("m.content", _ids),
    Column.NUL: ("c.traits", _nuls),
}

SUMMARY_COLUMNS = frozenset(_BYTES) | frozenset(_NUMBERS)
"""The columns that are read here; the others an open mailbox has in memory."""


_LARGE = statements.Ranges(
    "{want} SELECT m.uid, m.content, m.size, m.place, c.header_size"
    " FROM want CROSS JOIN messages m CROSS JOIN contents c"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last"
    " AND c.id = m.content AND c.header_size > 0"
)


class SummaryReader:
    """Reads columns of messages of a mailbox, a block a row.

    Args:
        dialect: The database's.
        bodies: Have the headers that were too large for a summary.
    """

    def __init__(self, dialect: Dialect, bodies: Bodies) -> None:
        self._dialect = dialect
        self._bodies = bodies
        self._statements: dict[tuple[Column, ...], statements.Ranges] = {}

    def read(
        self, connection: Connection, mailbox: int, uids: NumSet, columns: Collection[Column]
    ) -> tuple[list[int], dict[Column, list[Any]]]:
        """Read columns of those of the messages that are there; give their UIDs too."""
        wanted = tuple(sorted(columns, key=lambda column: column.value))
        found: list[int] = []
        values: dict[Column, list[Any]] = {column: [] for column in wanted}
        for sql, args in self._statement(wanted).pieces(uids):
            row = connection.one(sql, (*args, mailbox))
            if row is None or row[0] is None:
                continue
            found += numbers(row[0])
            at = 1
            for column in wanted:
                if column in _NUMBERS:
                    values[column] += _NUMBERS[column][1](numbers(row[at]))
                    at += 1
                else:
                    values[column] += _BYTES[column][1](_cut(row[at], numbers(row[at + 1])))
                    at += 2
        headers = values.get(Column.HEADER, ())
        if b"" in headers:
            large = [i for i, header in enumerate(headers) if not header]
            self._read_headers(connection, mailbox, found, values[Column.HEADER], large)
        return found, values

    def _read_headers(
        self,
        connection: Connection,
        mailbox: int,
        uids: Sequence[int],
        headers: list[bytes],
        large: Sequence[int],
    ) -> None:
        """Read headers from the bodies that the summary left away for their size."""
        at = {uids[i]: i for i in large}
        wanted = []
        for sql, args in _LARGE.pieces(NumSet.of(at)):
            for uid, content, size, place, header_size in connection.all(sql, (*args, mailbox)):
                wanted.append(Wanted(mailbox, uid, content, size, place, 0, header_size))
        for want, header in zip(wanted, self._bodies.read(connection, wanted), strict=True):
            headers[at[want.uid]] = header or b""

    def _statement(self, columns: tuple[Column, ...]) -> statements.Ranges:
        statement = self._statements.get(columns)
        if statement is None:
            dialect, by = self._dialect, "m.uid"
            selected = [dialect.joined_numbers("m.uid", by)]
            for column in columns:
                if column in _NUMBERS:
                    selected.append(dialect.joined_numbers(_NUMBERS[column][0], by))
                else:
                    expression = _BYTES[column][0]
                    selected.append(dialect.joined_bytes(expression, by))
                    selected.append(dialect.joined_numbers(dialect.length(expression), by))
            text = f"{{want}} SELECT {', '.join(selected)} FROM want CROSS JOIN messages m"
            text += " CROSS JOIN contents c"
            if Column.HEADER in columns:
                text += " CROSS JOIN headers h"
            text += " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last"
            text += " AND c.id = m.content"
            if Column.HEADER in columns:
                text += " AND h.content = m.content"
            statement = self._statements[columns] = statements.Ranges(text)
        return statement


def _cut(joined: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Cut byte strings apart that the database joined."""
    return [joined[start:stop] for start, stop in pairwise(accumulate(lengths, initial=0))]
