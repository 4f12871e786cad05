"""The trigrams of a store's text in a SQLite file, filled from a database of any kind.

The file stands beside the database (see `trigrams`).  What is in it, and up to where, it knows
itself; whose it is, it knows by the mark that the database bears.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from pathlib import Path
from secrets import randbits
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.interfaces.search import Searched
from mailplat.model.errors import Corrupt, Unavailable
from mailplat.model.numset import NumSet
from mailplat.store.index import statements, trigrams
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection, Database
from mailplat.store.index.readers import Readers
from mailplat.store.index.searched import SEARCHED_BYTES, SEARCHED_CONTENTS, read_text
from mailplat.store.index.sqlite import SQLiteConnection
from mailplat.store.index.transaction import Transaction
from mailplat.store.index.trigrams import Document, Span, TrigramFile
from mailplat.store.index.writer import Writer

__all__ = ["TrigramKeeper"]

_log = Logger()

_KINDS = {Searched.HEADER: 1, Searched.BODY: 0, Searched.TEXT: None}
_HITS = 4096
"""So many hits are worth finding in any mailbox, however small."""

_MARK = "search"
_NEXT = "SELECT id, size, parts FROM contents WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_MESSAGE = "SELECT mailbox, uid FROM messages WHERE content = ? LIMIT 1"
_LIVE = "SELECT count(DISTINCT content) FROM messages WHERE content BETWEEN ? AND ?"
_UNREAD = "DELETE FROM unread WHERE content = ?"


class TrigramKeeper:
    """Keeps the file of one store; see `mailplat.store.index.search.Keeper`.

    Args:
        path: The file of the index.
        database: The store's.
        bodies: Have the bytes.
        writer: Knows the store's mark.
        reactor: Threads.
    """

    def __init__(
        self, path: Path, database: Database, bodies: Bodies, writer: Writer, reactor: Any
    ) -> None:
        self._file = TrigramFile(path)
        self.name = self._file.name
        self._database = database
        self._bodies = bodies
        self._writer = writer
        self._readers = Readers(self._file, reactor, 1)
        self._main: Connection | None = None
        self._own: SQLiteConnection | None = None

    async def open(self) -> bool:
        """See `Keeper.open`; a damaged file is made anew."""
        mark, newest = await self._writer.submit(_mark, self._database.name)
        try:
            fits = await deferToThread(self._connect, mark, newest)
        except Corrupt as error:
            _log.warn("the search index is built anew: {error}", error=error.reason)
            await self.close()
            await deferToThread(self._file.remove)
            fits = await deferToThread(self._connect, mark, newest)
        if not fits:
            await self.empty()
        await deferToThread(self._readers.start)
        return True

    async def close(self) -> None:
        """See `Keeper.close`."""
        await self._readers.stop()
        for connection in (self._main, self._own):
            if connection is not None:
                await deferToThread(connection.close)
        self._main = self._own = None

    async def empty(self) -> None:
        """See `Keeper.empty`; a file of the past that turns up later must not fit."""
        mark = await self._writer.submit(_new_mark, self._database.name)
        await deferToThread(self._empty, mark)

    async def remove(self) -> None:
        """See `Keeper.remove`."""
        await deferToThread(self._file.remove)

    def _connect(self, mark: int, newest: int) -> bool:
        """Connect; say whether the file is the database's."""
        self._file.create()
        self._own = self._file.connect(writes=True)
        self._main = self._database.connect(writes=False)
        return trigrams.belongs(self._own, mark, newest)

    def _empty(self, mark: int) -> None:
        own = self._own
        assert own is not None
        own.begin()
        try:
            trigrams.empty(own, mark)
            own.commit()
        finally:
            own.rollback()

    # in a thread

    def take_in(self) -> bool:
        """See `Keeper.take_in`."""
        own = self._own
        assert own is not None
        own.begin()
        try:
            for span in trigrams.spans(own):
                if span.is_full:
                    continue
                documents, upto = self._read(span)
                if documents or upto > span.upto:
                    trigrams.add(own, span, documents, upto)
                    own.commit()
                    return True
            return False
        finally:
            own.rollback()

    def _read(self, span: Span) -> tuple[list[Document], int]:
        """Read the next contents of a span; give also up to where that is all there is."""
        main = self._main
        assert main is not None
        documents: list[Document] = []
        with _told(), main.snapshot():
            rows = main.all(_NEXT, (span.upto, span.last, SEARCHED_CONTENTS))
            upto = rows[-1][0] if len(rows) == SEARCHED_CONTENTS else None
            size = 0
            taken: list[tuple[Wanted, bytes]] = []
            for content, bytes_, parts in rows:
                if taken and size + bytes_ > SEARCHED_BYTES:
                    upto = taken[-1][0].content
                    break
                message = main.one(_MESSAGE, (content,))
                if message is not None:  # else nobody can look for it any more
                    want = Wanted(message[0], message[1], content, bytes_, "", 0, bytes_)
                    taken.append((want, parts))
                    size += bytes_
            for want, parts in taken:
                documents.append(_document(main, self._bodies, want, parts))
        if upto is None:
            # a full answer: a span that does not grow is through
            upto = span.last if not _grows(span) else rows[-1][0] if rows else span.upto
        return documents, upto

    def tidy(self) -> None:
        """See `Keeper.tidy`."""
        own, main = self._own, self._main
        assert own is not None
        assert main is not None
        own.begin()
        try:
            live = []
            for span in trigrams.spans(own):
                if span.is_full or _grows(span):
                    with _told():
                        (count,) = main.one(_LIVE, (span.first, span.upto)) or (0,)
                    live.append((span, count))
            trigrams.tidy(own, live)
            for (content,) in own.all("SELECT content FROM unread"):
                with _told():
                    gone = main.one(_MESSAGE, (content,)) is None
                if gone:
                    own.run(_UNREAD, (content,))
            own.commit()
        finally:
            own.rollback()

    # asking

    def pick(
        self, needle: str, where: Searched, uids: Sequence[int], contents: Sequence[int]
    ) -> Awaitable[Sequence[int] | None]:
        """See `Keeper.pick`."""
        job = partial(_pick, needle=needle, kind=_KINDS[where], uids=uids, contents=contents)
        return self._readers.read(job, self.name)


def _document(main: Connection, bodies: Bodies, want: Wanted, parts: bytes) -> Document:
    text = read_text(main, bodies, want, parts)
    return Document(want.content, None, None) if text is None else Document(want.content, *text)


def _pick(
    connection: Connection,
    needle: str,
    kind: int | None,
    uids: Sequence[int],
    contents: Sequence[int],
) -> Sequence[int] | None:
    """Keep messages that may match, and those that the index does not know; in a thread."""
    first, last = min(contents), max(contents)
    limit = max(_HITS, len(contents))
    matches = trigrams.match(connection, needle, kind, first, last, limit)
    if matches is None:
        return None
    found = matches.contents
    known = NumSet.from_ranges(matches.known).ranges
    if not known or first < known[0][0] or last > known[0][1]:
        starts = [start for start, _ in known]
        for content in set(contents):
            at = bisect_right(starts, content) - 1
            if at < 0 or content > known[at][1]:
                found.add(content)
    return list(compress(uids, map(found.__contains__, contents)))


@contextmanager
def _told() -> Iterator[None]:
    """What is damaged inside is the store's; that is dealt with where it is read."""
    try:
        yield
    except Corrupt as error:
        raise Unavailable(error.reason) from error


def _grows(span: Span) -> bool:
    return span.last == trigrams.OPEN


def _mark(tx: Transaction) -> tuple[int, int]:
    """Read the mark of the database, 0 if it has none, and the newest content's id."""
    mark = tx.one(statements.COUNTER, (_MARK,))
    newest = tx.one(statements.COUNTER, ("content",))
    return mark[0] if mark else 0, newest[0] if newest else 0


def _new_mark(tx: Transaction) -> int:
    mark = 1 + randbits(61)
    tx.run(statements.SET_COUNTER, (mark, _MARK))
    return mark
