"""Accounts in a text file (`mailplat.accounts.text`) that people and `mailplatctl` may edit.

Invariants:

- The file is looked at again at most once a second, in a thread, and read only when it changed.
- A file that was made unreadable while the server runs changes nothing: the accounts stay as they
  were, and the log says why.
- An edit replaces the file whole: written aside, flushed, renamed, the folder flushed; two editors
  at once, in whatever process, wait for each other.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.accounts.directory import Directory
from mailplat.accounts.lookups import DirectoryLookups
from mailplat.accounts.passwords import PasswordChecker
from mailplat.accounts.text import directory_of, read_rows, rewrite, write_rows
from mailplat.interfaces.accounts import IAccounts, IAccountsEditor, IScramAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.errors import ConfigurationFault, StorageFull, Unavailable

__all__ = ["FileAccounts", "write_durably"]

_log = Logger()

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Stamp = tuple[int, int, int]
"""What tells one state of a file from another: inode, size, time of its last change."""


@implementer(IAccounts, IAccountsEditor, IScramAccounts)
class FileAccounts(DirectoryLookups):
    """Reads and edits an accounts file.

    Args:
        path: The file; it must be there.
        reactor: Twisted's reactor, for its threads and its clock.
        passwords: How passwords are kept and checked.
        recheck: Seconds after which the file is looked at again.
    """

    def __init__(
        self,
        path: Path,
        reactor: Any,
        passwords: PasswordSettings | None = None,
        *,
        recheck: float = 1.0,
    ) -> None:
        super().__init__(PasswordChecker(reactor, passwords or PasswordSettings()))
        self._path = path
        self._reactor = reactor
        self._recheck = recheck
        self._directory = Directory()
        self._stamp: Stamp | None = None
        self._look_at = 0.0

    async def open(self) -> None:
        """See `IAccounts.open`."""
        try:
            self._directory, self._stamp = await self._in_thread(_read, self._path)
        except OSError as error:
            raise ConfigurationFault(
                f"the accounts file {self._path} cannot be read: {error.strerror}; "
                "`mailplatctl init` makes one, and an empty file will do"
            ) from None
        self._look_at = self._reactor.seconds() + self._recheck
        self._checker.open()

    async def close(self) -> None:
        """See `IAccounts.close`."""
        await self._checker.close()

    def scram_algorithms(self) -> Collection[str]:
        """See `IScramAccounts.scram_algorithms`."""
        return self._directory.scram_algorithms

    async def add(self, account: Account, password: str) -> None:
        """See `IAccountsEditor.add`."""
        (await self._current()).adding(account, "")  # refused before the hash is paid for
        hashed = await self._checker.hash(password)
        await self._edit(lambda directory: directory.adding(account, hashed))

    async def set_password(self, name: str, password: str) -> None:
        """See `IAccountsEditor.set_password`."""
        (await self._current()).get(name)
        hashed = await self._checker.hash(password)
        await self._edit(lambda directory: directory.with_password(name, hashed))

    async def replace(self, account: Account) -> None:
        """See `IAccountsEditor.replace`."""
        await self._edit(lambda directory: directory.replacing(account))

    async def remove(self, name: str) -> None:
        """See `IAccountsEditor.remove`."""
        await self._edit(lambda directory: directory.removing(name))

    async def _current(self) -> Directory:
        now = self._reactor.seconds()
        if now >= self._look_at:
            self._look_at = now + self._recheck  # whoever asks meanwhile gets what is here
            try:
                await self._look()
            except (OSError, ConfigurationFault) as error:
                _log.error(
                    "the accounts stay as they were, for {path} cannot be read: {error}",
                    path=str(self._path),
                    error=str(error),
                )
        return self._directory

    async def _look(self) -> None:
        found = await self._in_thread(_read_if_changed, self._path, self._stamp)
        if found is not None:
            self._directory, self._stamp = found

    async def _edit(self, change: Callable[[Directory], Directory]) -> None:
        self._directory, self._stamp = await self._in_thread(_edit, self._path, change)
        self._look_at = 0.0  # of two edits at once the later one may have answered first

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), function, *args
        )


def _read(path: Path) -> tuple[Directory, Stamp]:
    with path.open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))
        text = _decode(file.read(), path)
    return directory_of(read_rows(text, str(path))), stamp


def _read_if_changed(path: Path, stamp: Stamp | None) -> tuple[Directory, Stamp] | None:
    return None if _stamp(path.stat()) == stamp else _read(path)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationFault(f"{path}:{line}: found bytes that are not UTF-8 text") from None


def _edit(path: Path, change: Callable[[Directory], Directory]) -> tuple[Directory, Stamp]:
    """Change the file under a lock.  Called in a thread."""
    path = path.resolve()  # a link stays, and what it leads to is exchanged
    try:
        with _locked(path.parent):
            rows = read_rows(_decode(path.read_bytes(), path), str(path))
            directory = change(directory_of(rows))
            write_durably(path, write_rows(rewrite(rows, directory)))
            return directory, _stamp(path.stat())
    except OSError as error:
        kind = StorageFull if error.errno in _FULL else Unavailable
        raise kind(f"the accounts file {path} cannot be changed: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other editors out, by a lock on the folder: the file itself is exchanged."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_durably(path: Path, text: str) -> None:
    """Put a text in the place of a file, whole or not at all, readable to its owner alone.

    The owner stays who it was; a new file belongs to whom its folder belongs to, so that a
    file made by root can be used by the server.
    """
    folder = path.parent
    owner = path.stat() if path.exists() else folder.stat()
    descriptor, aside = mkstemp(prefix=f".{path.name}.", dir=folder)  # its mode is 0600
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
