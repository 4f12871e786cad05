"""Hears from the kernel what happens in the directories that are in use (inotify).

Twisted's own reader of inotify gives up its descriptor when one watched directory is removed, and
says nothing when the kernel lost notices; so of that class only the descriptor and the calls to
the kernel are used here, and notices are read as blocks.

Invariants: what we do ourselves is announced by `expect` before it is done, and not told again.
Notices that were lost, or a directory that went away, are told as a change of everything that they
may concern.  Where the system has no inotify, or no room for a watch, nothing is ever told: then
the poll has to do.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

__all__ = ["Key", "Notices", "open_notices"]

_HEAD = struct.Struct("=iIII")
_BLOCK = 1 << 16
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000  # moved from, to; created, deleted; directory
_EXPECTED = 100_000


Key = tuple[str, int]
"""What is listened to: a kind and a number."""


def open_notices(reactor: Any, tell: Callable[[Key], None], limit: int) -> Notices | None:
    """Begin to listen; None where that cannot be.

    Args:
        reactor: Reads the notices.
        tell: Called with the key of that in which another program did something.
        limit: Keys listened to at once; the one looked at longest ago goes first.
    """
    if limit < 1 or not IReactorFDSet.providedBy(reactor):
        return None
    try:
        return Notices(reactor, tell, limit)
    except (ImportError, OSError):
        return None


class Notices:
    """Listens to some directories.

    See `open_notices`.
    """

    def __init__(self, reactor: Any, tell: Callable[[Key], None], limit: int) -> None:
        from twisted.internet.inotify import INotify

        notices = self

        class Descriptor(INotify):
            def doRead(self) -> None:
                notices.read()

        # twisted's inotify has no annotations
        self._descriptor: Any = cast(Any, Descriptor)(reactor)
        self._descriptor.startReading()
        self._tell = tell
        self._limit = limit
        self._watches: OrderedDict[Key, tuple[str, ...]] = OrderedDict()
        self._numbers: dict[str, int] = {}
        self._keys: dict[int, tuple[Key, bytes]] = {}
        self._expected: dict[tuple[int, bytes], int] = {}

    def watch(self, key: Key, paths: tuple[str, ...], prefix: bytes = b"") -> bool:
        """Listen to directories; whether that is so.

        Args:
            key: Whose they are.
            paths: Theirs.
            prefix: Files whose names begin otherwise do not matter.
        """
        known = self._watches.get(key)
        if known == paths:
            self._watches.move_to_end(key)
            return True
        self.forget(key)
        from twisted.internet.inotify import INotifyError

        self._watches[key] = paths
        for path in paths:
            try:
                number = self._descriptor.watch(FilePath(path), _MASK)
            except INotifyError:
                self.forget(key)
                return False
            self._numbers[path] = number
            self._keys[number] = key, prefix
        while len(self._watches) > self._limit:
            self.forget(next(iter(self._watches)))
        return True

    def is_watched(self, key: Key) -> bool:
        """Whether what other programs do there is told."""
        return key in self._watches

    def forget(self, key: Key) -> None:
        """Listen there no more."""
        for path in self._watches.pop(key, ()):
            number = self._numbers.pop(path, None)
            if number is not None:
                self._keys.pop(number, None)
                with suppress(KeyError):
                    self._descriptor.ignore(FilePath(path))

    def expect(self, path: str) -> bool:
        """A file here is about to change by our own doing; whether others' doings are told.

        In any thread.
        """
        directory, _, name = path.rpartition("/")
        number = self._numbers.get(directory)
        if number is not None:
            key = number, os.fsencode(name)
            self._expected[key] = self._expected.get(key, 0) + 1
        return number is not None

    def read(self) -> None:
        """Take the notices that wait, if there are any."""
        told: set[Key] = set()
        while True:
            try:
                data = os.read(self._descriptor.fileno(), _BLOCK)
            except BlockingIOError:
                break
            self._take(data, told)
        if len(self._expected) > _EXPECTED:  # announced, but never done
            self._expected.clear()
        for key in told:
            self._tell(key)

    def _take(self, data: bytes, told: set[Key]) -> None:
        at = 0
        while at < len(data):
            number, mask, _, size = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + size].rstrip(b"\0")
            at += _HEAD.size + size
            if mask & _OVERFLOW:
                self._expected.clear()
                told.update(self._watches)
                continue
            key, prefix = self._keys.get(number, (None, b""))
            if key is None:
                continue
            if mask & _IGNORED:  # the directory is gone
                self.forget(key)
                told.add(key)
                continue
            expected = self._expected.get((number, name), 0)
            if expected > 1:
                self._expected[number, name] = expected - 1
            elif expected:
                del self._expected[number, name]
            elif name.startswith(prefix):
                told.add(key)

    def close(self) -> None:
        """Listen no more."""
        self._descriptor.stopReading()
        self._descriptor.connectionLost(Failure(ConnectionDone()))
        self._watches.clear()
        self._numbers.clear()
        self._keys.clear()
