"""Queries for what readers want of whole mailboxes: their rows, and what changed since when.

Each reads within one snapshot, in blocks of many messages: one row of the database is one block
(see `mailplat.store.index.database`).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mailplat.model.changes import Changes
from mailplat.model.numset import NumSet
from mailplat.store.index import statements
from mailplat.store.index.columns import Loaded, News
from mailplat.store.index.database import Connection, Dialect
from mailplat.store.index.summaries import numbers

__all__ = ["MailboxReader"]

_BLOCK = 16384
"""Messages that one row of the database carries."""


class MailboxReader:
    """Reads whole mailboxes.

    Args:
        dialect: The database's.

    Attributes:
        news_statement: What `news` asks; its parameters are a mailbox and a MODSEQ.
    """

    def __init__(self, dialect: Dialect) -> None:
        def joined(names: str) -> str:
            return ", ".join(dialect.joined_numbers(name) for name in names.split())

        self._load = (
            f"SELECT {joined('uid mask modseq size date content')} FROM ("
            "SELECT uid, mask, modseq, size, date, content FROM messages"
            f" WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT {_BLOCK}) block"
        )
        # the sign keeps SQLite from reading the whole mailbox, only because that is in order
        self.news_statement = (
            f"SELECT {joined('uid mask modseq size date content')} FROM ("
            "SELECT uid, mask, modseq, size, date, content FROM messages"
            " WHERE mailbox = ? AND modseq > ? ORDER BY +uid) block"
        )
        self._changed = (
            f"SELECT {joined('uid mask modseq added')} FROM ("
            "SELECT uid, mask, modseq, added FROM messages"
            " WHERE mailbox = ? AND modseq > ? ORDER BY +uid) block"
        )
        self._vanished = (
            f"SELECT {joined('first last')} FROM vanished WHERE mailbox = ? AND modseq > ?"
        )

    def load(self, connection: Connection, mailbox_id: int) -> Loaded | None:
        """Read all rows of a mailbox; None if it is not there."""
        row = connection.one(statements.MAILBOX, (mailbox_id,))
        if row is None:
            return None
        loaded = Loaded(statements.mailbox_row(row), array("I"), *(array("q") for _ in range(5)))
        columns = (
            loaded.uids,
            loaded.masks,
            loaded.modseqs,
            loaded.sizes,
            loaded.dates,
            loaded.contents,
        )
        last = 0
        while True:
            block = connection.one(self._load, (mailbox_id, last))
            if block is None or block[0] is None:
                return loaded
            for column, joined in zip(columns, block, strict=True):
                column.extend(numbers(joined))
            last = loaded.uids[-1]

    def changes_since(self, connection: Connection, mailbox_id: int, modseq: int) -> Changes | None:
        """Tell what changed after a MODSEQ; None if the mailbox is not there."""
        row = connection.one(statements.MAILBOX, (mailbox_id,))
        if row is None:
            return None
        mailbox = statements.mailbox_row(row)
        found = connection.one(self._changed, (mailbox_id, modseq)) or (None,) * 4
        uids, masks, modseqs, added = map(numbers, found)
        changed = [i for i, came in enumerate(added) if came <= modseq]
        if modseq < mailbox.log_start:
            # the log does not go back so far: name every UID that is not there
            vanished = NumSet.span(1, mailbox.uid_next - 1) - self._present(connection, mailbox_id)
        else:
            vanished = self._gone_since(connection, mailbox_id, modseq)
        return Changes(
            modseq=mailbox.modseq,
            added=array("I", [uid for uid, came in zip(uids, added, strict=True) if came > modseq]),
            changed=array("I", [uids[i] for i in changed]),
            masks=array("q", [masks[i] for i in changed]),
            modseqs=array("q", [modseqs[i] for i in changed]),
            vanished=vanished,
        )

    def news(self, connection: Connection, mailbox_id: int, modseq: int) -> News | Loaded | None:
        """Read what memory missed after a MODSEQ; all rows if that cannot be told.

        Returns:
            None if the mailbox is not there.
        """
        row = connection.one(statements.MAILBOX, (mailbox_id,))
        if row is None:
            return None
        mailbox = statements.mailbox_row(row)
        if modseq < mailbox.log_start or mailbox.modseq < modseq:
            return self.load(connection, mailbox_id)
        found: Sequence[str | None] = (
            connection.one(self.news_statement, (mailbox_id, modseq)) or [None] * 6
        )
        uids, *columns = map(numbers, found)
        vanished = self._gone_since(connection, mailbox_id, modseq)
        return News(mailbox, vanished, array("I", uids), *(array("q", one) for one in columns))

    def _gone_since(self, connection: Connection, mailbox_id: int, modseq: int) -> NumSet:
        ranges = connection.one(self._vanished, (mailbox_id, modseq)) or (None, None)
        return NumSet.from_ranges(zip(numbers(ranges[0]), numbers(ranges[1]), strict=True))

    def _present(self, connection: Connection, mailbox_id: int) -> NumSet:
        loaded = self.load(connection, mailbox_id)
        return NumSet.of(loaded.uids) if loaded else NumSet()
