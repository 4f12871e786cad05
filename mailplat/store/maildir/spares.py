"""Empty files kept ready for messages to come: making a file is the slowest step of a delivery.

On a file system where many files were removed lately, a new one can take a hundred times as long as
its bytes (ext4 looks for a number that was not in use a moment ago).  So files are made ahead, in
threads, in ``ROOT/.mailplat/tmp``; a delivery takes one, writes into it and renames it.

Invariants: the stock grows with the demand, up to a limit; a file is given to one taker alone; what
is left over is removed when the store is closed, or after a crash when it is opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from threading import Lock

from twisted.logger import Logger

from mailplat.model.errors import MailError
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.layout import Layout

__all__ = ["Spares"]

_log = Logger()

_FIRST = 4
_FILLING = 2
"""Threads that make files at the same time."""


class Spares:
    """The stock.

    Args:
        layout: Where it is.
        disk: Makes and removes files.
        in_thread: Runs a function in another thread.
        limit: Files ready at most; 0 keeps none.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        in_thread: Callable[[Callable[[], None]], object],
        limit: int,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._in_thread = in_thread
        self._limit = limit
        self._wanted = min(_FIRST, limit)
        self._ready: deque[str] = deque()
        self._numbers = count(1)
        self._filling = 0
        self._lock = Lock()
        self._open = False

    def open(self) -> None:
        """Begin."""
        self._open = True

    def take(self) -> str | None:
        """Give the path of an empty file, the caller's from now on; None if none is ready."""
        try:
            path = self._ready.popleft()
        except IndexError:
            path = None
            self._wanted = min(2 * self._wanted, self._limit)
        if 2 * len(self._ready) < self._wanted:
            with self._lock:
                if not self._open or self._filling >= _FILLING:
                    return path
                self._filling += 1
            self._in_thread(self._fill)
        return path

    def _fill(self) -> None:
        try:
            while self._open and len(self._ready) < self._wanted:
                path = f"{self._layout.tmp}/spare.{next(self._numbers)}"
                self._disk.create(path)
                self._ready.append(path)
        except MailError as error:
            _log.warn("no file is made ahead: {error}", error=error)
        finally:
            with self._lock:
                self._filling -= 1

    def stop(self) -> None:
        """Make no more."""
        self._open = False

    def remove(self) -> None:
        """Remove what is left, after the threads ended."""
        while self._ready:
            try:
                self._disk.unlink(self._ready.popleft())
            except MailError as error:
                _log.warn("a file is removed at the next start: {error}", error=error)
