"""What only some file systems can do: make everything durable with one call (``syncfs``).

Invariants: the answer is yes only where the call is known to reach stable storage and to report
what could not be written, and where a rename is never half done after a crash.  Linux reports that
since 5.8; a file system that is not on the list here (a network's, one in user space) may take the
call and flush nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from functools import cache

__all__ = ["flush_file_system", "flushes_as_one"]

_REPORTS_ERRORS = (5, 8)
_KNOWN = {"bcachefs", "btrfs", "ext3", "ext4", "f2fs", "tmpfs", "xfs"}


@cache
def _library() -> ctypes.CDLL | None:
    """Give the C library if it has the call."""
    if platform.system() != "Linux":
        return None
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    if release is None or (int(release[1]), int(release[2])) < _REPORTS_ERRORS:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "syncfs") else None


def flushes_as_one(path: str) -> bool:
    """Whether the file system that a path is on can be flushed as one; never raises."""
    if _library() is None:
        return False
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mount, _, kind = line.partition(" - ")
        if mount.split()[2:3] == [number]:
            return kind.split()[:1] != [] and kind.split()[0] in _KNOWN
    return False  # such as btrfs, whose files have other numbers than its mounts


def flush_file_system(path: str) -> None:
    """Make everything durable on the file system of a directory; blocks.

    Raises:
        OSError: Something was not written, or this cannot be done here.
    """
    library = _library()
    if library is None:
        raise OSError(f"{path}: no syncfs on this system")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
