"""The bytes of messages in the same database as the index: one commit for both.

A body is kept in chunks of 64 KiB, a row each, so that a range of a large one is found, read and
written without the rest.  Several ranges are read as one row of the database, joined, and cut apart
here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import NewMessage
from mailplat.interfaces.upkeep import Fault
from mailplat.model.errors import Corrupt, TooBig
from mailplat.model.numset import NumSet
from mailplat.store.index import statements
from mailplat.store.index.bodies import Dropped, Wanted
from mailplat.store.index.database import Connection, Dialect
from mailplat.store.index.readers import Readers
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.index.schema import CHUNK, CHUNK_BITS

if TYPE_CHECKING:
    from mailplat.store.index.store import IndexedStore
    from mailplat.store.index.transaction import Transaction

__all__ = ["DatabaseBodies"]

_DROP = statements.Ranges(
    "{want} DELETE FROM bodies WHERE id IN ("
    "SELECT b.id FROM want CROSS JOIN bodies b WHERE b.id BETWEEN want.first AND want.last)"
)

_PIECES = 64
"""Pieces of bodies that one statement reads."""

_HELD = 1 << 20
"""Bytes of a large body that are held in memory while it is written."""


class DatabaseBodies:
    """Keeps bodies in the table ``bodies``.

    Args:
        dialect: The database's.
    """

    has_places = False

    def __init__(self, dialect: Dialect) -> None:
        by = "want.number"
        piece = "substr(b.data, CAST(want.start AS INTEGER), CAST(want.length AS INTEGER))"
        self._head = "WITH want (number, id, start, length) AS (VALUES "
        self._tail = (
            f") SELECT {dialect.joined_numbers('want.number', by)}, "
            f"{dialect.joined_bytes(piece, by)}"
            " FROM want CROSS JOIN bodies b WHERE b.id = want.id"
        )

    async def open(self, store: IndexedStore) -> None:
        """See `Bodies.open`: there is nothing that a crash could leave."""

    async def close(self) -> None:
        """See `Bodies.close`."""

    async def prepare(
        self, messages: Sequence[NewMessage], accounts: Sequence[str]
    ) -> Sequence[Any]:
        """See `Bodies.prepare`: the writer's thread reads what is in files."""
        return [message.body for message in messages]

    def done(self, prepared: Sequence[Any]) -> None:
        """See `Bodies.done`."""

    def store(self, tx: Transaction, content: int, prepared: Any) -> None:
        """See `Bodies.store`."""
        body: IBody = prepared
        size = body.size
        if size > CHUNK << CHUNK_BITS:
            raise TooBig(f"a body of {size} bytes; the database takes {CHUNK << CHUNK_BITS}")
        first = content << CHUNK_BITS
        if size <= CHUNK:
            tx.insert(statements.BODIES, first, _read(body, 0, size))
            return
        for start in range(0, size, CHUNK):
            data = _read(body, start, min(start + CHUNK, size))
            tx.insert(statements.BODIES, first + start // CHUNK, data)
            if start % _HELD == 0:
                tx.flush()

    def place(
        self, tx: Transaction, mailbox: MailboxRow, uid: int, mask: int, prepared: Any
    ) -> str:
        """See `Bodies.place`."""
        return ""

    def link(
        self,
        tx: Transaction,
        source: MailboxRow,
        rows: Sequence[MessageRow],
        target: MailboxRow,
        uids: Sequence[int],
        masks: Sequence[int],
    ) -> Sequence[str]:
        """See `Bodies.link`: copies share their content."""
        return [""] * len(rows)

    def expunged(
        self, tx: Transaction, mailbox: MailboxRow, rows: Sequence[MessageRow]
    ) -> Sequence[str]:
        """See `Bodies.expunged`."""
        return [""] * len(rows)

    def flagged(
        self,
        tx: Transaction,
        mailbox: MailboxRow,
        rows: Sequence[MessageRow],
        masks: Sequence[int],
    ) -> None:
        """See `Bodies.flagged`."""

    def drop(self, tx: Transaction, rows: Sequence[Dropped], contents: Sequence[int]) -> None:
        """See `Bodies.drop`."""
        last_chunk = (1 << CHUNK_BITS) - 1
        chunks = NumSet.from_ranges(
            (content << CHUNK_BITS, content << CHUNK_BITS | last_chunk) for content in contents
        )
        for sql, args in _DROP.pieces(chunks):
            tx.run(sql, args)

    def mailbox_made(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """See `Bodies.mailbox_made`."""

    def mailbox_renamed(
        self, tx: Transaction, home: HomeRow, mailbox: MailboxRow, old_name: str
    ) -> None:
        """See `Bodies.mailbox_renamed`."""

    def mailbox_deleted(self, tx: Transaction, home: HomeRow, mailbox: MailboxRow) -> None:
        """See `Bodies.mailbox_deleted`."""

    def home_made(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_made`."""

    def subscribed(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.subscribed`: nobody else reads the list."""

    def home_deleted(self, tx: Transaction, home: HomeRow) -> None:
        """See `Bodies.home_deleted`."""

    def look(self, home: HomeRow, mailbox: MailboxRow | None) -> None:
        """See `Bodies.look`: nobody changes a database behind the index's back."""

    def complete(self, mailbox: int, uids: NumSet) -> Awaitable[None]:
        """See `Bodies.complete`: here every message came with its content."""
        return succeed(None)

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> Sequence[bytes | None]:
        """See `Bodies.read`."""
        pieces: list[tuple[int, int, int, int]] = []
        for number, want in enumerate(wanted):
            first = want.content << CHUNK_BITS
            for chunk in range(want.start // CHUNK, (want.stop - 1) // CHUNK + 1):
                begin = max(want.start - chunk * CHUNK, 0)
                end = min(want.stop - chunk * CHUNK, CHUNK)
                pieces.append((number, first + chunk, begin, end - begin))
        parts: list[list[bytes]] = [[] for _ in wanted]
        for start in range(0, len(pieces), _PIECES):
            self._read_pieces(connection, pieces[start : start + _PIECES], wanted, parts)
        return [_whole(want, found) for want, found in zip(wanted, parts, strict=True)]

    def fetch(
        self, readers: Readers, wanted: Sequence[Wanted], subject: str
    ) -> Awaitable[Sequence[bytes | None]]:
        """See `Bodies.fetch`."""
        return readers.read(partial(self.read, wanted=wanted), subject)

    async def faults(self) -> Sequence[Fault]:
        """See `Bodies.faults`: all is in the index."""
        return ()

    async def sweep(self) -> int:
        """See `Bodies.sweep`."""
        return 0

    def _read_pieces(
        self,
        connection: Connection,
        pieces: Sequence[tuple[int, int, int, int]],
        wanted: Sequence[Wanted],
        parts: list[list[bytes]],
    ) -> None:
        values = ", ".join(["(?, ?, ?, ?)"] * len(pieces))
        args = [
            argument
            for place, (_, id_, begin, length) in enumerate(pieces)
            for argument in (place, id_, begin + 1, length)
        ]
        row = connection.one(self._head + values + self._tail, args)
        if row is None or row[0] is None:
            return
        places, joined = [int(place) for place in row[0].split(",")], row[1]
        if sum(pieces[place][3] for place in places) != len(joined):
            want = wanted[pieces[places[0]][0]]
            if len(pieces) > 1:  # find out whose
                for piece in pieces:
                    self._read_pieces(connection, [piece], wanted, parts)
                return
            raise Corrupt(f"UID {want.uid}: its bytes are too few")
        at = 0
        for place in places:
            number, _, _, length = pieces[place]
            parts[number].append(joined[at : at + length])
            at += length


def _whole(want: Wanted, parts: Sequence[bytes]) -> bytes | None:
    """Put a range together; None if nothing of it is there."""
    if not parts:
        return None
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(data) != want.stop - want.start:
        raise Corrupt(f"UID {want.uid}: some of its bytes are missing")
    return data


def _read(body: IBody, start: int, stop: int) -> bytes:
    """Read what an intake promised; fewer bytes would be kept as another message."""
    data = body.read(start, stop)
    if len(data) != stop - start:
        raise OSError(f"a body ended after {start + len(data)} of {body.size} bytes")
    return data
