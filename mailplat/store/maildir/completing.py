"""Reads messages that other programs brought: after they are in the index, or when one is wanted.

A mailbox that was filled from outside is listed and gets its rows at once; what is in the files is
read afterwards, in blocks and by threads: in the background, and before that whatever a client
asks for.  What was read is durable in the index, so each file is read once.

Invariants: in a mailbox one block is read at a time, so nobody reads what somebody else just did.
A file that is no message after all (it may not be read) leaves the index, and is passed over from
then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mailplat.model.errors import MailError, NoSuchMailbox
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.store.index.completing import ReadMessage, complete_messages
from mailplat.store.index.database import Connection
from mailplat.store.index.statements import Ranges
from mailplat.store.index.store import IndexedStore
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir.changes import describe, pass_over
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.folders import Folder

__all__ = ["Completing"]

_log = Logger()

_EVERYTHING = NumSet.span(1, MAX_NUMBER)

_WAITING = Ranges(
    "{want} SELECT m.uid, m.place FROM want CROSS JOIN messages m WHERE m.mailbox = ?"
    " AND m.uid BETWEEN want.first AND want.last AND m.content = 0 ORDER BY m.uid LIMIT ?"
)
_MAILBOXES = "SELECT DISTINCT mailbox FROM messages WHERE content = 0"


class Completing:
    """Completes messages.

    Args:
        bodies: Whose.
        pool: Its threads read.
        reactor: Its thread gets the results, its clock delays the background.
        chunk: Files read before their rows are committed.
        delay: How long the background waits for clients that come first, in seconds.
        ignore: Told of a mailbox's locations that are no messages.
    """

    def __init__(
        self,
        bodies: Deciding,
        pool: ThreadPool,
        reactor: Any,
        chunk: int,
        delay: float,
        ignore: Callable[[int, Sequence[str]], None],
    ) -> None:
        self._bodies = bodies
        self._pool = pool
        self._reactor = reactor
        self._chunk = chunk
        self._delay = delay
        self._ignore = ignore
        self._store: IndexedStore
        self._locks: dict[int, DeferredLock] = {}
        self._mailboxes: dict[int, None] = {}
        self._call: Any = None
        self._run: Deferred[None] | None = None
        self._open = False

    async def open(self, store: IndexedStore) -> None:
        """Begin; what was left undone goes on."""
        self._store = store
        self._open = True
        for mailbox in await store.readers.read(_left, self._bodies.layout.root):
            self.soon(mailbox)

    async def close(self) -> None:
        """End; what is left undone waits in the index."""
        self._open = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._run is not None:
            await self._run

    def soon(self, mailbox: int) -> None:
        """Complete a mailbox in the background."""
        self._mailboxes[mailbox] = None
        if self._open and self._run is None and (self._call is None or not self._call.active()):
            self._call = self._reactor.callLater(self._delay, self._begin)

    def _begin(self) -> None:
        self._run = Deferred.fromCoroutine(self._complete_all())

    async def _complete_all(self) -> None:
        while self._open and self._mailboxes:
            mailbox = next(iter(self._mailboxes))
            try:
                if await self._complete_some(mailbox, _EVERYTHING):
                    continue
            except MailError as error:
                _log.warn("messages are read later: {error}", error=error)
            except Exception:
                _log.failure("messages could not be read")
            self._mailboxes.pop(mailbox, None)
        self._run = None

    async def complete(self, mailbox: int, uids: NumSet) -> None:
        """See `Bodies.complete`."""
        while self._open and await self._complete_some(mailbox, uids):
            pass

    async def _complete_some(self, mailbox: int, uids: NumSet) -> bool:
        """Complete a block of messages; whether there may be more that can be."""
        lock = self._locks.setdefault(mailbox, DeferredLock())
        await lock.acquire()
        try:
            return await self._complete_block(mailbox, uids)
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(mailbox, None)

    async def _complete_block(self, mailbox: int, uids: NumSet) -> bool:
        job = partial(_waiting, mailbox=mailbox, uids=uids, limit=self._chunk)
        places = await self._store.readers.read(job, f"mailbox {mailbox}")
        folder = self._bodies.folders.known(mailbox)
        if folder is None:
            find = partial(_find_folder, bodies=self._bodies, mailbox=mailbox)
            folder = await self._store.readers.read(find, f"mailbox {mailbox}")
        if not places or folder is None:
            return False
        read, strange = await deferToThreadPool(
            self._reactor, self._pool, self._read, folder, places
        )
        if not read and not strange:
            folder.dirty = True  # they are elsewhere, or gone: the next look tells
            return False
        operation = partial(self._note, mailbox=mailbox, read=read, strange=strange)
        weight = sum(one.summary.header_size for one in read)
        try:
            await self._store.writer.submit(operation, folder.directory, weight)
        except NoSuchMailbox:
            return False
        self._ignore(mailbox, [places[uid] for uid in strange])
        return len(places) == self._chunk or len(read) + len(strange) < len(places)

    def _read(self, folder: Folder, places: dict[int, str]) -> tuple[list[ReadMessage], list[int]]:
        """Read files; give what they say, and which cannot be read.  In a thread."""
        locations = self._bodies.journal.locations
        now = {locations.get((folder.mailbox, uid), place): uid for uid, place in places.items()}
        found, ignored = describe(self._bodies.disk, self._bodies.layout, folder, list(now))
        read = [ReadMessage(now[location], summary) for location, summary in found]
        return read, [now[location] for location in ignored]

    def _note(
        self, tx: Transaction, mailbox: int, read: Sequence[ReadMessage], strange: Sequence[int]
    ) -> None:
        complete_messages(tx, mailbox, read)
        if strange:
            pass_over(tx, self._store.rules, self._bodies, mailbox, NumSet.of(strange))


def _left(connection: Connection) -> list[int]:
    return [row[0] for row in connection.all(_MAILBOXES)]


def _waiting(connection: Connection, mailbox: int, uids: NumSet, limit: int) -> dict[int, str]:
    """Give the places of messages that wait, by UID."""
    found: dict[int, str] = {}
    for sql, args in _WAITING.pieces(uids):
        found.update(connection.all(sql, (*args, mailbox, limit - len(found))))
        if len(found) >= limit:
            break
    return found


def _find_folder(connection: Connection, bodies: Deciding, mailbox: int) -> Folder | None:
    return bodies.folders.find(mailbox, connection)
