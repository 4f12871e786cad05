"""Removes blobs that nobody needs, finds those that are missing.

Two kinds are not needed.  Of those that no message has any more, a row tells since when: after a
while the row goes, and after that commit the blob.  Those that no row names are left by a crash, or
by a removal that did not come through; a sweep finds them by listing all.  It leaves alone what is
younger than the same while: their rows may be about to be committed (see `bodies`).

A blob that is missing or too short is mended where a whole copy of it turns up that no row names,
known by its hash: in a crash's leavings, or put back under any key below its hash's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailplat.interfaces.blobs import BlobInfo, IBlobStore
from mailplat.interfaces.upkeep import Fault, FaultKind
from mailplat.model.errors import MailError
from mailplat.store.blobs import rows
from mailplat.store.blobs.rows import BlobRow
from mailplat.store.index import statements
from mailplat.store.index.readers import Readers
from mailplat.store.index.transaction import Transaction
from mailplat.store.index.writer import Writer

__all__ = ["Tending"]

_log = Logger()

_SWEPT = "blobs_swept"
_BLOCK = 1 << 20


class Tending:
    """Looks after the blobs of one database.

    Args:
        blobs: Where they are.
        prefix: What their keys begin with.
        writer: Of the database.
        readers: Of the database.
        reactor: Its clock.
        keep_seconds: How long what nobody needs is left alone.
        tend_seconds: How often to look for what no message has.
        sweep_seconds: How often to list all blobs.
    """

    def __init__(
        self,
        blobs: IBlobStore,
        prefix: str,
        writer: Writer,
        readers: Readers,
        reactor: Any,
        *,
        keep_seconds: float,
        tend_seconds: float,
        sweep_seconds: float,
    ) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._writer = writer
        self._readers = readers
        self._reactor = reactor
        self._keep = keep_seconds
        self._tend_seconds = tend_seconds
        self._sweep_seconds = sweep_seconds
        self._looping = LoopingCall(self._tend)
        self._looping.clock = reactor
        self._busy: Deferred[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Look from time to time."""
        self._looping.start(self._tend_seconds, now=False)

    async def stop(self) -> None:
        """Stop when what is under way is through."""
        self._stopped = True
        if self._looping.running:
            self._looping.stop()
        if self._busy is not None:
            await self._busy

    def _tend(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._busy = waiting

        def over(_: object) -> None:
            self._busy = None
            waiting.callback(None)

        tending = Deferred.fromCoroutine(self.tend())
        tending.addBoth(over)
        return tending

    async def tend(self) -> None:
        """Remove what nobody had for long; now and then, sweep; what fails is done later."""
        try:
            while not self._stopped:
                before = int(self._reactor.seconds() - self._keep)
                keys = await self._writer.submit(
                    partial(rows.reap, before=before), self._blobs.name
                )
                if not keys:
                    break
                await self._blobs.delete(keys)
            due = partial(_due, interval=self._sweep_seconds)
            if not self._stopped and await self._writer.submit(due, self._blobs.name):
                await self.sweep()
        except MailError as error:
            _log.warn("blobs that nobody needs are removed later: {error}", error=error.reason)
        except Exception:
            _log.failure("blobs could not be looked after")

    async def _pages(self) -> AsyncIterator[Sequence[BlobInfo]]:
        after = ""
        while not self._stopped and (page := await self._blobs.page(self._prefix, after)):
            yield page
            after = page[-1].key

    async def _orphans(self, page: Sequence[BlobInfo]) -> list[BlobInfo]:
        """Find those that are old and that no row names."""
        before = self._reactor.seconds() - self._keep
        old = {info.key: info for info in page if info.modified < before}
        if not old:
            return []
        job = partial(rows.unnamed, keys=list(old))
        return [old[key] for key in await self._readers.read(job, self._blobs.name)]

    async def sweep(self) -> int:
        """Delete what no row names and is old; tell how many."""
        count = 0
        async for page in self._pages():
            orphans = await self._orphans(page)
            await self._blobs.delete([info.key for info in orphans])
            count += len(orphans)
        if count:
            _log.info("{count} blobs were removed that no message has", count=count)
        return count

    async def _look(self) -> tuple[dict[str, tuple[BlobRow, str]], list[BlobInfo]]:
        """List all: rows whose blobs are not whole, by key, with what is wrong; orphans."""
        wrong: dict[str, tuple[BlobRow, str]] = {}
        orphans: list[BlobInfo] = []
        after = ""

        async def compare(page: Sequence[BlobInfo], last: str) -> None:
            there = {info.key: info.size for info in page}
            job = partial(rows.in_pages, after=after, last=last)
            for row in await self._readers.read(job, self._blobs.name):
                size = there.get(row.key)
                if size != row.size:
                    # it may have come since the page was read
                    info = await self._blobs.find(row.key)
                    size = None if info is None else info.size
                if size is None:
                    wrong[row.key] = row, "is missing"
                elif size != row.size:
                    wrong[row.key] = row, f"has {size} of {row.size} bytes"

        async for page in self._pages():
            await compare(page, page[-1].key)
            orphans += await self._orphans(page)
            after = page[-1].key
        await compare((), "")
        return wrong, orphans

    async def faults(self) -> Sequence[Fault]:
        """See `Bodies.faults`."""
        try:
            wrong, orphans = await self._look()
        except MailError as error:
            return [Fault(FaultKind.BLOB, f"the blobs cannot be listed: {error.reason}")]
        found = []
        for key, (row, what) in wrong.items():
            job = partial(rows.references, blob=row.id)
            count = await self._readers.read(job, self._blobs.name)
            if count:  # else it is about to go, and nobody misses it
                what = f"the blob {key} {what}; messages with it: {count}"
                found.append(Fault(FaultKind.BLOB, what))
        if orphans:
            size = sum(info.size for info in orphans)
            what = f"{len(orphans)} blobs ({size} bytes) belong to nothing"
            found.append(Fault(FaultKind.LEFTOVER, what))
        return found

    async def mend(self) -> int:
        """See `Bodies.sweep`: find missing blobs again, then remove what nobody needs."""
        count = 0
        wrong, _ = await self._look()
        for row, _ in wrong.values():
            word = row.digest.hex()
            again = await self._whole(f"{self._prefix}/{word[:2]}/{word}", row)
            if again is not None:
                adopt = partial(_adopt, row=row, key=again)
                count += await self._writer.submit(adopt, self._blobs.name)
        count += await self._writer.submit(rows.release_lost, self._blobs.name)
        return count + await self.sweep()

    async def _whole(self, beginning: str, row: BlobRow) -> str | None:
        """Find a whole copy of a body."""
        for info in await self._blobs.page(self._prefix, beginning):
            if not info.key.startswith(beginning):
                break
            if info.size == row.size and info.key != row.key:
                seen = sha256()
                for start in range(0, row.size, _BLOCK):
                    seen.update(await self._blobs.read(info.key, start, start + _BLOCK) or b"")
                if seen.digest() == row.digest:
                    return info.key
        return None


def _adopt(tx: Transaction, row: BlobRow, key: str) -> int:
    """Let a body be under another key, if it still is where it was missing."""
    now = rows.find(tx, row.digest, row.size)
    if now is None or (now.id, now.key) != (row.id, row.key):
        return 0
    rows.adopt(tx, row.id, key)
    return 1


def _due(tx: Transaction, interval: float) -> bool:
    """Say whether it is time to list all, and note that somebody does."""
    row = tx.one(statements.COUNTER, (_SWEPT,))
    if row is not None and tx.now - row[0] < interval:
        return False
    tx.run(statements.SET_COUNTER, (tx.now, _SWEPT))
    return True
