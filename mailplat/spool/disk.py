"""Every step of the spool that makes something durable, one method each.

The rest of the spool commits, writes and removes through a `Disk` only, so that a test can stop
the disk after any number of steps, and so that the order of steps can be read off one place (see
``docs/internals/queue-states.md``).  All methods block: they are called in threads.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import ConfigurationFault, MailError, StorageFull, Unavailable

__all__ = ["Disk", "failure"]

_BLOCK = 256 * 1024
"""Bytes that are written at once."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def failure(error: OSError | sqlite3.Error, what: str) -> MailError:
    """Say an error of the system or the database as one of ours."""
    if isinstance(error, OSError):
        full = error.errno in _FULL
    else:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return (StorageFull if full else Unavailable)(f"{what}: {error}")


class Disk:
    """The disk as it is."""

    def write(self, path: str, body: IBody) -> None:
        """Write a body into a new file, and flush its bytes; no file is left where it fails."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                for start in range(0, body.size, _BLOCK):
                    view = memoryview(body.read(start, start + _BLOCK))
                    while view:
                        view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure(error, path) from error

    def sync_directory(self, path: str) -> None:
        """Make the entries of a directory durable."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure(error, path) from error

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit a transaction: on return it is on stable storage."""
        connection.execute("COMMIT")

    def unlink(self, path: str) -> None:
        """Remove a file; one that is gone is no error."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise failure(error, path) from error

    def names(self, path: str) -> Sequence[str]:
        """List a directory."""
        try:
            return os.listdir(path)
        except OSError as error:
            raise failure(error, path) from error

    def lock(self, path: str) -> int:
        """Lock a file against other processes; give the descriptor that holds the lock.

        Raises:
            ConfigurationFault: Another process has it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise ConfigurationFault(
                    f"{path}: another server works on this spool; stop it, or give this one "
                    "another server.data_directory"
                ) from None
            raise failure(error, path) from error
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Let go of a lock."""
        os.close(descriptor)
