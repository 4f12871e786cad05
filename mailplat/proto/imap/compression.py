"""COMPRESS=DEFLATE: both directions of a connection, in raw DEFLATE (RFC 4978).

Invariants:

- What is sent can be read at once: each piece is flushed partially, and the dictionary is kept.
- Input is inflated only when it is asked for, a bounded number of bytes at a time: a few bytes
  that stand for very many cost no more than what is read of them.
"""

from __future__ import annotations

import zlib

__all__ = ["Compression", "Uninflatable"]

_LEVEL = 3
_WINDOW = 13
"""The logarithm of our window: with `_MEMORY` 64 KiB a connection, where 15 and 8 take 256."""

_MEMORY = 6
_PEER_WINDOW = 15


class Uninflatable(Exception):
    """What the peer sent is no DEFLATE, or came to its end: nothing behind it can be read."""


class Compression:
    """The state of both directions."""

    def __init__(self) -> None:
        self._deflating = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW, _MEMORY)
        self._inflating = zlib.decompressobj(-_PEER_WINDOW)
        self._waiting = b""
        self._full = False  # the last `take` gave as much as it was allowed

    def __len__(self) -> int:
        """How many bytes came in and were not inflated yet."""
        return len(self._waiting)

    def deflate(self, data: bytes) -> bytes:
        """Give what is to be sent for some bytes."""
        return self._deflating.compress(data) + self._deflating.flush(zlib.Z_PARTIAL_FLUSH)

    def receive(self, data: bytes) -> None:
        """Take what the peer sent."""
        self._waiting += data

    def take(self, limit: int) -> bytes:
        """Inflate at most so many bytes; ``b""`` until more comes.

        Raises:
            Uninflatable: The rest cannot be read.
        """
        if not self._waiting and not self._full:
            return b""
        try:
            data = self._inflating.decompress(self._waiting, limit)
        except zlib.error:
            raise Uninflatable from None
        self._waiting = self._inflating.unconsumed_tail
        self._full = len(data) == limit
        if self._inflating.eof and not data:
            raise Uninflatable
        return data
