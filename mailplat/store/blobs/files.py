"""Blobs in files: ``ROOT/KEY``, whose directories spread them by their hash.

A blob is written into ``ROOT/tmp`` and flushed, renamed, and its directory flushed, in threads:
many at once share what the file system does to flush them.  So a name outside of ``tmp`` is a whole
blob, whatever happens.  What a crash left in ``tmp`` goes a day later, when the store is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread, deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailplat.interfaces.blobs import BlobInfo, IBlobStore
from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import MailError, Unavailable
from mailplat.store.maildir.disk import Disk

__all__ = ["FileBlobs"]

T = TypeVar("T")

_BLOCK = 1 << 18
_PAGE = 1000
_TMP = "tmp"
_ABANDONED = 86_400
"""Seconds after which nobody writes a file in ``tmp`` any more."""


@implementer(IBlobStore)
class FileBlobs:
    """Keeps blobs below a directory, which several processes may share.

    Args:
        root: The directory, absolute; made if it is not there.
        reactor: Its thread gets the answers.
        threads: Threads that read and write.
        disk: Does everything on the file system.
    """

    def __init__(
        self, root: str, reactor: Any, *, threads: int = 8, disk: Disk | None = None
    ) -> None:
        self.name = f"files:{root}"
        self._root = root
        self._reactor = reactor
        self._disk = disk or Disk()
        self._known: set[str] = set()
        self._pool = ThreadPool(0, threads, name="mailplat blobs")
        self._pool.threadFactory = _PoolThread
        self._is_open = False

    async def open(self) -> None:
        """See `IBlobStore.open`."""
        await deferToThread(self._open)
        self._pool.start()
        self._is_open = True

    def _open(self) -> None:
        disk, tmp = self._disk, os.path.join(self._root, _TMP)
        disk.make_directory(tmp)
        disk.sync_directory(self._root)
        disk.sync_directory(os.path.dirname(self._root))
        before = self._reactor.seconds() - _ABANDONED
        for name in disk.names(tmp):
            path = os.path.join(tmp, name)
            status = disk.entry(path)
            if status is not None and status.st_mtime < before:
                disk.unlink(path)

    async def close(self) -> None:
        """See `IBlobStore.close`."""
        if self._is_open:
            self._is_open = False
            await deferToThread(self._pool.stop)

    def _run(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        if not self._is_open:
            raise Unavailable(f"{self.name}: is closed")
        return deferToThreadPool(self._reactor, self._pool, function, *args)

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """See `IBlobStore.put`."""
        await self._run(self._put, key, body, digest)

    def _put(self, key: str, body: IBody, digest: bytes) -> None:
        disk, path = self._disk, os.path.join(self._root, key)
        written = os.path.join(self._root, _TMP, token_hex(16))
        try:
            disk.write(written, _blocks(body, digest))
            self._make(os.path.dirname(path))
            disk.rename(written, path)
            disk.sync_directory(os.path.dirname(path))
        except BaseException:
            self._known.clear()  # somebody may have removed directories
            with suppress(MailError):
                disk.unlink(written)
            raise

    def _make(self, directory: str) -> None:
        """Make a directory with those above it, and their entries durable."""
        if directory in self._known:
            return
        self._disk.make_directory(directory)
        above = directory
        while above != self._root:
            above = os.path.dirname(above)
            self._disk.sync_directory(above)
        self._known.add(directory)

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """See `IBlobStore.read`."""
        found = await self._run(self._disk.read_part, self._path(key), start, stop)
        return None if found is None else found[1]

    async def find(self, key: str) -> BlobInfo | None:
        """See `IBlobStore.find`."""
        return await self._run(self._find, key)

    def _find(self, key: str) -> BlobInfo | None:
        status = self._disk.entry(self._path(key))
        return None if status is None else BlobInfo(key, status.st_size, status.st_mtime)

    async def delete(self, keys: Sequence[str]) -> None:
        """See `IBlobStore.delete`; a power cut may bring one back, for the next sweep."""
        if keys:
            await self._run(self._delete, keys)

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._disk.unlink(self._path(key))

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """See `IBlobStore.page`."""
        return await self._run(self._page, prefix, after)

    def _page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        found: list[BlobInfo] = []
        for key in self._keys(prefix, after):
            info = self._find(key)
            if info is not None:
                found.append(info)
                if len(found) == _PAGE:
                    break
        return found

    def _keys(self, prefix: str, after: str) -> Iterator[str]:
        """Give keys behind one, ascending; a directory's name sorts as what is in it does."""
        for name in sorted(self._disk.names(self._path(prefix))):
            key = f"{prefix}/{name}"
            if os.path.isdir(self._path(key)):
                # of directories before that of ``after`` nothing is wanted
                if f"{key}/" > after or after.startswith(f"{key}/"):
                    yield from self._keys(key, after)
            elif key > after:
                yield key

    def _path(self, key: str) -> str:
        return os.path.join(self._root, key)


def _blocks(body: IBody, digest: bytes) -> Iterator[bytes]:
    """Read a body, and fail at its end if it was not what was promised."""
    seen = sha256()
    for start in range(0, body.size, _BLOCK):
        block = body.read(start, start + _BLOCK)
        seen.update(block)
        yield block
    if seen.digest() != digest:
        raise Unavailable("a body's bytes changed while they were put")


class _PoolThread(Thread):
    """A thread that does not keep a process from ending whose store nobody closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)
