"""Operations of the index that bring in what other programs did to one mailbox's files.

Invariants: what the listing said is looked at once more here, for the writer's thread is the only
one that decides: a file that we moved or removed meanwhile is no change of anybody else's.  Quotas
do not hold back what is there already; keywords for which there is no room are left away.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.logger import Logger

from mailplat.model.errors import MailError
from mailplat.model.numset import NumSet
from mailplat.model.summary import Summary
from mailplat.store.index.messages import (
    Rules,
    add_message,
    get_mailbox,
    mask_of,
    read_rows,
    remove_rows,
    set_masks,
    set_places,
)
from mailplat.store.index.transaction import Transaction
from mailplat.store.keywords import KeywordTable
from mailplat.store.maildir.carried import is_row
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import FileName, size_of
from mailplat.store.maildir.folders import Folder
from mailplat.store.maildir.layout import Layout
from mailplat.store.maildir.listing import Moved, base_of
from mailplat.store.maildir.reading import summary_of_file
from mailplat.store.maildir.uidlist import UidList

__all__ = ["FoundFile", "add_files", "apply_changes", "describe", "look_at", "pass_over"]

_log = Logger()

_PLACES_FROM = "SELECT place FROM messages WHERE mailbox = ? AND uid >= ?"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that another program put there, and nobody has read.

    Attributes:
        location: Where.
        date: The file's modification time, seconds since 1970: its INTERNALDATE.
        size: Bytes of the message, as far as its name or the file tell: too few, if lines end in
            LF and the name does not say how many there are.
    """

    location: str
    date: int
    size: int


def look_at(
    disk: Disk, layout: Layout, folder: Folder, locations: Sequence[str]
) -> tuple[list[FoundFile], list[str]]:
    """Look at files; in a thread.

    Returns:
        Those that are plain files; and the locations of those that are not.
    """
    found: list[FoundFile] = []
    ignored: list[str] = []
    for location in locations:
        path = layout.path(folder.directory, location)
        status = disk.entry(path)
        if status is None:
            continue
        if stat.S_ISREG(status.st_mode):
            size = size_of(base_of(location)) or status.st_size
            found.append(FoundFile(location, int(status.st_mtime), size))
        else:
            _log.warn("{path} is no plain file: it is passed over", path=path)
            ignored.append(location)
    return found, ignored


def describe(
    disk: Disk, layout: Layout, folder: Folder, locations: Sequence[str]
) -> tuple[list[tuple[str, Summary]], list[str]]:
    """Read files; in a thread.

    Returns:
        Those that are messages, with what they say; and the locations of those that cannot be.
    """
    found: list[tuple[str, Summary]] = []
    ignored: list[str] = []
    for location in locations:
        path = layout.path(folder.directory, location)
        try:
            file = disk.open_message(path)
            if file is None:
                if disk.entry(path) is not None:
                    ignored.append(location)
                continue
            with file:
                found.append((location, summary_of_file(file, base_of(location))))
        except MailError as error:
            _log.warn("a file is passed over: {error}", error=error)
            ignored.append(location)
    return found, ignored


def add_files(
    tx: Transaction,
    rules: Rules,
    bodies: Deciding,
    mailbox_id: int,
    files: Sequence[FoundFile],
    since_uid: int,
    uidlist: UidList | None,
) -> None:
    """Give files UIDs; what is in them is read later.

    Args:
        tx: The transaction.
        rules: Where bytes are, and limits.
        bodies: Ours.
        mailbox_id: The mailbox.
        files: In the order of their UIDs.
        since_uid: Messages from this UID on were not known when the files were listed.
        uidlist: The UIDs that files had elsewhere; files that it lacks get higher ones.
    """
    home, mailbox = get_mailbox(tx, mailbox_id)
    folder = bodies.folders.find(mailbox_id, tx)
    if folder is None:
        return
    letters = bodies.folders.letters(folder)
    known = {base_of(row[0]) for row in tx.all(_PLACES_FROM, (mailbox_id, since_uid))}
    known |= bodies.journal.buried(mailbox_id)
    for file in files:
        base = base_of(file.location)
        if base in known:
            continue
        flags = FileName.parse(file.location[4:]).flags(letters)
        mask = mask_of(tx, mailbox, flags, rules.keyword_limit, spare=True)
        if uidlist is not None:
            mailbox.uid_next = max(mailbox.uid_next, uidlist.uids.get(base, uidlist.uid_next))
        # no content yet: see `completing`
        add_message(tx, home, mailbox, 0, file.size, mask, file.date, file.location)


def pass_over(
    tx: Transaction, rules: Rules, bodies: Deciding, mailbox_id: int, uids: NumSet
) -> None:
    """Take files out of the index that turned out to be no messages, and leave them alone."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    rows = read_rows(tx, mailbox, uids)
    with bodies.vanishing():
        remove_rows(tx, rules, home, mailbox, rows, uids)


def apply_changes(
    tx: Transaction,
    rules: Rules,
    bodies: Deciding,
    mailbox_id: int,
    moved: Sequence[Moved],
    missing: Mapping[int, str],
) -> bool:
    """Follow files that were renamed, and remove messages whose files are gone.

    Args:
        tx: The transaction.
        rules: Where bytes are, and limits.
        bodies: Ours.
        mailbox_id: The mailbox.
        moved: What was renamed.
        missing: UIDs whose files were not found, with where they were.

    Returns:
        Whether something has to be listed again to be understood.
    """
    home, mailbox = get_mailbox(tx, mailbox_id)
    folder = bodies.folders.find(mailbox_id, tx)
    if folder is None:
        return False
    uids = NumSet.of([*missing, *(move.uid for move in moved)])
    rows = {row.uid: row for row in read_rows(tx, mailbox, uids)}
    again = False
    gone = []
    locations = bodies.journal.locations
    for uid in sorted(missing):
        if uid not in rows:
            continue
        with folder.lock:
            location = locations.get((mailbox_id, uid), rows[uid].place)
            path = bodies.layout.path(folder.directory, location)
            there = is_row(location) or bodies.disk.status(path) is not None
        if there or location != missing[uid]:
            again = True
        else:
            gone.append(rows[uid])
    if gone:
        with bodies.vanishing():
            numbers = NumSet.of(row.uid for row in gone)
            remove_rows(tx, rules, home, mailbox, gone, numbers)
    letters = bodies.folders.letters(folder)
    table = KeywordTable(rules.keyword_limit, mailbox.keywords)
    places: dict[int, str] = {}
    masks: dict[int, int] = {}
    for move in moved:
        row = rows.get(move.uid)
        if row is None:
            continue
        location = locations.get((mailbox_id, move.uid), row.place)
        if location == move.now or move.before.startswith("tmp/"):
            continue
        if location != move.before:
            again = True
            continue
        before, now = (FileName.parse(name[4:]).flags(letters) for name in (move.before, move.now))
        given = mask_of(tx, mailbox, now - before, rules.keyword_limit, spare=True)
        places[move.uid] = move.now
        masks[move.uid] = (row.mask | given) & ~table.known_mask(before - now)
        key = mailbox_id, move.uid
        tx.on_commit(partial(bodies.journal.settle_location, key, move.before, move.now))
    set_places(tx, mailbox_id, places)
    set_masks(tx, rules, mailbox_id, masks)
    # where the flags are the same, ours may still have to become letters
    same = [
        row._replace(place=places[uid]) for uid in masks if (row := rows[uid]).mask == masks[uid]
    ]
    bodies.flagged(tx, mailbox, same, [row.mask for row in same])
    return again
