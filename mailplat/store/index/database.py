"""What the index asks of a database: SQLite now, others behind the same few methods.

Statements are written with ``?`` for parameters in SQL that every dialect here knows; what differs
is asked of the `Dialect`.  A connection is used by one thread at a time and blocks it.

Rows are few and wide: a driver hands a row over only while it holds the interpreter's lock, and in
a busy process each row then waits its turn.  So a block of messages is read as one row whose
columns are joined by the database (see `mailplat.store.index.blocks`), and written as one
statement with many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Connection", "Database", "Dialect", "Row"]

Row = tuple[Any, ...]


class Dialect(Protocol):
    """Where dialects of SQL differ.

    There is one object for each, so that statements can be kept by it.
    """

    name: str

    def __hash__(self) -> int:
        """As any object's."""

    def joined_numbers(self, expression: str) -> str:
        """Aggregate numbers into text, separated by commas."""

    def joined_lines(self, expression: str) -> str:
        """Aggregate texts without line ends into one, a line each."""

    def joined_bytes(self, expression: str) -> str:
        """Aggregate byte strings into one, in the order of `joined_numbers` beside it."""

    def length(self, expression: str) -> str:
        """The length of a text or byte string in bytes."""


class Connection(Protocol):
    """One connection to the database.

    Every method raises `Unavailable`, `StorageFull` or `Corrupt` for what the database says.
    """

    dialect: Dialect

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run a query and give its rows."""

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run a query of at most one row."""

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run a statement; give how many rows it concerned."""

    def begin(self) -> None:
        """Begin a transaction that writes; nobody else writes until it ends."""

    def commit(self) -> None:
        """Make the transaction durable; who returns from here survives a power cut."""

    def rollback(self) -> None:
        """Undo the transaction; never raises."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all that is read inside see one commit."""

    def check(self) -> Sequence[str]:
        """Say what the database finds wrong with its own files; reads all of them."""

    def others_wrote(self) -> bool:
        """Whether another connection may have written since this was asked last."""

    def close(self) -> None:
        """Let go of it."""


class Database(Protocol):
    """Where connections come from."""

    dialect: Dialect
    name: str
    """For messages to the operator."""

    search_path: Path | None
    """A file for the index of text, beside the database; None where it can search by itself."""

    def create(self) -> None:
        """Make the database if it is not there, with the schema; check it if it is.

        Raises:
            ConfigurationFault: It cannot be used; the reason says the remedy.
        """

    def connect(self, *, writes: bool) -> Connection:
        """Open a connection; may be used by another thread than this one."""
