"""Every operation of the Maildir store on the file system, one method each.

The rest of the store touches files through a `Disk` only, so that a test can stop the disk after
any number of operations, and so that the order of steps can be read off one place (see
``docs/internals/durability.md``).

Invariants: an error of the operating system becomes an error of `model.errors` with the path in
its reason; a path is the store's own making, from `names` and `filename`.  All methods block: they
are called in threads, any number at once.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from mailplat.model.errors import Cannot, MailError, StorageFull, Unavailable

__all__ = ["DIRECTORY_MODE", "FILE_MODE", "Disk", "failure"]

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def failure(error: OSError, path: str) -> MailError:
    """Say an operating system's error as one of ours, naming the path."""
    reason = f"{path}: {error.strerror or error}"
    if error.errno in _FULL:
        return StorageFull(reason)
    if error.errno == errno.ENAMETOOLONG:
        return Cannot(reason, public="Name too long")
    return Unavailable(reason)


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(error, path) from error


class Disk:
    """The file system as it is."""

    def write(self, path: str, blocks: Iterable[bytes], when: int | None = None) -> None:
        """Make a file that is not there yet, and flush its bytes to stable storage.

        Its directory entry is durable after `sync_directory`.  Where it fails, no file is left.

        Args:
            path: The file.
            blocks: Its bytes.
            when: Its modification time, seconds since 1970; now if None.
        """
        with _told(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            try:
                for block in blocks:
                    view = memoryview(block)
                    while view:
                        view = view[os.write(descriptor, view) :]
                if when is not None:
                    os.utime(descriptor, (when, when))
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)
                raise
            finally:
                os.close(descriptor)

    def read(self, path: str) -> bytes | None:
        """Read a small file; None if it is not there."""
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error

    def read_range(self, path: str, start: int, stop: int) -> bytes | None:
        """Read from start to before stop, fewer bytes at the end; None if it is not there."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error
        try:
            length = stop - start
            data = os.pread(descriptor, length, start)
            if len(data) < length:  # the end, or an interrupted read: ask again until it is sure
                pieces = [data]
                while data and sum(map(len, pieces)) < length:
                    got = sum(map(len, pieces))
                    data = os.pread(descriptor, length - got, start + got)
                    pieces.append(data)
                return b"".join(pieces)
            return data
        except OSError as error:
            raise failure(error, path) from error
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> bool:
        """Rename a file or a directory; whether the old one was there."""
        try:
            os.rename(old, new)
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(new)):
                raise Unavailable(f"{os.path.dirname(new)}: no such directory") from None
            return False
        except OSError as error:
            raise failure(error, old) from error
        return True

    def link(self, old: str, new: str) -> bool:
        """Give a file a second name; whether the old one was there."""
        try:
            os.link(old, new)
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(new)):
                raise Unavailable(f"{os.path.dirname(new)}: no such directory") from None
            return False
        except OSError as error:
            raise failure(error, old) from error
        return True

    def unlink(self, path: str) -> None:
        """Remove a file; one that is gone is no error."""
        with _told(path), suppress(FileNotFoundError):
            os.unlink(path)

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it, durably; one that is there is no error."""
        if os.path.isdir(path):
            return
        above = os.path.dirname(path)
        self.make_directory(above)
        with _told(path), suppress(FileExistsError):
            os.mkdir(path, DIRECTORY_MODE)
        self.sync_directory(above)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all in it; one that is gone is no error."""
        with _told(path), suppress(FileNotFoundError):
            shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        """Make the entries of a directory durable."""
        with _told(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def names(self, path: str) -> Sequence[str]:
        """List a directory; empty if it is not there."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise failure(error, path) from error

    def status(self, path: str) -> os.stat_result | None:
        """Tell of a file; None if it is not there."""
        try:
            return os.stat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error
