"""The statements of the index, written once, in SQL that every dialect here knows.

They are plain text with ``?`` for parameters: a statement built by a library for each call costs
twenty times what running it does.  Sets of UIDs go in as ranges (`Ranges`), rows as many a
statement (`Insert`), so that the number of statements does not grow with that of messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from mailplat.model.numset import NumSet
from mailplat.store.index.database import Row
from mailplat.store.index.rows import HomeRow, MailboxRow

__all__ = [
    "BODIES",
    "CONTENTS",
    "COUNTER",
    "DROPPING",
    "HEADERS",
    "HOME",
    "HOMES",
    "HOME_OF_ACCOUNT",
    "MAILBOX",
    "MAILBOXES",
    "MAILBOXES_OF_HOME",
    "MAILBOX_OF_NAME",
    "MESSAGES",
    "SET_COUNTER",
    "SET_HOME",
    "SET_MAILBOX",
    "SUBSCRIPTIONS",
    "VANISHED",
    "Insert",
    "Ranges",
    "home_values",
    "mailbox_row",
    "mailbox_values",
    "placeholders",
]


class Insert:
    """``INSERT`` into a table, of few or many rows at once."""

    _SIZES = (256, 64, 16, 4, 1)

    def __init__(self, table: str, columns: str) -> None:
        self.columns = columns.split()
        self._head = f"INSERT INTO {table} ({', '.join(self.columns)}) VALUES "
        self._row = f"({placeholders(len(self.columns))})"
        self._texts: dict[int, str] = {}

    def pieces(self, count: int) -> Iterator[tuple[str, int, int]]:
        """Cut ``count`` values into statements: each with where its values begin and end."""
        width, start = len(self.columns), 0
        rows = count // width
        for size in self._SIZES:
            while rows >= size:
                text = self._texts.get(size)
                if text is None:
                    text = self._texts[size] = self._head + ", ".join([self._row] * size)
                yield text, start, start + size * width
                start += size * width
                rows -= size


class Ranges:
    """A statement about UIDs of one mailbox that are given as a set.

    Its text has ``{want}`` where the common table ``want (first, last)`` is declared, and reads
    it.  The ranges are the first parameters.
    """

    _SIZES = (1, 4, 16, 64, 256)

    def __init__(self, text: str) -> None:
        self._text = text
        self._texts: dict[int, str] = {}

    def pieces(self, uids: NumSet) -> Iterator[tuple[str, list[int]]]:
        """Give the statement as often as the set needs it, with its first parameters."""
        largest = self._SIZES[-1]
        for start in range(0, len(uids.ranges), largest):
            ranges = uids.ranges[start : start + largest]
            size = next(size for size in self._SIZES if size >= len(ranges))
            text = self._texts.get(size)
            if text is None:
                pairs = ", ".join(["(?, ?)"] * size)
                want = f"WITH want (first, last) AS (VALUES {pairs})"
                text = self._texts[size] = self._text.replace("{want}", want)
            values = [number for pair in ranges for number in pair]
            yield text, values + [1, 0] * (size - len(ranges))


@cache
def placeholders(count: int) -> str:
    """Write so many parameters, separated by commas."""
    return ", ".join(["?"] * count)


# counters of the store

COUNTER = "SELECT value FROM counters WHERE name = ?"
SET_COUNTER = (
    "INSERT INTO counters (value, name) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)

# homes

_HOME = (
    "SELECT id, account, modseq, storage, messages, limited, storage_limit, messages_limit"
    " FROM homes"
)
HOME = f"{_HOME} WHERE id = ?"
HOME_OF_ACCOUNT = f"{_HOME} WHERE account = ?"
SET_HOME = (
    "UPDATE homes SET modseq = ?, storage = ?, messages = ?, limited = ?, storage_limit = ?,"
    " messages_limit = ? WHERE id = ?"
)
HOMES = Insert("homes", "id account modseq storage messages limited storage_limit messages_limit")


def home_values(home: HomeRow) -> tuple[Any, ...]:
    """Give the parameters of `SET_HOME`."""
    return (
        home.modseq,
        home.storage,
        home.messages,
        home.limited,
        home.storage_limit,
        home.messages_limit,
        home.id,
    )


# mailboxes

_MAILBOX_COLUMNS = (
    "id home name mailbox_id uid_validity uid_next modseq recent_uid messages recent unseen"
    " deleted size log_start log_rows keywords special_use"
)
_MAILBOX = f"SELECT {', '.join(_MAILBOX_COLUMNS.split())} FROM mailboxes"
MAILBOX = f"{_MAILBOX} WHERE id = ?"
MAILBOX_OF_NAME = f"{_MAILBOX} WHERE home = ? AND name = ?"
MAILBOXES_OF_HOME = f"{_MAILBOX} WHERE home = ? ORDER BY name"
SET_MAILBOX = (
    "UPDATE mailboxes SET uid_next = ?, modseq = ?, recent_uid = ?, messages = ?, recent = ?,"
    " unseen = ?, deleted = ?, size = ?, log_start = ?, log_rows = ?, keywords = ? WHERE id = ?"
)
MAILBOXES = Insert("mailboxes", _MAILBOX_COLUMNS)


def mailbox_row(row: Row) -> MailboxRow:
    """Read a row of ``mailboxes``."""
    mailbox = MailboxRow(*row)
    mailbox.keywords = tuple(row[-2].split())
    mailbox.special_use = tuple(row[-1].split())
    return mailbox


def mailbox_values(mailbox: MailboxRow) -> tuple[Any, ...]:
    """Give the parameters of `SET_MAILBOX`."""
    return (
        mailbox.uid_next,
        mailbox.modseq,
        mailbox.recent_uid,
        mailbox.messages,
        mailbox.recent,
        mailbox.unseen,
        mailbox.deleted,
        mailbox.size,
        mailbox.log_start,
        mailbox.log_rows,
        " ".join(mailbox.keywords),
        mailbox.id,
    )


# rows of messages

SUBSCRIPTIONS = Insert("subscriptions", "home name")
CONTENTS = Insert(
    "contents",
    "id version size header_size traits sent envelope body bodystructure parts preview message_id"
    " refs base_subject",
)
HEADERS = Insert("headers", "content header")
BODIES = Insert("bodies", "id data")
MESSAGES = Insert("messages", "mailbox uid content mask modseq added size date saved place")
VANISHED = Insert("vanished", "mailbox modseq first last")
DROPPING = Insert("dropping", "mailbox modseq uid content place")


def in_list(values: Sequence[Any]) -> str:
    """Write ``(?, ?, ...)`` for a short list."""
    return f"({placeholders(len(values))})"
