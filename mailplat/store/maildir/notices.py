"""Hears from the kernel what happens in the directories of mailboxes that are in use (inotify).

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

__all__ = ["Notices", "open_notices"]

_HEAD = struct.Struct("=iIII")
_BLOCK = 1 << 16
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000  # moved from, to; created, deleted; directory
_EXPECTED = 100_000


def open_notices(reactor: Any, tell: Callable[[int], None], limit: int) -> Notices | None:
    """Begin to listen; None where that cannot be.

    Args:
        reactor: Reads the notices.
        tell: Called with the id of a mailbox in which another program did something.
        limit: Mailboxes listened to at once; the one looked at longest ago goes first.
    """
    if limit < 1 or not IReactorFDSet.providedBy(reactor):
        return None
    try:
        return Notices(reactor, tell, limit)
    except (ImportError, OSError):
        return None


class Notices:
    """Listens to ``new`` and ``cur`` of some mailboxes.

    See `open_notices`.
    """

    def __init__(self, reactor: Any, tell: Callable[[int], None], limit: int) -> None:
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
        self._watches: OrderedDict[int, tuple[str, tuple[int, ...]]] = OrderedDict()
        self._mailboxes: dict[int, int] = {}
        self._paths: dict[str, int] = {}
        self._expected: dict[tuple[int, bytes], int] = {}

    def watch(self, mailbox: int, directory: str) -> bool:
        """Listen to a mailbox; whether that is so.

        Args:
            mailbox: Its id.
            directory: Its path.
        """
        known = self._watches.get(mailbox)
        if known is not None:
            if known[0] == directory:
                self._watches.move_to_end(mailbox)
                return True
            self.forget(mailbox)
        from twisted.internet.inotify import INotifyError

        numbers: list[int] = []
        for sub in ("new", "cur"):
            path = f"{directory}/{sub}"
            try:
                number = self._descriptor.watch(FilePath(path), _MASK)
            except INotifyError:
                continue
            numbers.append(number)
            self._mailboxes[number] = mailbox
            self._paths[path] = number
        self._watches[mailbox] = directory, tuple(numbers)
        if len(numbers) < 2:
            self.forget(mailbox)
            return False
        while len(self._watches) > self._limit:
            self.forget(next(iter(self._watches)))
        return True

    def is_watched(self, mailbox: int) -> bool:
        """Whether what other programs do there is told."""
        return mailbox in self._watches

    def forget(self, mailbox: int) -> None:
        """Listen there no more."""
        known = self._watches.pop(mailbox, None)
        if known is None:
            return
        directory, numbers = known
        for sub in ("new", "cur"):
            path = f"{directory}/{sub}"
            if self._paths.pop(path, None) is not None:
                with suppress(KeyError):
                    self._descriptor.ignore(FilePath(path))
        for number in numbers:
            self._mailboxes.pop(number, None)

    def expect(self, path: str) -> None:
        """A file here is about to change by our own doing.  In any thread."""
        directory, _, name = path.rpartition("/")
        number = self._paths.get(directory)
        if number is not None:
            key = number, os.fsencode(name)
            self._expected[key] = self._expected.get(key, 0) + 1

    def read(self) -> None:
        """Take the notices that wait, if there are any."""
        told: set[int] = set()
        while True:
            try:
                data = os.read(self._descriptor.fileno(), _BLOCK)
            except BlockingIOError:
                break
            self._take(data, told)
        if len(self._expected) > _EXPECTED:  # announced, but never done
            self._expected.clear()
        for mailbox in told:
            self._tell(mailbox)

    def _take(self, data: bytes, told: set[int]) -> None:
        at = 0
        while at < len(data):
            number, mask, _, size = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + size].rstrip(b"\0")
            at += _HEAD.size + size
            if mask & _OVERFLOW:
                self._expected.clear()
                told.update(self._watches)
                continue
            mailbox = self._mailboxes.get(number)
            if mailbox is None:
                continue
            if mask & _IGNORED:  # the directory is gone
                self.forget(mailbox)
                told.add(mailbox)
                continue
            key = number, name
            expected = self._expected.get(key, 0)
            if expected > 1:
                self._expected[key] = expected - 1
            elif expected:
                del self._expected[key]
            else:
                told.add(mailbox)

    def close(self) -> None:
        """Listen no more."""
        self._descriptor.stopReading()
        self._descriptor.connectionLost(Failure(ConnectionDone()))
        self._watches.clear()
        self._mailboxes.clear()
        self._paths.clear()
