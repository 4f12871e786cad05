"""A file that routes are read from: read again when it changed, kept as it was when it is broken.

Invariants:

- The reactor's thread touches no file.
- A file that is replaced or written is in use within `check_every` seconds.
- What cannot be read any more stays as it was, and the log says so once for each change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.model.errors import ConfigurationFault

__all__ = ["Contents", "WatchedFile"]

T = TypeVar("T")

_log = Logger()

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Contents(Generic[T]):
    """What was read.

    Attributes:
        table: What the routes ask.
        files: All files that it came from, to be watched.
    """

    table: T
    files: Sequence[Path]


class WatchedFile(Generic[T]):
    """Keeps what a file says.

    Args:
        clock: Says when to look again.
        path: The file.
        read: Reads it, in a thread; raises ConfigurationFault for what it cannot read.
        check_every: Seconds between two looks at whether it changed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        path: Path,
        read: Callable[[Path], Contents[T]],
        *,
        check_every: float = 2.0,
    ) -> None:
        self.path = path
        self._clock = clock
        self._read = read
        self._check_every = check_every
        self._contents: Contents[T] | None = None
        self._stamp: Stamp = ()
        self._checked = 0.0

    def check(self) -> None:
        """Read it in the calling thread, for those who only want to know whether that works.

        Raises:
            ConfigurationFault: It does not.
        """
        self._load()

    async def open(self) -> None:
        """Read it.

        Raises:
            ConfigurationFault: It cannot be read.
        """
        self._contents, self._stamp = await deferToThread(self._load)
        self._checked = self._clock.seconds()

    @property
    def current(self) -> T | None:
        """What it said when it was read last; None before `open`."""
        return None if self._contents is None else self._contents.table

    async def table(self) -> T:
        """Give what the file says now."""
        assert self._contents is not None
        now = self._clock.seconds()
        if now - self._checked >= self._check_every:
            self._checked = now
            await self._look()
        return self._contents.table

    async def _look(self) -> None:
        assert self._contents is not None
        stamp: Any = await deferToThread(_stamp, self._contents.files)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # whatever comes of it: once for each change
        try:
            self._contents, self._stamp = await deferToThread(self._load)
            _log.info("{path} was read again", path=str(self.path))
        except ConfigurationFault as fault:
            _log.warn("what {path} said before holds: {why}", path=str(self.path), why=fault.reason)

    def _load(self) -> tuple[Contents[T], Stamp]:
        try:
            before = _stamp([self.path])
            contents = self._read(self.path)
        except OSError as error:
            where = error.filename or self.path
            raise ConfigurationFault(f"{where} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationFault(f"{self.path}: expected UTF-8 text") from None
        if list(contents.files) == [self.path]:
            return contents, before
        return contents, _stamp(contents.files)


def _stamp(files: Sequence[Path]) -> Stamp:
    """Tell whether files are the same as before; one that is not there has a stamp too."""
    found = []
    for file in files:
        try:
            state = os.stat(file)
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((state.st_ino, state.st_mtime_ns, state.st_size))
    return tuple(found)
