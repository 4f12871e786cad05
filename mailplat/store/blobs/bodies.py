"""The bytes of messages in the database, but large ones once, and perhaps outside it.

A body larger than `BlobRules.larger` is known by its SHA-256 and size: the same one that comes
again, in whatever transaction and for whomever, is kept once (see `rows`).  Where there is a blob
store, its bytes are put there before the transaction, so they are durable before a row names them.

- A crash in between leaves a blob that no row names; so does a transaction that failed.  It is
  deleted at once where that is certain, else by a sweep (see `tending`) when it is old.  A
  transaction that comes so late that a sweep might have been there keeps the body in the database.
- A blob that is there already is looked at before it is relied on.  If it is missing or too short,
  the body is put anew and all who have it are mended with it.
- When the blob store cannot be had, a large mail is not taken (`Unavailable`), and what is in it
  cannot be read; everything else is served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from secrets import randbits, token_hex
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.logger import Logger

from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import NewMessage
from mailplat.interfaces.upkeep import Fault
from mailplat.model.errors import ConfigurationFault, Corrupt, MailError, Unavailable
from mailplat.model.numset import NumSet
from mailplat.store.blobs import rows
from mailplat.store.blobs.rows import BlobRow
from mailplat.store.blobs.tending import Tending
from mailplat.store.index import statements
from mailplat.store.index.bodies import Dropped, Wanted
from mailplat.store.index.database import Connection, Dialect
from mailplat.store.index.readers import Readers
from mailplat.store.index.schema import CHUNK
from mailplat.store.index.transaction import Transaction
from mailplat.store.sql.bodies import DatabaseBodies

if TYPE_CHECKING:
    from mailplat.store.index.store import IndexedStore

__all__ = ["BlobRules", "SharedBodies"]

_log = Logger()

_BLOCK = 1 << 20
_MARK = "blobs"
_OUTSIDE = "SELECT count(*) FROM blobs WHERE key <> '' AND unused = 0"


@dataclass(frozen=True, slots=True)
class BlobRules:
    """Which bodies are large, and how long blobs stay.

    Attributes:
        larger: Bodies of more bytes are kept once, and in the blob store if there is one.
        least: No body of so many bytes or fewer ever was; it saves looking.
        keep_seconds: How long a blob stays that no row names, or that no message has.
        tend_seconds: How often to look for those that no message has.
        sweep_seconds: How often to list all, for those that no row names.
        together: Blobs that are read at once.
    """

    larger: int = 128 << 10
    least: int = CHUNK
    keep_seconds: float = 86_400
    tend_seconds: float = 600
    sweep_seconds: float = 86_400
    together: int = 8


@dataclass(slots=True, eq=False)
class _Prepared:
    """A large body that is ready to be stored.

    Attributes:
        body: Its bytes.
        digest: Their SHA-256.
        key: The blob that was put for it; ``""`` if none was needed.
        put: When putting it began, in seconds since 1970.
        damaged: The key of a blob that should have been this body.
        kept: Whether a row names the blob now, durably.
    """

    body: IBody
    digest: bytes
    key: str = ""
    put: float = 0.0
    damaged: str | None = None
    kept: bool = False

    def keep(self) -> None:
        """A row names the blob, durably."""
        self.kept = True


@dataclass(frozen=True, slots=True)
class _Outside:
    """Bytes that the blob store has."""

    key: str


class SharedBodies(DatabaseBodies):
    """Keeps small bodies in the database, large ones once, there or in a blob store.

    Args:
        dialect: The database's.
        reactor: Its thread asks the blob store; its clock.
        blobs: The blob store; None for the database itself.
        rules: Which bodies are large, and how long blobs stay.
    """

    def __init__(
        self,
        dialect: Dialect,
        reactor: Any,
        blobs: IBlobStore | None = None,
        rules: BlobRules | None = None,
    ) -> None:
        super().__init__(dialect)
        self._reactor = reactor
        self._blobs = blobs
        self._rules = rules = rules or BlobRules()
        self._turns = DeferredSemaphore(rules.together)
        self._store: IndexedStore | None = None
        self._prefix = ""
        self._tending: Tending | None = None
        self._discarding: set[Deferred[None]] = set()

    # opening and closing

    async def open(self, store: IndexedStore) -> None:
        """See `Bodies.open`."""
        self._store = store
        if self._blobs is None:
            outside = await store.readers.read(_count_outside, "bodies")
            if outside:
                raise ConfigurationFault(
                    f"{outside} bodies are outside the database, and bodies.use does not say "
                    'where: set it to what it was, as "files:PATH" or "s3:URL"'
                )
            return
        await self._blobs.open()
        try:
            mark = await store.writer.submit(_mark, self._blobs.name)
        except BaseException:
            await self._blobs.close()
            raise
        self._prefix = f"{mark:016x}"
        self._tending = Tending(
            self._blobs,
            self._prefix,
            store.writer,
            store.readers,
            self._reactor,
            keep_seconds=self._rules.keep_seconds,
            tend_seconds=self._rules.tend_seconds,
            sweep_seconds=self._rules.sweep_seconds,
        )
        self._tending.start()

    async def close(self) -> None:
        """See `Bodies.close`."""
        if self._tending is not None and self._blobs is not None:
            await self._tending.stop()
            while self._discarding:
                await gatherResults(list(self._discarding))
            await self._blobs.close()

    # coming

    async def prepare(
        self, messages: Sequence[NewMessage], accounts: Sequence[str]
    ) -> Sequence[Any]:
        """See `Bodies.prepare`: large bodies are hashed, and put into the blob store."""
        made: list[Any] = []
        try:
            for message in messages:
                body = message.body
                large = body.size > self._rules.larger
                made.append(await self._prepare(body) if large else body)
        except BaseException:
            self.done(made)
            raise
        return made

    async def _prepare(self, body: IBody) -> _Prepared:
        try:
            digest = await deferToThread(_hash, body)
        except OSError as error:
            raise Unavailable(f"a message on its way in cannot be read: {error}") from error
        made = _Prepared(body, digest)
        blobs, store = self._blobs, self._store
        if blobs is None or store is None:
            return made
        job = partial(rows.find, digest=digest, size=body.size)
        row = await store.readers.read(job, blobs.name)
        if row is not None and not row.unused:
            if not row.key:
                return made
            info = await blobs.find(row.key)
            if info is not None and info.size == body.size:
                return made
            made.damaged = row.key
        word = digest.hex()
        key = f"{self._prefix}/{word[:2]}/{word}-{token_hex(8)}"
        made.put = self._reactor.seconds()
        await blobs.put(key, body, digest)
        made.key = key
        return made

    def done(self, prepared: Sequence[Any]) -> None:
        """See `Bodies.done`: a blob that was put for nothing is deleted, if that is certain."""
        keys = [
            one.key for one in prepared if isinstance(one, _Prepared) and one.key and not one.kept
        ]
        if keys:
            discarding = Deferred.fromCoroutine(self._discard(keys))
            self._discarding.add(discarding)
            discarding.addBoth(lambda _: self._discarding.discard(discarding))

    async def _discard(self, keys: Sequence[str]) -> None:
        """Delete blobs that no row names; the writer knows, also after a commit that failed."""
        store, blobs = self._store, self._blobs
        assert store is not None
        assert blobs is not None
        try:
            left = await store.writer.submit(partial(rows.unnamed, keys=keys), blobs.name)
            await blobs.delete(left)
        except MailError as error:
            _log.warn("blobs that nobody needs are swept later: {error}", error=error.reason)

    def store(self, tx: Transaction, content: int, prepared: Any) -> None:
        """See `Bodies.store`."""
        if not isinstance(prepared, _Prepared):
            super().store(tx, content, prepared)
            return
        row = rows.find(tx, prepared.digest, prepared.body.size)
        rows.share(tx, content, self._kept(tx, row, prepared))

    def _kept(self, tx: Transaction, row: BlobRow | None, prepared: _Prepared) -> BlobRow:
        """Find or make the row of a body; what it names is durable by now, or in this commit."""
        key = prepared.key
        # as old as half the time, it is far from being swept, whatever the clocks say
        if key and tx.now - prepared.put > self._rules.keep_seconds / 2:
            key = ""
        if row is not None:
            if row.key and self._blobs is None:
                # from a time when there was a blob store
                super().store(tx, row.id, prepared.body)
                rows.adopt(tx, row.id, "")
            elif row.key and (row.unused or row.key == prepared.damaged):
                # nobody made sure that its blob is whole
                if key:
                    tx.on_commit(prepared.keep)
                else:
                    super().store(tx, row.id, prepared.body)
                rows.adopt(tx, row.id, key)
            return row
        row = BlobRow(tx.next_number("content"), prepared.digest, prepared.body.size, key, unused=0)
        rows.insert(tx, row)
        if key:
            tx.on_commit(prepared.keep)
        else:
            super().store(tx, row.id, prepared.body)
        return row

    # going

    def drop(self, tx: Transaction, dropped: Sequence[Dropped], contents: Sequence[int]) -> None:
        """See `Bodies.drop`: a body goes with the last content that has it."""
        free = rows.release(tx, NumSet.of(contents)) if contents else []
        super().drop(tx, dropped, [*contents, *free])

    # reading

    def _find(
        self, connection: Connection, wanted: Sequence[Wanted]
    ) -> list[bytes | _Outside | None]:
        """Read what is in the database, in a reader's thread; tell where the rest is."""
        large = [want.content for want in wanted if want.size > self._rules.least]
        if not large:
            return list(super().read(connection, wanted))
        places = rows.places(connection, NumSet.of(large))
        inside: list[Wanted] = []
        found: list[bytes | _Outside | None] = [None] * len(wanted)
        at = []
        for number, want in enumerate(wanted):
            blob, key = places.get(want.content, (want.content, ""))
            if key:
                found[number] = _Outside(key)
            else:
                inside.append(replace(want, content=blob) if blob != want.content else want)
                at.append(number)
        for number, data in zip(at, super().read(connection, inside), strict=True):
            found[number] = data
        return found

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> Sequence[bytes | None]:
        """See `Bodies.read`; waits for the blob store, whose calls are made in the reactor."""
        return [
            self._wait_for(want, one.key) if isinstance(one, _Outside) else one
            for want, one in zip(wanted, self._find(connection, wanted), strict=True)
        ]

    def _wait_for(self, want: Wanted, key: str) -> bytes | None:
        read: Any = partial(self._start_read, want, key)
        data: bytes | None = blockingCallFromThread(self._reactor, read)
        return data

    def fetch(
        self, readers: Readers, wanted: Sequence[Wanted], subject: str
    ) -> Awaitable[Sequence[bytes | None]]:
        """See `Bodies.fetch`."""
        if all(want.size <= self._rules.least for want in wanted):
            return super().fetch(readers, wanted, subject)
        return self._fetch(readers, wanted, subject)

    async def _fetch(
        self, readers: Readers, wanted: Sequence[Wanted], subject: str
    ) -> Sequence[bytes | None]:
        found = await readers.read(partial(self._find, wanted=wanted), subject)
        outside = [
            (number, one.key) for number, one in enumerate(found) if isinstance(one, _Outside)
        ]
        reads = [self._turns.run(self._start_read, wanted[number], key) for number, key in outside]
        try:
            data = await gatherResults(reads, consumeErrors=True)
        except FirstError as first:
            error: Any = first.subFailure.value
            if isinstance(error, Unavailable | Corrupt):
                raise type(error)(f"{subject}: {error.reason}", public=error.public) from error
            raise error from first
        answers = [None if isinstance(one, _Outside) else one for one in found]
        for (number, _), read in zip(outside, data, strict=True):
            answers[number] = read
        return answers

    def _start_read(self, want: Wanted, key: str) -> Deferred[bytes | None]:
        return Deferred.fromCoroutine(self._read_blob(want, key))

    async def _read_blob(self, want: Wanted, key: str) -> bytes | None:
        blobs = self._blobs
        if blobs is None:
            raise Unavailable(f"UID {want.uid}: its bytes are outside, and bodies.use says nothing")
        try:
            data = await blobs.read(key, want.start, want.stop)
        except MailError as error:
            reason = f"UID {want.uid}: the blob {key} cannot be read: {error.reason}"
            raise Unavailable(reason) from error
        if data is not None and len(data) != want.stop - want.start:
            raise Corrupt(f"UID {want.uid}: its blob {key} ends too early")
        return data

    # looking after it

    async def faults(self) -> Sequence[Fault]:
        """See `Bodies.faults`."""
        return await self._tending.faults() if self._tending is not None else ()

    async def sweep(self) -> int:
        """See `Bodies.sweep`."""
        return await self._tending.mend() if self._tending is not None else 0


def _hash(body: IBody) -> bytes:
    seen = sha256()
    for start in range(0, body.size, _BLOCK):
        block = body.read(start, start + _BLOCK)
        if len(block) != min(_BLOCK, body.size - start):
            raise OSError(f"a body ended after {start + len(block)} of {body.size} bytes")
        seen.update(block)
    return seen.digest()


def _count_outside(connection: Connection) -> int:
    row = connection.one(_OUTSIDE)
    return int(row[0]) if row else 0


def _mark(tx: Transaction) -> int:
    """Give the word that this database's blobs are known by, in a place that others may use too."""
    row = tx.one(statements.COUNTER, (_MARK,))
    if row is not None:
        return int(row[0])
    mark = 1 + randbits(61)
    tx.run(statements.SET_COUNTER, (mark, _MARK))
    return mark
