"""A mail that the queue itself wrote, as a body."""

from __future__ import annotations

from zope.interface import implementer

from mailplat.interfaces.bodies import IBody

__all__ = ["Contents"]


@implementer(IBody)
class Contents:
    """Bytes in memory.

    Args:
        data: All of them.
    """

    in_memory: bool = True

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self._data[start:stop]

    def close(self) -> None:
        """See `IBody.close`."""
