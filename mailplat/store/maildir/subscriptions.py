r"""Keeps the file ``subscriptions`` of a home and the index's list in step, both ways.

Three lists are merged: the index's, the file's, and the one that both agreed on last, which is kept
in the index.  What the file has beyond that was subscribed by another program, what it lacks was
unsubscribed by one; what is left differs because of us, and is written.

The file is Dovecot's: a name a line in modified UTF-7, levels separated by dots; or, below the line
``V\t2``, by tabs.  It is replaced as a whole, under ``subscriptions.lock``, which becomes the file.
A file that is there keeps its version, its order, and lines that name no mailbox of ours.

Invariants: what is about to be written is committed before, so that after a crash the file is known
for our own, or for one that we did not write.  A file that is missing or empty says nothing: all
is written again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from mailplat.model.errors import Unavailable
from mailplat.model.mailbox import INBOX
from mailplat.store.index import statements
from mailplat.store.index.folders import get_home, publish_home
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.folders import Queries
from mailplat.store.maildir.names import directory_folder, encoded_levels, foreign_folder
from mailplat.store.maildir.uidlist import read_subscriptions

__all__ = [
    "FILE",
    "FORGET",
    "SCHEMA",
    "Listed",
    "is_agreed",
    "merge",
    "merged_file",
    "read_listed",
    "replace_file",
    "subscribed_names",
    "written",
]

FILE = "subscriptions"
"""In the home's directory."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS maildir_subscriptions (home INTEGER PRIMARY KEY,"
    " agreed TEXT NOT NULL, writing TEXT)",
)
FORGET = "DELETE FROM maildir_subscriptions WHERE home = ?"
_STATE = "SELECT agreed, writing FROM maildir_subscriptions WHERE home = ?"
_ADD = "INSERT INTO maildir_subscriptions (home, agreed, writing) VALUES (?, ?, ?)"
_WRITTEN = (
    "UPDATE maildir_subscriptions SET agreed = writing, writing = NULL"
    " WHERE home = ? AND writing = ?"
)
_OURS = "SELECT name FROM subscriptions WHERE home = ?"
_UNSUBSCRIBE = "DELETE FROM subscriptions WHERE home = ? AND name = ?"

_VERSION_2 = b"V\t2"
_LONGEST = 1 << 20
"""Bytes of a file that is read; a longer one is left alone."""

_STALE_LOCK = 120.0
"""Seconds after which a lock is a dead program's, as Dovecot takes it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a file said.

    Attributes:
        data: Its bytes; empty if it is missing.
        stamp: Its modification time, inode and size; zeros if it is missing.
    """

    data: bytes = b""
    stamp: tuple[int, int, int] = (0, 0, 0)

    @property
    def names(self) -> frozenset[str] | None:
        """The mailboxes that it names; None if it says nothing."""
        return subscribed_names(self.data) if self.data else None


def subscribed_names(data: bytes) -> frozenset[str]:
    """Name the mailboxes in a file."""
    return frozenset(filter(None, map(_mailbox, read_subscriptions(data))))


def _mailbox(line: str) -> str | None:
    return directory_folder(f".{line}") or foreign_folder(f".{line}")


def merged_file(data: bytes, names: Iterable[str]) -> bytes:
    """Write a file that names these mailboxes.

    Args:
        data: What stood there; lines that stay, and those that name nothing, are kept.
        names: The mailboxes.
    """
    left = set(names)
    head, *rest = data.split(b"\n")
    is_old = data != b"" and head != _VERSION_2
    separator = "." if is_old else "\t"
    lines = [] if is_old else [_VERSION_2, b""]
    for line in filter(None, [head, *rest] if is_old else rest):
        name = _mailbox(line.decode("utf-8", "replace").replace(separator, "."))
        if name is None or name in left:
            lines.append(line)
            left.discard(name or "")
    for name in sorted(left, key=lambda name: (name != INBOX, name)):
        lines.append(separator.join(encoded_levels(name)).encode())
    return b"".join(line + b"\n" for line in lines)


# the file; in a thread


def read_listed(disk: Disk, directory: str) -> Listed:
    """Read the file of a home.

    Raises:
        Unavailable: It cannot be read, or is no such list: it is longer than a mebibyte.
    """
    path = f"{directory}/{FILE}"
    status = disk.status(path)
    found = disk.read_part(path, 0, _LONGEST) if status is not None else None
    if status is None or found is None:
        return Listed()
    size, data = found
    if size > _LONGEST:
        raise Unavailable(f"{path}: has more than {_LONGEST} bytes")
    return Listed(data, (status.st_mtime_ns, status.st_ino, status.st_size))


def replace_file(disk: Disk, directory: str, listed: Listed, names: frozenset[str]) -> bool:
    """Write the file; False if it is not as it was, and so is to be merged first.

    Raises:
        Unavailable: It cannot be written, or another program has the lock.
        StorageFull: Likewise.
    """
    path, lock = f"{directory}/{FILE}", f"{directory}/{FILE}.lock"
    held = disk.entry(lock)
    if held is not None and time.time() - held.st_mtime > _STALE_LOCK:
        disk.unlink(lock)
    disk.create(lock)
    try:
        if read_listed(disk, directory).data != listed.data:
            disk.unlink(lock)
            return False
        disk.write(lock, (merged_file(listed.data, names),), made=True)
        disk.rename(lock, path)
    except Exception:
        disk.unlink(lock)
        raise
    disk.sync_directory(directory)
    return True


# the index


def is_agreed(queries: Queries, home_id: int, found: frozenset[str] | None) -> bool:
    """Whether file and index say the same, and the index knows that."""
    row = queries.one(_STATE, (home_id,))
    if row is None or row[1] is not None:
        return False
    ours = frozenset(name for (name,) in queries.all(_OURS, (home_id,)))
    return _names(row[0]) == (found or frozenset()) == ours


def merge(tx: Transaction, home_id: int, found: frozenset[str] | None) -> frozenset[str] | None:
    """Bring into the index what another program did to the file.

    Args:
        tx: The transaction.
        home_id: Whose.
        found: What the file names; None if it says nothing.

    Returns:
        What the file is to name; None if it does.
    """
    home = get_home(tx, home_id)
    row = tx.one(_STATE, (home_id,))
    agreed, writing = (_names(row[0]), row[1]) if row is not None else (frozenset[str](), None)
    if found is not None and writing is not None and _names(writing) == found:
        agreed = found  # a crash came after the file was written
    ours = frozenset(name for (name,) in tx.all(_OURS, (home_id,)))
    now = ours if found is None else (ours | (found - agreed)) - (agreed - found)
    for name in now - ours:
        tx.insert(statements.SUBSCRIPTIONS, home_id, name)
    for name in ours - now:
        tx.run(_UNSUBSCRIBE, (home_id, name))
    if now != ours:
        publish_home(tx, home)
    found = found or frozenset()
    tx.run(FORGET, (home_id,))
    tx.run(_ADD, (home_id, _text(found), None if now == found else _text(now)))
    return None if now == found else now


def written(tx: Transaction, home_id: int, names: frozenset[str]) -> None:
    """The file names these now, durably."""
    tx.run(_WRITTEN, (home_id, _text(names)))


def _text(names: Iterable[str]) -> str:
    return "\n".join(sorted(names))


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split("\n")))
