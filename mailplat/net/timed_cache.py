"""Answers of DNS that are kept for as long as they say, and no more of them than there is room for.

The least recently used go first.  Room is counted in entries and in bytes, so that nobody's huge
answers push out everybody else's for good.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["TimedCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TimedCache(Generic[K, V]):
    """Values that expire.

    Args:
        now: Tells the time, in seconds.
        entries: How many values are kept.
        total: How many bytes they may have between them, as their makers count.
    """

    def __init__(self, now: Callable[[], float], *, entries: int, total: int = 1 << 62) -> None:
        self._now = now
        self._entries = entries
        self._total = total
        self._kept: OrderedDict[K, tuple[V, float, int]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: K) -> V | None:
        """Find a value that has not expired."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, expires, _ = kept
        if expires <= self._now():
            self.forget(key)
            return None
        self._kept.move_to_end(key)
        return value

    def keep(self, key: K, value: V, seconds: float, size: int = 1) -> None:
        """Keep a value for so many seconds, in place of the one there is."""
        self.forget(key)
        if seconds <= 0 or size > self._total:
            return
        self._kept[key] = value, self._now() + seconds, size
        self._size += size
        while len(self._kept) > self._entries or self._size > self._total:
            _, (_, _, freed) = self._kept.popitem(last=False)
            self._size -= freed

    def forget(self, key: K) -> None:
        """Keep a value no longer, if it was."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept[2]
