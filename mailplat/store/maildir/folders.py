"""The directory of each mailbox, and what it looked like when it was last listed.

A mailbox keeps its directory until it is renamed, also where the directory's name is not what
`names.folder_directory` would give: other programs' spellings are served where they are.

The *stamps* are the modification times of ``new`` and ``cur`` when both were as the index has them.
While they are the same, nobody added, removed or renamed a file, and the mailbox is not listed.
Two things make that inexact, and each is dealt with:

* A file system's clock is coarse: a change just after a listing may leave the same time.  So
  stamps younger than a second at the time of the listing do not count as known.
* Our own changes move the stamps too.  They are measured before and after; what another program
  does in between would be missed, unless the kernel tells of it.  So a mailbox is listed again
  that we changed while the kernel told nothing, a minute after the last listing.

Invariants: rows are written in the index's transactions, values here follow after the commit, in
the order of the commits; both are only ever ahead of the disk, never behind (see `journal`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mailplat.store.index.database import Row
from mailplat.store.index.statements import Insert
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.layout import Layout
from mailplat.store.maildir.uidlist import read_keywords

__all__ = [
    "FOLDERS",
    "FORGET_FOLDER",
    "KEYWORDS_FILE",
    "SCHEMA",
    "SET_DIRECTORY",
    "SET_STAMPS",
    "SET_TAKEN_OVER",
    "Folder",
    "Folders",
    "Queries",
    "Stamps",
    "lasting",
]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS maildir_folders (mailbox INTEGER PRIMARY KEY,"
    " home INTEGER NOT NULL, directory TEXT NOT NULL, taken_over INTEGER NOT NULL,"
    " new_stamp INTEGER NOT NULL, cur_stamp INTEGER NOT NULL, listed INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS maildir_folders_by_home ON maildir_folders (home)",
)

FOLDERS = Insert("maildir_folders", "mailbox home directory taken_over new_stamp cur_stamp listed")
SET_DIRECTORY = "UPDATE maildir_folders SET directory = ? WHERE mailbox = ?"
SET_STAMPS = "UPDATE maildir_folders SET new_stamp = ?, cur_stamp = ?, listed = ? WHERE mailbox = ?"
SET_TAKEN_OVER = "UPDATE maildir_folders SET taken_over = 1 WHERE mailbox = ?"
FORGET_FOLDER = "DELETE FROM maildir_folders WHERE mailbox = ?"
_SELECT = (
    "SELECT mailbox, home, directory, taken_over, new_stamp, cur_stamp, listed FROM maildir_folders"
)
_FOLDER = f"{_SELECT} WHERE mailbox = ?"
_FOLDERS_OF_HOME = f"{_SELECT} WHERE home = ? ORDER BY directory"

KEYWORDS_FILE = "dovecot-keywords"

_COARSE = 1_000_000_000
"""Nanoseconds that a file system's clock may stand still."""

Stamps = tuple[int, int]
"""Modification times of ``new`` and ``cur``, nanoseconds since 1970; 0 is never the same."""


class Queries(Protocol):
    """What answers queries: a connection, or a transaction."""

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run a query and give its rows."""

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run a query of at most one row."""


@dataclass(slots=True, eq=False)
class Folder:
    """One mailbox's directory.

    Attributes:
        mailbox: The mailbox's id.
        home: The home's id.
        directory: From the root.
        taken_over: False until the messages that were there first are in the index.
        stamps: See `Stamps`.
        listed: When it was listed, seconds since 1970; 0 is never.
        ours: Whether we changed it since, and the kernel told nothing of others then.
        dirty: Whether another program surely changed it.
        looked: When it was looked at last, on the reactor's clock.
        used: When somebody asked for it last, likewise.
        deleted: Whether the mailbox was deleted.
        holds: Once it is: for how many reasons the directory may not be removed yet.
        letters: The keyword of each letter of file names.
        lock: Held while files here are renamed, or the directory is.
    """

    mailbox: int
    home: int
    directory: str
    taken_over: bool
    stamps: Stamps
    listed: int
    ours: bool = True
    dirty: bool = False
    looked: float = float("-inf")
    used: float = float("-inf")
    deleted: bool = False
    holds: int = 0
    letters: dict[str, str] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def mark_deleted(self, holds: int) -> None:
        """The mailbox was deleted; see ``holds``."""
        self.deleted, self.holds = True, holds


def lasting(stamps: Stamps, now: int) -> Stamps:
    """Give those stamps that are surely not the same after the next change.

    Args:
        stamps: As they were read.
        now: When that was, nanoseconds since 1970.
    """
    new, cur = (stamp if now - stamp > _COARSE else 0 for stamp in stamps)
    return new, cur


class Folders:
    """Finds folders; keeps the ones in use.

    Args:
        layout: Where everything is.
        disk: Reads the letters of keywords.
        limit: Folders kept; when there are more, those that nothing hangs on are forgotten.
    """

    def __init__(self, layout: Layout, disk: Disk, limit: int = 50_000) -> None:
        self._layout = layout
        self._disk = disk
        self._limit = limit
        self._folders: dict[int, Folder] = {}
        self._lock = threading.Lock()

    def find(self, mailbox: int, queries: Queries) -> Folder | None:
        """Find a mailbox's folder; None if the mailbox is deleted and forgotten."""
        folder = self._folders.get(mailbox)
        if folder is None:
            row = queries.one(_FOLDER, (mailbox,))
            folder = self._add(_folder(row)) if row else None
        return folder

    def of_home(self, home: int, queries: Queries) -> list[Folder]:
        """Find all folders of a home, by directory."""
        rows = queries.all(_FOLDERS_OF_HOME, (home,))
        return [self._folders.get(row[0]) or self._add(_folder(row)) for row in rows]

    def known(self, mailbox: int) -> Folder | None:
        """Give a folder that is kept."""
        return self._folders.get(mailbox)

    def keep(self, folder: Folder) -> None:
        """Keep a folder that was made."""
        self._add(folder)

    def _add(self, folder: Folder) -> Folder:
        """Keep a folder; whoever was first stays."""
        with self._lock:
            if len(self._folders) >= self._limit:
                self._folders = {
                    mailbox: kept
                    for mailbox, kept in self._folders.items()
                    if kept.deleted or kept.dirty or not kept.taken_over
                }
            return self._folders.setdefault(folder.mailbox, folder)

    def forget(self, mailbox: int) -> None:
        """Nothing of a deleted mailbox is needed any more."""
        self._folders.pop(mailbox, None)

    def letters(self, folder: Folder) -> dict[str, str]:
        """Give the keyword of each letter, read from the folder once."""
        letters = folder.letters
        if letters is None:
            path = os.path.join(self._layout.directory(folder.directory), KEYWORDS_FILE)
            letters = folder.letters = read_keywords(self._disk.read(path) or b"")
        return letters

    def letter_of(self, folder: Folder) -> dict[str, str]:
        """Give the letter of each keyword, in lower case."""
        return {keyword.lower(): letter for letter, keyword in self.letters(folder).items()}

    def all(self) -> list[Folder]:
        """Give the folders that are kept."""
        return list(self._folders.values())

    def stamps(self, folder: Folder) -> Stamps:
        """Look at the folder's directories; 0 for one that is not there."""
        directory = self._layout.directory(folder.directory)
        new, cur = (self._disk.status(f"{directory}/{sub}") for sub in ("new", "cur"))
        return (new.st_mtime_ns if new else 0, cur.st_mtime_ns if cur else 0)


def _folder(row: Row) -> Folder:
    mailbox, home, directory, taken_over, new, cur, listed = row
    return Folder(mailbox, home, directory, bool(taken_over), (new, cur), listed)
