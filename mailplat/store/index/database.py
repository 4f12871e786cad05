"""What the index asks of a database: SQLite now, others behind the same few methods.

Statements are written with ``?`` for parameters in SQL that every dialect here knows; what differs
is asked of the `Dialect`.  A connection is used by one thread at a time and blocks it.

Rows are few and wide: a driver hands a row over only while it holds the interpreter's lock, and in
a busy process each row then waits its turn.  So a block of messages is read as one row whose
columns are joined by the database (see `mailplat.store.index.blocks`), and written as one
statement with many rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = [
    "ANYTHING",
    "EVERYTHING",
    "NOTHING",
    "Connection",
    "Database",
    "Dialect",
    "Following",
    "IndexDatabase",
    "Row",
    "Touched",
]

Row = tuple[Any, ...]

Touched = frozenset[tuple[int, int]]
"""What a commit changed of what others may have in memory: ids of homes, each with that of one of
its mailboxes, or with 0 for its list of mailboxes and what else is the home's own."""

NOTHING: Final[Touched] = frozenset()
"""Nobody needs to hear of it."""

ANYTHING: Final[Touched] = frozenset({(0, 1)})
"""Others wrote, it is not known what; each mailbox's own log tells its changes."""

EVERYTHING: Final[Touched] = frozenset({(0, 0)})
"""Anything may have changed, also without a trace in the logs."""


class Dialect(Protocol):
    """Where dialects of SQL differ.

    There is one object for each, so that statements can be kept by it.
    """

    name: str

    take_lease: str | None
    """Asks whether a home, by its id, can be had alone among processes; None where one process is
    all there is.  It is let go by `drop_lease`, or with the writer's connection."""

    drop_lease: str | None

    def __hash__(self) -> int:
        """As any object's."""

    def joined_numbers(self, expression: str, by: str = "") -> str:
        """Aggregate numbers into text, separated by commas.

        Args:
            expression: The numbers.
            by: What orders them, where the rows that are read are not in order by themselves:
                in SQLite they are, if a statement's tables stand in the order to be read.
        """

    def joined_lines(self, expression: str, by: str = "") -> str:
        """Aggregate texts without line ends into one, a line each, likewise."""

    def joined_bytes(self, expression: str, by: str = "") -> str:
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

    def commit(self, touched: Collection[tuple[int, int]] = NOTHING) -> None:
        """Make the transaction durable; who returns from here survives a power cut.

        Args:
            touched: What others may have in memory, see `Touched`.
        """

    def can_commit(self) -> bool:
        """Whether the transaction stands, whatever failed in it: some errors end it."""

    def rollback(self) -> None:
        """Undo the transaction; never raises."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all that is read inside see one commit."""

    def check(self) -> Sequence[str]:
        """Say what the database finds wrong with its own files; reads all of them."""

    def others_wrote(self) -> Touched:
        """What other connections committed between the last call and `begin`."""

    def close(self) -> None:
        """Let go of it."""


class Database(Protocol):
    """Where connections come from."""

    dialect: Dialect
    name: str
    """For messages to the operator."""

    def create(self) -> None:
        """Make the database if it is not there, with the schema; check it if it is.

        Raises:
            ConfigurationFault: It cannot be used; the reason says the remedy.
        """

    def connect(self, *, writes: bool) -> Connection:
        """Open a connection; may be used by another thread than this one."""


class Following(Protocol):
    """Hears of what other processes commit.

    Attributes:
        live: False while the connection is lost: only looking tells then.
    """

    live: bool

    def start(self) -> Awaitable[None]:
        """Hear from now on."""

    def stop(self) -> Awaitable[None]:
        """Hear no more."""


class IndexDatabase(Database, Protocol):
    """Where a store's index is."""

    search_path: Path | None
    """A file for the index of text, beside the database; None where there shall be none."""

    def follow(self, reactor: Any, tell: Callable[[], None]) -> Following | None:
        """Make what tells, in the reactor's thread, that another process committed something.

        Returns:
            None where only looking shows it (`Connection.others_wrote`).
        """
