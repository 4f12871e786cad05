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
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Final

from mailplat.model.errors import Cannot, MailError, StorageFull, Unavailable
from mailplat.store.maildir.filesystem import flush_file_system, flushes_as_one

__all__ = ["DIRECTORY_MODE", "FILE_MODE", "Disk", "failure"]

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_MESSAGE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# whoever owns a Maildir may put anything there: no link is followed, no pipe waited for

_WRITING = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_MAKING = _WRITING | os.O_CREAT | os.O_EXCL

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

    def write(
        self,
        path: str,
        blocks: Iterable[bytes],
        when: int | None = None,
        *,
        flush: bool = True,
        made: bool = False,
    ) -> None:
        """Make a file that is not there yet, and flush its bytes to stable storage.

        Its directory entry is durable after `sync_directory`.  Where it fails, no file is left.

        Args:
            path: The file.
            blocks: Its bytes.
            when: Its modification time, seconds since 1970; now if None.
            flush: False leaves the flush to `sync_all`.
            made: Whether the file is there already, and empty.
        """
        with _told(path):
            descriptor = os.open(path, _WRITING if made else _MAKING, FILE_MODE)
            try:
                for block in blocks:
                    view = memoryview(block)
                    while view:
                        view = view[os.write(descriptor, view) :]
                if when is not None:
                    os.utime(descriptor, (when, when))
                if flush:
                    os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)
                raise
            finally:
                os.close(descriptor)

    def create(self, path: str) -> None:
        """Make an empty file that is not there yet; nothing is flushed."""
        with _told(path):
            os.close(os.open(path, _MAKING, FILE_MODE))

    def read(self, path: str) -> bytes | None:
        """Read a small file; None if it is not there."""
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error

    def read_part(self, path: str, start: int, stop: int) -> tuple[int, bytes] | None:
        """Read a message's file from start to before stop, fewer bytes at its end.

        Returns:
            The size of the file, and the bytes; None if it is not there.
        """
        try:
            descriptor = os.open(path, _MESSAGE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error
        try:
            data = os.pread(descriptor, stop - start + 1, start)
            if not start and len(data) == stop:
                return stop, data  # one byte more was asked for: the file ends here
            data = data[: stop - start]
            size = os.fstat(descriptor).st_size
            stop = min(stop, size)
            while start + len(data) < stop:  # a signal may cut a read short
                more = os.pread(descriptor, stop - start - len(data), start + len(data))
                if not more:
                    break
                data += more
            return size, data
        except OSError as error:
            raise failure(error, path) from error
        finally:
            os.close(descriptor)

    def open_message(self, path: str) -> FileIO | None:
        """Open a file that another program put there; None if it is gone, or is no plain file."""
        try:
            descriptor = os.open(path, _MESSAGE)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return FileIO(descriptor)
            os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:  # a symbolic link, a socket
                return None
            raise failure(error, path) from error
        return None

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

    def unlink(self, path: str) -> bool:
        """Remove a file; whether it was there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise failure(error, path) from error
        return True

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it; one that is there is no error."""
        with _told(path):
            os.makedirs(path, DIRECTORY_MODE, exist_ok=True)

    def check_directory(self, path: str, like: str) -> None:
        """See whether files can be renamed into a directory.

        Args:
            path: The directory.
            like: Another one, which has to be on the same file system.

        Raises:
            Unavailable: The reason says why not.
        """
        with _told(path):
            if os.stat(path).st_dev != os.stat(like).st_dev:
                raise Unavailable(f"{path}: is on another file system than {like}")
            if not os.access(path, os.W_OK | os.X_OK):
                raise Unavailable(f"{path}: {os.strerror(errno.EACCES)}")

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all in it; one that is gone is no error."""
        with _told(path), suppress(FileNotFoundError):
            shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        """Make the entries of a directory durable; one that is gone has none."""
        with _told(path), suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def syncs_all(self, path: str) -> bool:
        """Whether `sync_all` can be relied upon for the file system of a directory."""
        return flushes_as_one(path)

    def sync_all(self, path: str) -> None:
        """Make durable everything on the file system of a directory: bytes and entries."""
        with _told(path):
            flush_file_system(path)

    def names(self, path: str) -> Sequence[str]:
        """List a directory; empty if it is not there."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise failure(error, path) from error

    def entry(self, path: str) -> os.stat_result | None:
        """Tell of a directory's entry itself, also if it is a link; None if it is not there."""
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None
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
