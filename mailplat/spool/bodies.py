"""A large mail's bytes in its file of the spool."""

from __future__ import annotations

import os
from pathlib import Path

from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import Unavailable

__all__ = ["SpooledFile"]


@implementer(IBody)
class SpooledFile:
    """The bytes of a file, which stay readable after it was removed.

    Args:
        path: The file; opening it blocks.

    Raises:
        OSError: It cannot be opened.
    """

    in_memory: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        stop = min(stop, self.size)
        found: list[bytes] = []
        while start < stop:
            try:
                block = os.pread(self._descriptor, stop - start, start)
            except OSError as error:
                raise Unavailable(f"{self._path}: {error}") from error
            if not block:
                raise Unavailable(f"{self._path} ends at {start}")
            found.append(block)
            start += len(block)
        return b"".join(found)

    def close(self) -> None:
        """See `IBody.close`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close
