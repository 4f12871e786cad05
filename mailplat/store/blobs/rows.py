"""The tables ``blobs`` and ``shared``: which large body is where, and which contents have it.

A row of ``blobs`` is one body, found by its hash and size.  Either it has a key, under which a blob
store keeps it, or its chunks are in the table ``bodies`` under the row's id, which no content has.
Rows of ``shared`` are its references; counting them anew is never needed, they are what is counted.

Invariants, which let blobs be put and removed outside of transactions:

- A row names a blob only in a transaction that began after that blob was durable.
- A blob is removed only after a commit since which no row names it.  No key is given twice, so no
  row will name it again.
- A row whose last reference went (``unused``, when that was) waits before it goes: a delivery that
  relied on it, and a backup of the database, still find its blob.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mailplat.model.numset import NumSet
from mailplat.store.index import statements
from mailplat.store.index.database import Connection, Row
from mailplat.store.index.transaction import Transaction

__all__ = [
    "BLOBS",
    "SHARED",
    "BlobRow",
    "adopt",
    "find",
    "in_pages",
    "insert",
    "places",
    "reap",
    "references",
    "release",
    "release_lost",
    "share",
    "unnamed",
]

_TOGETHER = 256


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A large body.

    Attributes:
        id: Where its chunks are, if it has no key.
        digest: The SHA-256 of its bytes.
        size: Their number.
        key: Where the blob store has it; ``""`` for the database itself.
        unused: Since when no content has it, in seconds since 1970; 0 while one does.
    """

    id: int
    digest: bytes
    size: int
    key: str
    unused: int


class _Asked(Protocol):
    """What both a connection and a transaction can be asked."""

    def all(self, sql: str, args: Sequence[object] = ()) -> list[Row]:
        """Run a query."""


BLOBS = statements.Insert("blobs", "id digest size key unused")
SHARED = statements.Insert("shared", "content blob")

_COLUMNS = "id, digest, size, key, unused"
_FIND = f"SELECT {_COLUMNS} FROM blobs WHERE digest = ? AND size = ? ORDER BY id"
_PLACES = statements.Ranges(
    "{want} SELECT s.content, b.id, b.key FROM want CROSS JOIN shared s CROSS JOIN blobs b"
    " WHERE s.content BETWEEN want.first AND want.last AND b.id = s.blob"
)
_RELEASED = statements.Ranges(
    "{want} SELECT DISTINCT s.blob FROM want CROSS JOIN shared s"
    " WHERE s.content BETWEEN want.first AND want.last"
)
_RELEASE = statements.Ranges(
    "{want} DELETE FROM shared WHERE content IN (SELECT s.content FROM want CROSS JOIN shared s"
    " WHERE s.content BETWEEN want.first AND want.last)"
)
_FREE = "NOT EXISTS (SELECT 1 FROM shared s WHERE s.blob = blobs.id)"


def find(asked: _Asked, digest: bytes, size: int) -> BlobRow | None:
    """Find a body by what it is."""
    rows = asked.all(_FIND, (digest, size))
    return BlobRow(*rows[0]) if rows else None


def insert(tx: Transaction, row: BlobRow) -> None:
    """Add a body."""
    tx.insert(BLOBS, row.id, row.digest, row.size, row.key, row.unused)


def adopt(tx: Transaction, blob: int, key: str) -> None:
    """Let a body be under another key."""
    tx.run("UPDATE blobs SET key = ? WHERE id = ?", (key, blob))


def share(tx: Transaction, content: int, row: BlobRow) -> None:
    """Let a content have a body."""
    if row.unused:
        tx.run("UPDATE blobs SET unused = 0 WHERE id = ?", (row.id,))
    tx.insert(SHARED, content, row.id)


def places(connection: Connection, contents: NumSet) -> dict[int, tuple[int, str]]:
    """Give id and key of the bodies of those contents that have one here."""
    found = {}
    for sql, args in _PLACES.pieces(contents):
        for content, blob, key in connection.all(sql, args):
            found[content] = (blob, key)
    return found


def release(tx: Transaction, contents: NumSet) -> list[int]:
    """Take bodies from contents that are gone.

    Returns:
        Bodies in the database that nobody has any more: their rows are gone, their chunks not.
    """
    blobs: set[int] = set()
    for sql, args in _RELEASED.pieces(contents):
        blobs.update(blob for (blob,) in tx.all(sql, args))
    if not blobs:
        return []
    for sql, args in _RELEASE.pieces(contents):
        tx.run(sql, args)
    inside = []
    left = sorted(blobs)
    for start in range(0, len(left), _TOGETHER):
        some = left[start : start + _TOGETHER]
        which = f"id IN ({statements.placeholders(len(some))}) AND {_FREE}"
        gone = [
            blob for (blob,) in tx.all(f"SELECT id FROM blobs WHERE key = '' AND {which}", some)
        ]
        inside += gone
        if gone:
            tx.run(f"DELETE FROM blobs WHERE id IN ({statements.placeholders(len(gone))})", gone)
        tx.run(f"UPDATE blobs SET unused = ? WHERE {which}", (tx.now, *some))
    return inside


def reap(tx: Transaction, before: int) -> list[str]:
    """Forget some bodies that nobody had for long; give their keys, to be deleted afterwards."""
    rows = tx.all(
        f"SELECT id, key FROM blobs WHERE unused BETWEEN 1 AND ? AND {_FREE} LIMIT ?",
        (before, _TOGETHER),
    )
    if rows:
        ids = [id_ for id_, _ in rows]
        tx.run(f"DELETE FROM blobs WHERE id IN ({statements.placeholders(len(ids))})", ids)
    return [key for _, key in rows]


def release_lost(tx: Transaction) -> int:
    """Let bodies that nobody has, and of which that was not noted, go their way; tell how many."""
    return tx.run(
        f"UPDATE blobs SET unused = ? WHERE unused = 0 AND key <> '' AND {_FREE}", (tx.now,)
    )


def unnamed(asked: _Asked, keys: Sequence[str]) -> list[str]:
    """Give those of some keys that no row names."""
    named: set[str] = set()
    for start in range(0, len(keys), _TOGETHER):
        some = keys[start : start + _TOGETHER]
        sql = f"SELECT key FROM blobs WHERE key IN ({statements.placeholders(len(some))})"
        named.update(key for (key,) in asked.all(sql, some))
    return [key for key in keys if key not in named]


def in_pages(connection: Connection, after: str, last: str) -> list[BlobRow]:
    """Give bodies that are used and have keys behind one, up to another, ascending.

    Args:
        connection: Asked.
        after: The one before.
        last: The last one; ``""`` for all that follow.
    """
    until, args = ("AND key <= ? ", [after, last]) if last else ("", [after])
    rows = connection.all(
        f"SELECT {_COLUMNS} FROM blobs WHERE key > ? {until}AND unused = 0 ORDER BY key", args
    )
    return [BlobRow(*row) for row in rows]


def references(connection: Connection, blob: int) -> int:
    """Count the messages that have a body."""
    row = connection.one(
        "SELECT count(*) FROM shared s JOIN messages m ON m.content = s.content WHERE s.blob = ?",
        (blob,),
    )
    return int(row[0]) if row else 0
