"""Where the bytes of a message go while they come in: memory for the small, a file for the large.

Invariants:

- The reactor's thread never touches a file: blocks are written, and files closed, in threads.
- What all intakes and all bodies that came of them keep in memory stays within one budget; a
  block that is being written to its file is beyond it, one for each intake.
- A file has no name: it is gone when it is closed or when the process ends, however that ends.
- What nobody closed is given back when it is collected.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Awaitable
from threading import Lock
from typing import Any

from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody, IFileBody, IIntake, IIntakes
from mailplat.model.errors import StorageFull, Unavailable

__all__ = ["Intakes", "MemoryBody"]

_CHUNK = 256 * 1024
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Share:
    """A part of the budget; given back once, at the latest when it is collected."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow(self, size: int) -> bool:
        """Take more, if there is more."""
        if self._budget.left < size:
            return False
        self._budget.left -= size
        self._size += size
        return True

    def release(self) -> None:
        self._budget.left += self._size
        self._size = 0

    __del__ = release


class _Budget:
    """Bytes of memory that are left to all intakes together."""

    def __init__(self, left: int) -> None:
        self.left = left


class _File:
    """A nameless file that is written by one thread at a time and read by any number."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._descriptor = -1
        self._closed = False
        self._lock = Lock()
        self.size = 0

    def write(self, blocks: list[bytes]) -> None:
        """Add blocks to the end; blocks the thread.

        Raises:
            StorageFull: There is no room.
            Unavailable: The file cannot be written for another reason.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if self._descriptor < 0:
                    self._descriptor = _open_nameless(self._directory)
                data = memoryview(b"".join(blocks))
                while data:
                    written = os.write(self._descriptor, data)
                    data = data[written:]
                    self.size += written
            except OSError as error:
                kind = StorageFull if error.errno in _NO_ROOM else Unavailable
                raise kind(f"{self._directory}: {error}") from error

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes; blocks the thread."""
        found: list[bytes] = []
        while start < stop:
            block = os.pread(self._descriptor, stop - start, start)
            if not block:
                raise Unavailable(f"{self._directory}: a temporary file ends at {start}")
            found.append(block)
            start += len(block)
        return b"".join(found)

    def descriptor(self, tail: bytes) -> int:
        """Put bytes behind what was written, and open the file once more; blocks the thread.

        Raises:
            StorageFull: There is no room.
            Unavailable: The file cannot be had for another reason.
        """
        with self._lock:
            try:
                if self._descriptor < 0:
                    raise OSError(errno.EBADF, "the file is closed")
                at = self.size  # which stays: nobody who reads is disturbed
                while tail:
                    written = os.pwrite(self._descriptor, tail, at)
                    tail, at = tail[written:], at + written
                return os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                kind = StorageFull if error.errno in _NO_ROOM else Unavailable
                raise kind(f"{self._directory}: {error}") from error

    def close(self) -> None:
        """Wait for the thread that writes, and free the room on disk; blocks the thread."""
        with self._lock:
            self._closed = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    __del__ = close


def _open_nameless(directory: str) -> int:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
            raise
    descriptor, path = tempfile.mkstemp(dir=directory)  # a file system without nameless files
    os.unlink(path)
    return descriptor


@implementer(IBody)
class MemoryBody:
    """A message in memory.

    Args:
        data: Its bytes.
    """

    in_memory: bool = True

    def __init__(self, data: bytes, _share: _Share | None = None) -> None:
        self.size = len(data)
        self._data = data
        self._share = _share

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self._data[start:stop]

    def close(self) -> None:
        """See `IBody.close`."""
        self._data = b""
        if self._share is not None:
            self._share.release()


@implementer(IFileBody)
class _FileBody:
    """A message in a file, but for its last bytes, which never needed to go there."""

    in_memory: bool = False

    def __init__(self, reactor: Any, file: _File, tail: bytes, share: _Share) -> None:
        self.size = file.size + len(tail)
        self._reactor = reactor
        self._file = file
        self._tail = tail
        self._share = share

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        in_file = self._file.size
        data = self._file.read(start, min(stop, in_file))
        if stop > in_file:
            data += self._tail[max(start - in_file, 0) : stop - in_file]
        return data

    def descriptor(self) -> int:
        """See `IFileBody.descriptor`."""
        return self._file.descriptor(self._tail)

    def close(self) -> None:
        """See `IBody.close`."""
        self._tail = b""
        self._share.release()
        self._reactor.callInThread(self._file.close)


@implementer(IIntake)
class _Intake:
    """One message on its way in; see `IIntake`."""

    def __init__(self, reactor: Any, directory: str, spill: int, budget: _Budget) -> None:
        self.size = 0
        self._reactor = reactor
        self._directory = directory
        self._spill = spill
        self._budget = budget
        self._share = _Share(budget)
        self._blocks: list[bytes] = []
        self._held = 0
        self._file: _File | None = None
        self._used = False

    def write(self, block: bytes) -> Awaitable[None] | None:
        """See `IIntake.write`."""
        self._check_unused()
        self.size += len(block)
        self._blocks.append(block)
        self._held += len(block)
        limit = self._spill if self._file is None else _CHUNK
        if self._held <= limit and self._share.grow(len(block)):
            return None
        if self._file is None:
            self._file = _File(self._directory)
        blocks, self._blocks, self._held = self._blocks, [], 0
        self._share.release()
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, self._file.write, blocks)

    def finish(self) -> IBody:
        """See `IIntake.finish`.

        Raises:
            StorageFull: Not all of it could be written.
        """
        self._check_unused()
        data = b"".join(self._blocks)
        if self._file is None:
            body: IBody = MemoryBody(data, self._share)
        elif self._file.size + len(data) != self.size:
            raise StorageFull(f"{self._directory}: a write failed before")
        else:
            body = _FileBody(self._reactor, self._file, data, self._share)
        self._used, self._file, self._blocks = True, None, []
        return body

    def close(self) -> None:
        """See `IIntake.close`."""
        if self._used:
            return
        self._used, self._blocks = True, []
        self._share.release()
        if self._file is not None:
            self._reactor.callInThread(self._file.close)
            self._file = None

    def _check_unused(self) -> None:
        if self._used:
            raise ValueError("the intake is finished or closed")


@implementer(IIntakes)
class Intakes:
    """See `IIntakes`.

    Args:
        reactor: Its threads write and close the files.
        directory: Where large messages are put; made when the first one comes.
        spill: Bytes of one message that are kept in memory (Postfix: none; Exim: none).
        budget: Bytes that all messages together keep in memory.
    """

    def __init__(
        self,
        reactor: Any,
        directory: str,
        *,
        spill: int = 2 * 1024 * 1024,
        budget: int = 64 * 1024 * 1024,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._spill = spill
        self._budget = _Budget(budget)

    def open_intake(self) -> IIntake:
        """See `IIntakes.open_intake`."""
        return _Intake(self._reactor, self._directory, self._spill, self._budget)

    @property
    def memory_left(self) -> int:
        """Bytes of the budget that nobody has."""
        return self._budget.left
