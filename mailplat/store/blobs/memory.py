"""Blobs in memory: the reference, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from time import time

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailplat.interfaces.blobs import BlobInfo, IBlobStore
from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import Unavailable

__all__ = ["MemoryBlobs"]

_PAGE = 100
_BLOCK = 1 << 18


@implementer(IBlobStore)
class MemoryBlobs:
    """Keeps blobs as long as the object.

    Args:
        now: Tells the time, in seconds since 1970 UTC.
    """

    name = "blobs in memory"

    def __init__(self, now: Callable[[], float] = time) -> None:
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self._now = now

    async def open(self) -> None:
        """See `IBlobStore.open`."""

    async def close(self) -> None:
        """See `IBlobStore.close`."""

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """See `IBlobStore.put`."""
        data = await deferToThread(_read, body)
        if sha256(data).digest() != digest:
            raise Unavailable(f"{self.name}: the bytes of {key} changed while they were put")
        self.blobs[key] = data, self._now()

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """See `IBlobStore.read`."""
        found = self.blobs.get(key)
        return None if found is None else found[0][start:stop]

    async def find(self, key: str) -> BlobInfo | None:
        """See `IBlobStore.find`."""
        found = self.blobs.get(key)
        return None if found is None else BlobInfo(key, len(found[0]), found[1])

    async def delete(self, keys: Sequence[str]) -> None:
        """See `IBlobStore.delete`."""
        for key in keys:
            self.blobs.pop(key, None)

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """See `IBlobStore.page`."""
        keys = [key for key in self.blobs if key.startswith(f"{prefix}/") and key > after]
        return [
            BlobInfo(key, len(self.blobs[key][0]), self.blobs[key][1])
            for key in sorted(keys)[:_PAGE]
        ]


def _read(body: IBody) -> bytes:
    return b"".join(body.read(start, start + _BLOCK) for start in range(0, body.size, _BLOCK))
