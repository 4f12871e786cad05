r"""FETCH (RFC 9051 §6.4.5): columns from the store, joined bytes to the client, in blocks.

The messages are fixed when the command begins (a `Selection` of the view); rows are read and sent a
block at a time, and the next block is read only when the socket took the last one; of bodies, the
next part is read while one is sent.  So a client that stops reading holds one block and two parts,
nobody holds a lock, and what other sessions change meanwhile shows in later blocks or in the news
after the command.

``\Seen`` is set once, for all messages whose bodies were read, when the last block is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from mailplat.interfaces.store import BodyRange, Column, Rows
from mailplat.model.errors import Corrupt, Expunged, MailError
from mailplat.model.flags import SEEN, FlagAction
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.messages import Fetch
from mailplat.proto.imap.fetch_items import (
    Attribute,
    BinarySize,
    FetchItem,
    Preview,
    Section,
    SectionText,
)
from mailplat.proto.imap.fetch_writer import (
    FETCH_END,
    FetchWriter,
    Kind,
    binary_column,
    date_column,
    fetch_start,
    object_id_column,
    string_column,
    text_column,
)
from mailplat.proto.imap.view import Selection
from mailplat.sessions.imap.sections import Piece, from_headers, is_whole, locate, needs_header_only
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState
from mailplat.sessions.imap.streaming import Streaming

__all__ = ["fetch"]


async def fetch(state: SessionState, command: Fetch) -> None:
    """FETCH and UID FETCH."""
    selected = state.chosen()
    selection = selected.view.select(command.numbers, uid=command.uid)
    if command.partial is not None:
        selection = selection.block(*_page(command.partial.bounds(len(selection))))
    if command.vanished and command.changed_since is not None:
        await _tell_vanished(state, selected, command)
    fetching = _Fetching(state, selected, command)
    complete = await fetching.send(selection)
    read = [uid for uid in fetching.read if uid not in fetching.damaged]
    if read and not selected.read_only:
        await _mark_seen(state, selected, read, uid=command.uid)
    await state.tell_news(expunge=command.tells_expunge)
    if fetching.damaged:
        raise Corrupt("; ".join(list(fetching.damaged.values())[:_NAMED]))
    if not complete and not command.uid:
        # RFC 5530 §3 EXPUNGEISSUED: some went while the command ran
        state.conversation.ok("Some messages were removed", Expunged.imap_code)
        return
    state.conversation.ok()


_NAMED = 20
"""Damaged messages that the log names of one command, at most."""


def _page(bounds: tuple[int, int]) -> tuple[int, int]:
    start, stop = bounds
    return start, stop - start


async def _tell_vanished(state: SessionState, selected: Selected, command: Fetch) -> None:
    """VANISHED (EARLIER) of the UIDs asked for (RFC 7162 §3.2.6)."""
    assert command.changed_since is not None
    changes = await selected.mailbox.changes_since(command.changed_since)
    # "*" stands for what is gone from the end, too
    gone = changes.vanished & command.numbers.resolve(MAX_NUMBER)
    # what the client still has is told as news, or it would be told twice
    gone -= NumSet.of(gone.select(selected.view.uids))
    state.conversation.send(responses.vanished(gone, earlier=True))


async def _mark_seen(
    state: SessionState, selected: Selected, uids: Sequence[int], *, uid: bool
) -> None:
    r"""Set ``\Seen`` where it is missing, in one call, and tell the new flags."""
    rows = await selected.mailbox.rows(uids, (Column.FLAGS,))
    unseen = [
        uid for uid, mask in zip(rows.uids, rows[Column.FLAGS], strict=True) if not mask & SEEN
    ]
    if not unseen:
        return
    stored = await selected.mailbox.store_flags(NumSet.of(unseen), FlagAction.ADD, ["\\Seen"], None)
    told = selected.view.stored(stored, selected.mailbox.keywords, uid=uid, silent=False)
    state.conversation.send(told)
    selected.changed_here()


_COLUMNS = {
    Attribute.FLAGS: Column.FLAGS,
    Attribute.INTERNALDATE: Column.DATE,
    Attribute.SIZE: Column.SIZE,
    Attribute.ENVELOPE: Column.ENVELOPE,
    Attribute.BODY: Column.BODY,
    Attribute.BODYSTRUCTURE: Column.BODYSTRUCTURE,
    Attribute.MODSEQ: Column.MODSEQ,
    Attribute.EMAILID: Column.EMAIL_ID,
    Attribute.SAVEDATE: Column.SAVED,
}
"""The columns that items are made of, one for one."""


_Ready = dict[FetchItem, Sequence[bytes]]
"""Columns that are spelled already, by item."""


class _Fetching:
    """One FETCH: what it reads, and how a block of it is written."""

    def __init__(self, state: SessionState, selected: Selected, command: Fetch) -> None:
        self._state = state
        self._selected = selected
        self._items = command.items
        self._changed_since = command.changed_since
        self._added = {
            item: state.services.extensions.fetch_items[type(item)]
            for item in command.items
            if type(item) in state.services.extensions.fetch_items
        }
        self._columns = _columns(command).union(*(one.columns for one in self._added.values()))
        self._bodies = [item for item in command.items if _reads_body(item)]
        self._writer = FetchWriter([(item.label, _kind(item)) for item in command.items])
        self._marks = any(isinstance(item, Section) and not item.peek for item in command.items)
        self.read: list[int] = []  # UIDs of messages that are to become \Seen
        self.damaged: dict[int, str] = {}  # UIDs of those that could not be sent, and why

    async def send(self, selection: Selection) -> bool:
        """Send all rows; tell whether all of the messages were still there."""
        # a client may ask for thousands of sections: then fewer messages are a block
        size = max(self._state.services.options.block_rows // max(len(self._bodies), 1), 1)
        complete = True
        for start in range(0, len(selection), size):
            block = selection.block(start, size)
            rows = await self._selected.mailbox.rows(block.uids, self._columns)
            if len(rows.uids) < len(block):
                complete = False
                block = self._selected.view.select_uids(rows.uids)
            if Column.FLAGS in self._columns:
                view, keywords = self._selected.view, self._selected.mailbox.keywords
                self._state.conversation.send(view.learn_keywords(keywords))
            if self._changed_since is not None:
                block, rows = _changed(block, rows, self._changed_since)
            if self._marks:
                self.read.extend(rows.uids)
            if self._bodies:
                await self._send_with_bodies(block, rows)
            elif len(block):
                await self._send(block, rows, {})
        return complete

    async def _send(self, block: Selection, rows: Rows, read: _Ready) -> None:
        read = {**read, **await self._of_extensions(rows)}
        columns = [read[item] if item in read else self._column(item, rows) for item in self._items]
        self._state.conversation.send(self._writer.block(block.numbers, *columns))
        await self._state.link.drained()

    async def _of_extensions(self, rows: Rows) -> _Ready:
        """Have the items of extensions made ready."""
        return {
            item: await added.values(self._state, item, rows) for item, added in self._added.items()
        }

    def _column(self, item: FetchItem, rows: Rows) -> Iterable[Any]:
        """Make an item's column ready for the wire, without opening a body."""
        match item:
            case Attribute.UID:
                return rows.uids
            case Attribute.FLAGS:
                return self._selected.view.flag_column(rows.uids, rows[Column.FLAGS])
            case Attribute.INTERNALDATE:
                return date_column(rows[Column.DATE])
            case Attribute.SAVEDATE:
                return date_column(rows[Column.SAVED])
            case Attribute.EMAILID:
                return object_id_column(rows[Column.EMAIL_ID])
            case Attribute.THREADID:
                return [b"NIL"] * len(rows.uids)  # RFC 8474 §5.2: threads are not supported
            case Attribute():
                return rows[_COLUMNS[item]]
            case Preview():
                return text_column(rows[Column.PREVIEW], utf8=self._state.conversation.utf8)
            case Section():
                return string_column(from_headers(item, rows[Column.HEADER]))
            case _:
                raise TypeError(f"a FETCH item that nobody knows: {item!r}")

    # with bodies: as many messages at once as fit a block of bytes

    async def _send_with_bodies(self, block: Selection, rows: Rows) -> None:
        """Send part by part; the next one is read while this one goes out."""
        pieces = [self._pieces(rows, place) for place in range(len(rows.uids))]
        parts = list(_parts(pieces, self._state.services.options.block_bytes))
        ahead: Deferred[_Ready] | None = None
        try:
            for number, (start, stop, small) in enumerate(parts):
                part, part_rows = block.block(start, stop - start), _slice(rows, start, stop)
                if not small:
                    await self._stream(part, part_rows, pieces[start])
                    continue
                reading = ahead or self._begin(rows, pieces, start, stop)
                ahead = None
                try:
                    read = await reading
                except Corrupt:
                    # one of them is damaged; whichever it is, the others are sent
                    for at in range(start, stop):
                        one, row = block.block(at, 1), _slice(rows, at, at + 1)
                        await self._send_alone(one, row, pieces[at])
                    continue
                if number + 1 < len(parts) and parts[number + 1][2]:
                    ahead = self._begin(rows, pieces, *parts[number + 1][:2])
                await self._send(part, part_rows, read)
        finally:
            if ahead is not None:  # nobody takes it any more
                ahead.addErrback(lambda _: None)

    async def _send_alone(
        self, block: Selection, rows: Rows, pieces: Sequence[Piece | None]
    ) -> None:
        """Send one small message, or note that it is damaged."""
        try:
            read = await self._read(rows.uids, [pieces])
        except Corrupt as error:
            self.damaged[rows.uids[0]] = error.reason
        else:
            await self._send(block, rows, read)

    def _begin(
        self, rows: Rows, pieces: Sequence[Sequence[Piece | None]], start: int, stop: int
    ) -> Deferred[_Ready]:
        return Deferred.fromCoroutine(self._read(rows.uids[start:stop], pieces[start:stop]))

    def _pieces(self, rows: Rows, place: int) -> list[Piece | None]:
        size = rows[Column.SIZE][place]
        table = rows[Column.PARTS][place] if Column.PARTS in rows.columns else b""
        return [locate(_as_section(item), size, table) for item in self._bodies]

    async def _read(self, uids: Sequence[int], pieces: Sequence[Sequence[Piece | None]]) -> _Ready:
        """Read all pieces of some messages in one call, and spell them."""
        wanted = [
            BodyRange(uid, piece.start, piece.stop)
            for uid, row in zip(uids, pieces, strict=True)
            for piece in row
            if piece is not None
        ]
        found = iter(await self._selected.mailbox.bodies(wanted))
        columns: list[list[bytes | None]] = [[] for _ in self._bodies]
        for row in pieces:
            for piece, column in zip(row, columns, strict=True):
                data = next(found) if piece is not None else None
                if data is not None and piece is not None:
                    data = piece.finish(data)
                column.append(data)
        return {
            item: _spell(item, column) for item, column in zip(self._bodies, columns, strict=True)
        }

    async def _stream(self, block: Selection, rows: Rows, pieces: Sequence[Piece | None]) -> None:
        """Send one large message piece by piece, a block of bytes at a time."""
        (number,), (uid,) = block.numbers, rows.uids
        streaming = Streaming(self._state, self._selected, uid)
        ready = await self._of_extensions(rows)
        try:
            await streaming.probe([piece for piece in pieces if piece is not None])
        except Corrupt as error:
            self.damaged[uid] = error.reason
            return
        self._state.conversation.send(fetch_start(number))
        try:
            await self._stream_items(streaming, rows, pieces, ready)
        except MailError:
            self._state.link.abort()  # an answer was begun: nothing else can be said inside it
            raise

    async def _stream_items(
        self,
        streaming: Streaming,
        rows: Rows,
        pieces: Sequence[Piece | None],
        ready: _Ready,
    ) -> None:
        conversation, link = self._state.conversation, self._state.link
        by_item = dict(zip(self._bodies, pieces, strict=True))
        for place, item in enumerate(self._items):
            conversation.send((b" " if place else b"") + item.label + b" ")
            if item in ready:
                conversation.send(ready[item][0])
                continue
            if item not in by_item:
                (value,) = self._column(item, rows)
                conversation.send(_kind(item).value % value)
                continue
            piece = by_item[item]
            if piece is None or piece.fields is not None:
                data = await streaming.read(piece) if piece is not None else None
                if data is not None and piece is not None:
                    data = piece.finish(data)
                conversation.send(_spell(item, [data])[0])
            elif isinstance(item, BinarySize):
                conversation.send(b"%d" % await streaming.size(piece))
            elif piece.encoding is not None:
                await streaming.send_binary(piece)
            else:
                await streaming.send(piece)
            await link.drained()
        conversation.send(FETCH_END)
        await link.drained()


def _columns(command: Fetch) -> frozenset[Column]:
    """List what the rows must have."""
    columns: set[Column] = set()
    for item in command.items:
        if _reads_body(item):
            columns.add(Column.SIZE)
            if not is_whole(_as_section(item)):
                columns.add(Column.PARTS)
        elif isinstance(item, Section):
            columns.add(Column.HEADER)
        elif isinstance(item, Preview):
            columns.add(Column.PREVIEW)
        elif item in _COLUMNS:
            columns.add(_COLUMNS[item])
    if command.changed_since is not None:
        columns.add(Column.MODSEQ)
    return frozenset(columns)


def _reads_body(item: FetchItem) -> bool:
    return isinstance(item, BinarySize) or (
        isinstance(item, Section) and not needs_header_only(item)
    )


def _kind(item: FetchItem) -> Kind:
    if item in (Attribute.UID, Attribute.SIZE):
        return Kind.NUMBER
    return Kind.MODSEQ if item is Attribute.MODSEQ else Kind.READY


def _as_section(item: FetchItem) -> Section:
    """BINARY.SIZE asks for the size of what BINARY would give (RFC 3516 §4.3)."""
    if isinstance(item, Section):
        return item
    assert isinstance(item, BinarySize)
    return Section(item.label, item.part, SectionText.ALL, binary=True)


def _spell(item: FetchItem, column: Sequence[bytes | None]) -> list[bytes]:
    if isinstance(item, BinarySize):
        return [b"%d" % len(data or b"") for data in column]
    if isinstance(item, Section) and item.binary:
        return binary_column(column)
    return string_column(column)


def _changed(block: Selection, rows: Rows, since: int) -> tuple[Selection, Rows]:
    """Keep the rows with a higher MODSEQ (RFC 7162 §3.1.4.1)."""
    places = [place for place, modseq in enumerate(rows[Column.MODSEQ]) if modseq > since]
    if len(places) == len(rows.uids):
        return block, rows
    uids = [rows.uids[place] for place in places]
    numbers = [block.numbers[place] for place in places]
    columns = {
        column: [values[place] for place in places] for column, values in rows.columns.items()
    }
    return Selection(numbers, uids), Rows(uids, columns)


def _parts(
    pieces: Sequence[Sequence[Piece | None]], budget: int
) -> Iterator[tuple[int, int, bool]]:
    """Cut rows into parts of so many bytes: from, to before, and whether it is so few."""
    start = 0
    while start < len(pieces):
        stop, waiting = start, 0
        while stop < len(pieces):
            more = sum(piece.size for piece in pieces[stop] if piece is not None)
            if stop > start and waiting + more > budget:
                break
            waiting += more
            stop += 1
        yield start, stop, waiting <= budget
        start = stop


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(
        rows.uids[start:stop],
        {column: values[start:stop] for column, values in rows.columns.items()},
    )
