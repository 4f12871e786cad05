"""Reads messages' bytes out of their files, many in one turn of a thread.

A small message costs three calls of the operating system: open, read, close.  Its location comes
from the index; where another program, or we, renamed the file since, it is found again by its base.

Lines end in CRLF.  Files that we write have them.  A file of another program with bare LFs only is
served with CRLFs, its size and all offsets counted so; one with any CRLF in it is served as it is,
and so is one whose name says that its sizes on disk and on the wire are the same.  Whether a file
is of the first kind shows by its size, which differs from that in the index.

Invariants: bytes are those of the size that the index tells, or there are none: a file that was cut
short is `Corrupt`, never padded or mixed with another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import FileIO

from mailplat.message.scan import Scanner
from mailplat.message.summary import summarize
from mailplat.model.errors import Corrupt, Unavailable
from mailplat.model.numset import NumSet
from mailplat.model.summary import Summary
from mailplat.store.index.bodies import Wanted
from mailplat.store.index.database import Connection
from mailplat.store.index.statements import Ranges
from mailplat.store.maildir.carried import is_row, read_row
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import is_as_it_is
from mailplat.store.maildir.folders import Folder, Folders
from mailplat.store.maildir.journal import Journal
from mailplat.store.maildir.layout import Layout, dead_location, location_name
from mailplat.store.maildir.listing import base_of

__all__ = ["Reading", "summary_of_file"]

_PLACES = Ranges(
    "{want} SELECT m.uid, m.place FROM want CROSS JOIN messages m"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last"
)
_BLOCK = 1 << 20


class Reading:
    """Reads.

    Args:
        layout: Where everything is.
        disk: Does it.
        folders: The mailboxes' directories.
        journal: Where files are that the index does not know yet.
        vanished: Told, in a reader's thread, of messages whose files are gone: for a mailbox,
            the location of each UID.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        folders: Folders,
        journal: Journal,
        vanished: Callable[[int, dict[int, str]], None],
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._folders = folders
        self._journal = journal
        self._vanished = vanished

    def read(self, connection: Connection, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """See `Bodies.read`."""
        answers: list[bytes | None] = [None] * len(wanted)
        by_mailbox: dict[int, list[int]] = {}
        for at, one in enumerate(wanted):
            by_mailbox.setdefault(one.mailbox, []).append(at)
        for mailbox, positions in by_mailbox.items():
            folder = self._folders.find(mailbox, connection)
            if folder is not None:
                self._read_some(connection, folder, wanted, positions, answers)
        return answers

    def _read_some(
        self,
        connection: Connection,
        folder: Folder,
        wanted: Sequence[Wanted],
        positions: Sequence[int],
        answers: list[bytes | None],
    ) -> None:
        uids = NumSet.of(wanted[at].uid for at in positions if not wanted[at].place)
        places: dict[int, str] = {}
        for sql, args in _PLACES.pieces(uids):
            places.update(connection.all(sql, (*args, folder.mailbox)))
        lost: list[int] = []
        for at in positions:
            one = wanted[at]
            if one.place:
                answers[at] = self._read_expunged(connection, folder, one)
            elif (place := places.get(one.uid)) is not None:
                answers[at] = self._read_one(connection, folder, one, place)
                if answers[at] is None:
                    lost.append(at)
        if lost:
            self._find_lost(connection, folder, wanted, lost, places, answers)

    def _read_one(
        self, connection: Connection, folder: Folder, wanted: Wanted, place: str
    ) -> bytes | None:
        """Read a message at a place, or where the journal says that it is."""
        key = wanted.mailbox, wanted.uid
        location = self._journal.locations.get(key, place)
        if is_row(location):
            # a file may be there that a crash cut short
            row = read_row(connection, location)
            if row is not None:
                return row[1][wanted.start : wanted.stop]
        data = self._fetch(self._layout.path(folder.directory, place), wanted, place)
        if data is None:
            place = self._journal.locations.get(key, place)
            data = self._fetch(self._layout.path(folder.directory, place), wanted, place)
        return data

    def _read_expunged(
        self, connection: Connection, folder: Folder, wanted: Wanted
    ) -> bytes | None:
        grave = dead_location(wanted.mailbox, wanted.uid)
        data = self._fetch(self._layout.path("", grave), wanted, wanted.place)
        return (
            data if data is not None else self._read_one(connection, folder, wanted, wanted.place)
        )

    def _find_lost(
        self,
        connection: Connection,
        folder: Folder,
        wanted: Sequence[Wanted],
        lost: Sequence[int],
        places: dict[int, str],
        answers: list[bytes | None],
    ) -> None:
        """Find messages by their bases; what is not found was removed."""
        with folder.lock:
            directory = self._layout.directory(folder.directory)
            if self._disk.status(f"{directory}/cur") is None:
                raise Unavailable(f"{directory}/cur: no such directory")
            there = {}
            for sub in ("new", "cur"):
                for name in self._disk.names(f"{directory}/{sub}"):
                    location = f"{sub}/{location_name(name)}"
                    there[base_of(location)] = location
            gone: dict[int, str] = {}
            for at in lost:
                place = places[wanted[at].uid]
                now = there.get(base_of(place), place)
                answers[at] = self._read_one(connection, folder, wanted[at], now)
                if answers[at] is None:
                    gone[wanted[at].uid] = place
        folder.dirty = True
        if gone:
            self._vanished(folder.mailbox, gone)

    def _fetch(self, path: str, wanted: Wanted, place: str) -> bytes | None:
        found = self._disk.read_part(path, wanted.start, wanted.stop)
        if found is None:
            return None
        size, data = found
        if size == wanted.size:
            return data
        whole = self._disk.read_part(path, 0, size)
        if whole is None:
            return None
        message = whole[1]
        if b"\r\n" not in message and not is_as_it_is(base_of(place), size):
            message = message.replace(b"\n", b"\r\n")
        if len(message) != wanted.size:
            raise Corrupt(
                f"{path}: UID {wanted.uid} of mailbox {wanted.mailbox} should have"
                f" {wanted.size} bytes, and has {len(message)}"
            )
        return message[wanted.start : wanted.stop]


def summary_of_file(file: FileIO, base: str) -> Summary:
    """Make the summary of another program's file, block by block."""
    scanner = Scanner()
    size = file.seek(0, 2)
    convert = not is_as_it_is(base, size) and not any(
        b"\r\n" in block for block in _overlapping(file)
    )
    file.seek(0)
    while block := file.read(_BLOCK):
        scanner.receive(block.replace(b"\n", b"\r\n") if convert else block)
    return summarize(scanner.close())


def _overlapping(file: FileIO) -> Iterator[bytes]:
    """Give a file's blocks, each with the last byte of the one before."""
    file.seek(0)
    last = b""
    while block := file.read(_BLOCK):
        yield last + block
        last = block[-1:]
