"""The text index of a store: filled behind the deliveries' backs, asked before text is read.

Filling works in the background: a moment after a commit a thread takes a batch of contents that
are not in yet, reads their bytes as SEARCH would, and writes their trigrams to a file of its own
(see `trigrams`).  Then it rests longer than it worked, and longest while mail comes in.  It holds
no lock that a delivery waits for, and nothing is lost if it stops at any moment.

Invariants: an answer names every message that has the needle: what is not in the index yet, or
could not be read, is named too.  Nothing that goes wrong with the index reaches those who search;
they are told that the index cannot tell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from pathlib import Path
from secrets import randbits
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.interfaces.search import Searched
from mailplat.message import headers
from mailplat.message.text import search_header, search_text
from mailplat.model.errors import Corrupt, MailError, Unavailable
from mailplat.model.numset import NumSet
from mailplat.store.index import statements, trigrams
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection, Database
from mailplat.store.index.readers import Readers
from mailplat.store.index.sqlite import SQLiteConnection
from mailplat.store.index.trigrams import Document, Span, TrigramFile

if TYPE_CHECKING:
    from mailplat.store.index.transaction import Transaction
    from mailplat.store.index.writer import Writer

__all__ = ["SHORTEST", "TextIndex"]

_log = Logger()

SHORTEST = 3
"""Characters of a needle below which an index of trigrams cannot tell."""

_KINDS = {Searched.HEADER: 1, Searched.BODY: 0, Searched.TEXT: None}
_BATCH = 64
"""Contents that are taken in at once."""

_BATCH_BYTES = 1 << 20
"""Bytes of them, unless a single one is larger."""

_RESTS, _BUSY_RESTS = 2.0, 8.0
"""How long to rest after a batch, measured by the work: usually, and while mail comes in."""

_RETRY_SECONDS = 60.0
"""When to try again after something went wrong."""

_GONE = 512
"""Contents that have to go before it is worth looking which spans they left."""

_HITS = 4096
"""So many hits are worth finding in any mailbox, however small."""

_MARK = "search"
_NEXT = "SELECT id, size, parts FROM contents WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_MESSAGE = "SELECT mailbox, uid FROM messages WHERE content = ? LIMIT 1"
_LIVE = "SELECT count(DISTINCT content) FROM messages WHERE content BETWEEN ? AND ?"
_UNREAD = "DELETE FROM unread WHERE content = ?"


class TextIndex:
    """Follows one store.

    Args:
        path: The file of the index.
        database: The store's.
        bodies: Have the bytes.
        writer: Knows the store's mark.
        reactor: Clock and threads.
        delay: Seconds from a commit until filling begins.
    """

    def __init__(
        self,
        path: Path,
        database: Database,
        bodies: Bodies,
        writer: Writer,
        reactor: Any,
        *,
        delay: float,
    ) -> None:
        self._file = TrigramFile(path)
        self._database = database
        self._bodies = bodies
        self._writer = writer
        self._reactor = reactor
        self._delay = delay
        self._readers = Readers(self._file, reactor, 1)
        self._main: Connection | None = None
        self._own: SQLiteConnection | None = None
        self._ready = False
        self._open = False
        self._later: Any = None
        self._resting: tuple[Any, Deferred[None]] | None = None
        self._running: list[Deferred[None]] | None = None
        self._hurry = 0
        self._more = False
        self._failed = False
        self._useless = False
        self._outdated = False
        self._gone = _GONE

    # opening and closing

    def open(self) -> None:
        """Follow the store from now on."""
        self._open = True
        self.wake()

    async def close(self) -> None:
        """Stop after the batch that is being taken in."""
        self._open = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._end_rest()
        if self._running is not None:
            done: Deferred[None] = Deferred()
            self._running.append(done)
            await done
        await self._let_go()

    async def _let_go(self) -> None:
        self._ready = False
        await self._readers.stop()
        for connection in (self._main, self._own):
            if connection is not None:
                await deferToThread(connection.close)
        self._main = self._own = None

    async def _prepare(self) -> None:
        """Open the file, if it is not open; a damaged one is made anew."""
        if self._ready:
            return
        mark, newest = await self._writer.submit(_mark, self._database.name)
        try:
            try:
                fits = await deferToThread(self._connect, mark, newest)
            except Corrupt as error:
                _log.warn("the search index is built anew: {error}", error=error.reason)
                await self._let_go()
                await deferToThread(self._file.remove)
                fits = await deferToThread(self._connect, mark, newest)
            if not fits:
                await self._begin_anew()
            await deferToThread(self._readers.start)
        except BaseException:
            await self._let_go()
            raise
        self._ready = True

    async def _begin_anew(self) -> None:
        """Forget everything; a file of the past that turns up later must not fit."""
        mark = await self._writer.submit(_new_mark, self._database.name)
        await deferToThread(self._empty, mark)

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

    # following

    def wake(self) -> None:
        """Something was committed: look at it in a moment."""
        self._more = True
        self._schedule()

    def _schedule(self) -> None:
        if self._open and self._more and self._later is None and self._running is None:
            delay = _RETRY_SECONDS if self._failed else self._delay
            self._later = self._reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._later = None
        Deferred.fromCoroutine(self._run_quietly())

    async def _run_quietly(self) -> None:
        try:
            await self._run()
        except Exception as error:
            _log.warn("the search index has to wait: {error}", error=error)
        self._schedule()

    def forget(self, count: int) -> None:
        """So many contents are gone for good."""
        self._gone += count

    async def catch_up(self) -> None:
        """Take in what is committed, without rest."""
        self._more = True
        self._hurry += 1
        self._end_rest()
        try:
            while self._open and (self._more or self._running is not None):
                await self._run()
        finally:
            self._hurry -= 1
            self._schedule()

    async def rebuild(self) -> None:
        """Forget everything and take it in again."""
        self._outdated = True
        await self.catch_up()

    async def _run(self) -> None:
        """Work until nothing is left, or wait for the run that does it already."""
        if self._running is not None:
            done: Deferred[None] = Deferred()
            self._running.append(done)
            await done
            return
        if self._later is not None:
            self._later.cancel()
            self._later = None
        waiting: list[Deferred[None]] = []
        self._running = waiting
        self._failed = True
        try:
            await self._fill()
            self._failed = False
        finally:
            self._running = None
            for one in waiting:
                one.callback(None)

    async def _fill(self) -> None:
        if self._useless:
            self._useless = False
            await self._let_go()
            await deferToThread(self._file.remove)
        await self._prepare()
        self._more = False
        try:
            if self._outdated:
                self._outdated = False
                await self._begin_anew()
            if self._gone >= _GONE:
                self._gone = 0
                await deferToThread(self._tidy)
            while self._open:
                begun = self._reactor.seconds()
                if not await deferToThread(self._take_in):
                    break
                if not self._hurry:
                    rests = _BUSY_RESTS if self._more else _RESTS
                    self._more = False  # the next batch sees it
                    await self._rest(rests * (self._reactor.seconds() - begun))
        except Corrupt:
            self._useless = self._more = True
            raise
        except Unavailable:
            await self._let_go()  # another process may have made the file anew
            self._more = True
            raise

    async def _rest(self, seconds: float) -> None:
        done: Deferred[None] = Deferred()
        self._resting = self._reactor.callLater(seconds, done.callback, None), done
        await done
        self._resting = None

    def _end_rest(self) -> None:
        if self._resting is not None:
            call, done = self._resting
            self._resting = None
            call.cancel()
            done.callback(None)

    # in a thread

    def _take_in(self) -> bool:
        """Take the next batch in; say whether there may be more."""
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
            rows = main.all(_NEXT, (span.upto, span.last, _BATCH))
            upto = rows[-1][0] if len(rows) == _BATCH else None
            size = 0
            taken: list[tuple[Wanted, bytes]] = []
            for content, bytes_, parts in rows:
                if taken and size + bytes_ > _BATCH_BYTES:
                    upto = taken[-1][0].content
                    break
                message = main.one(_MESSAGE, (content,))
                if message is not None:  # else nobody can look for it any more
                    want = Wanted(message[0], message[1], content, bytes_, "", 0, bytes_)
                    taken.append((want, parts))
                    size += bytes_
            for want, parts in taken:
                documents.append(self._document(main, want, parts))
        if upto is None:
            # a full answer: a span that does not grow is through
            upto = span.last if not _grows(span) else rows[-1][0] if rows else span.upto
        return documents, upto

    def _document(self, main: Connection, want: Wanted, parts: bytes) -> Document:
        body: bytes | None = b""
        if want.size:
            try:
                (body,) = self._bodies.read(main, [want])
            except Corrupt as error:
                _log.warn("not in the search index: {error}", error=error.reason)
                body = None
        if body is None:
            return Document(want.content, None, None)
        return Document(
            want.content, search_header(headers.split(body)[0]), search_text(body, parts)
        )

    def _tidy(self) -> None:
        """Let contents go that are gone."""
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

    async def pick(
        self, needle: str, where: Searched, uids: Sequence[int], contents: Sequence[int]
    ) -> Sequence[int] | None:
        """Pick messages that may have a needle; see `ISearchable.candidates`.

        Args:
            needle: Folded.
            where: Which text.
            uids: The messages.
            contents: The content of each.
        """
        if len(needle) < SHORTEST or not self._ready:
            return None
        if not contents:
            return uids
        job = partial(_pick, needle=needle, kind=_KINDS[where], uids=uids, contents=contents)
        try:
            return await self._readers.read(job, self._file.name)
        except MailError as error:
            _log.warn("a search does without the index: {error}", error=error.reason)
            if isinstance(error, Corrupt):
                self._useless = True
                self.wake()
            return None


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
