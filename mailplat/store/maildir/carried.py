"""Bodies that the index carries until their files are durable.

A small message's bytes go into the table ``maildir_bodies`` in the transaction that makes it a
message.  So one flush, that of the commit, makes the mails of everybody durable who shares it.
Its file is written at once and flushed later, together with many others; then the row goes.

Such a message's location is ``row/NUMBER`` until its file is in its mailbox.

Invariants: a row stays as long as a step of the journal names it; so after a crash each file that
may not have reached the disk can be written again.
"""

from __future__ import annotations

from collections.abc import Collection

from mailplat.model.numset import NumSet
from mailplat.store.index.database import Connection
from mailplat.store.index.statements import Insert

__all__ = ["BODIES", "SCHEMA", "dropped", "is_row", "read_row", "row_location", "row_number"]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS maildir_bodies (number INTEGER PRIMARY KEY, date INTEGER NOT NULL,"
    " data BLOB NOT NULL)",
)

BODIES = Insert("maildir_bodies", "number date data")
_READ = "SELECT date, data FROM maildir_bodies WHERE number = ?"
_DROP = (
    "DELETE FROM maildir_bodies WHERE number BETWEEN ? AND ? AND 'row/' || number NOT IN"
    " (SELECT source FROM maildir_steps)"
)


def row_location(number: int) -> str:
    """Give the location of a message whose bytes are in a row."""
    return f"row/{number}"


def is_row(location: str) -> bool:
    """Whether a location is a row, and no file."""
    return location.startswith("row/")


def row_number(location: str) -> int:
    """Undo `row_location`."""
    return int(location[4:])


def read_row(connection: Connection, location: str) -> tuple[int, bytes] | None:
    """Read a message's date, in seconds since 1970, and its bytes; None if it is in its file."""
    row = connection.one(_READ, (row_number(location),))
    return (row[0], bytes(row[1])) if row else None


def dropped(numbers: Collection[int]) -> list[tuple[str, tuple[int, int]]]:
    """Write the statements that remove rows, but those that a step still names."""
    return [(_DROP, pair) for pair in NumSet.of(numbers).ranges]
