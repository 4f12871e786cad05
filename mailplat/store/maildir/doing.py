"""Does one step of the journal to the files: writes, renames, removes.

Invariants: a step does no harm when it is done again (see `journal`).  A message appears in its
mailbox as a whole, by one rename or link.  What a mailbox's directory is called is looked at, and
its files are renamed, with its lock held.  What was changed and is not flushed yet is known, so
that all of it can be flushed together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass

from mailplat.model.errors import Unavailable
from mailplat.store.maildir.carried import is_row
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import FileName, letters_of
from mailplat.store.maildir.folders import KEYWORDS_FILE, Folder, Folders
from mailplat.store.maildir.journal import Journal, Kind, Step
from mailplat.store.maildir.layout import Layout, dead_location, location_name
from mailplat.store.maildir.listing import base_of
from mailplat.store.maildir.names import NAME_FILE, is_shortened
from mailplat.store.maildir.uidlist import KEYWORD_LETTERS, keywords_file, read_keywords

__all__ = ["SUBDIRECTORIES", "Doing", "InHand"]

SUBDIRECTORIES = ("tmp", "new", "cur")
"""What a Maildir consists of."""

_FRESH = 0.5
"""Seconds for which a listing tells that a message is not there."""

_NO_LISTING: tuple[int, float, dict[str, str]] = (0, 0.0, {})


@dataclass(frozen=True, slots=True)
class InHand:
    """A message's bytes, for a file that was never written before.

    Attributes:
        date: Its INTERNALDATE, seconds since 1970.
        data: The bytes; None if only the twin has them.
        twin: The path of another message's file with the same bytes.
    """

    date: int
    data: bytes | None
    twin: str | None = None


class Doing:
    """Does steps; one thread at a time.

    Args:
        layout: Where everything is.
        disk: Does it.
        folders: The mailboxes' directories.
        journal: Where files are meanwhile.
        expect: Told the paths that will change, so that no notice of ours is taken for others';
            answers whether what others do there is told.
        read_row: Reads the date and the bytes that the index carries; None if they are gone.
        take_spare: Gives an empty file that is ready, if there is one.

    Attributes:
        unwatched: Whether something was changed where nobody tells what others do.
        together: Whether files can be flushed together later; if not, each is when written.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        folders: Folders,
        journal: Journal,
        expect: Callable[[str], bool],
        read_row: Callable[[str], tuple[int, bytes] | None],
        take_spare: Callable[[], str | None],
    ) -> None:
        self.unwatched = False
        self.together = False
        self._layout = layout
        self._disk = disk
        self._folders = folders
        self._journal = journal
        self._expect = expect
        self._read_row = read_row
        self._take_spare = take_spare
        self._touched: set[str] = set()
        self._unflushed = False
        self._written: dict[str, str] = {}
        self._listing = _NO_LISTING
        """A mailbox, when it was listed (monotonic), and where each name without flags was."""

    def begin(self) -> None:
        """Some steps follow that belong together."""
        self.unwatched = False
        self._written.clear()

    def take_touched(self) -> tuple[set[str], bool]:
        """Give the directories that changed since, and whether files have to be flushed too."""
        taken = self._touched, self._unflushed
        self._listing = _NO_LISTING
        self._touched, self._unflushed = set(), False
        return taken

    def touch_again(self, touched: set[str], unflushed: bool) -> None:
        """These could not be flushed."""
        self._touched |= touched
        self._unflushed = self._unflushed or unflushed

    def do(self, step: Step, folder: Folder | None, in_hand: InHand | None = None) -> None:
        """Do one.

        Args:
            step: What; it may have been done before, wholly or in part.
            folder: Its mailbox's directory; None if there is none any more.
            in_hand: Bytes of a message that is written for the first time.
        """
        if step.kind is Kind.REMOVE_HOME:
            self._remove_home(step)
        elif step.kind is Kind.DROP:
            self._drop(step, folder)
        elif step.kind is Kind.CLEAR:
            self._clear(step, folder)
        elif step.kind is Kind.REMOVE:
            self._remove_folder(step, folder)
        elif folder is None:
            return  # the mailbox was deleted later, before a crash: nothing to do is left
        elif step.kind is Kind.PUBLISH:
            self._publish(step, folder, in_hand)
        elif step.kind is Kind.BURY:
            self._bury(step, folder)
        elif step.kind is Kind.RETITLE:
            self._retitle(step, folder)
        elif step.kind is Kind.MAKE:
            self.make(step.target)
            self._write_name(step)
        else:
            self._rename_folder(step, folder)

    def make(self, directory: str) -> None:
        """Make a mailbox's directory, from the root, with all that belongs to a Maildir."""
        path = self._layout.directory(directory)
        for sub in SUBDIRECTORIES:
            self._disk.make_directory(f"{path}/{sub}")
        self._touched.update((path, os.path.dirname(path)))
        if "/" in directory and self._disk.status(f"{path}/maildirfolder") is None:
            # tells deliverers that the quota is counted one level up (Maildir++)
            self._disk.write(f"{path}/maildirfolder", ())

    def _write_name(self, step: Step) -> None:
        """Where the directory's name does not tell the mailbox's, keep that inside."""
        if is_shortened(os.path.basename(step.target)):
            temporary = f"{self._layout.tmp}/name.{step.mailbox}"
            self._disk.unlink(temporary)
            self._disk.write(temporary, (step.name.encode(),))
            self._disk.rename(temporary, f"{self._layout.directory(step.target)}/{NAME_FILE}")

    def _publish(self, step: Step, folder: Folder, in_hand: InHand | None) -> None:
        if self._listing[0] == folder.mailbox:
            self._listing = _NO_LISTING
        with folder.lock:
            if not is_row(step.source):
                self._arrive(self._layout.path("", step.source), folder, step.target)
            elif in_hand is None or not self._write_first(step, folder, in_hand):
                self._write_again(step, folder)
        self._journal.settle_location((step.mailbox, step.uid), step.source, step.target)

    def _write_first(self, step: Step, folder: Folder, in_hand: InHand) -> bool:
        """Write a message of which nothing is there yet; False if that is not so."""
        twin = in_hand.twin or self._written.get(step.source)
        if twin is not None and self._link(twin, folder, step.target):
            return True
        if in_hand.data is None:
            return False
        self._put(in_hand.date, in_hand.data, folder, step.target)
        self._written[step.source] = self._layout.path(folder.directory, step.target)
        return True

    def _write_again(self, step: Step, folder: Folder) -> None:
        """Write a message that may be there, whole or cut short by a power cut."""
        row = self._read_row(step.source)
        if row is None:
            return
        date, data = row
        found = self._search(folder, base_of(step.target))
        if found is not None:
            path = self._layout.path(folder.directory, found)
            part = self._disk.read_part(path, 0, len(data) + 1)
            if part is not None and part[1] == data and self.together:
                self._touched.add(os.path.dirname(path))
                self._unflushed = True
                return
        self._disk.unlink(self._layout.path("", f"tmp/{base_of(step.target)}"))
        self._put(date, data, folder, found or step.target)

    def _put(self, date: int, data: bytes, folder: Folder, location: str) -> None:
        """Write a file, and let it appear in its mailbox as a whole."""
        spare = self._take_spare() if self.together else None
        temporary = spare or self._layout.path("", f"tmp/{base_of(location)}")
        # a new file has this very date by itself, most often
        when = None if date == int(time.time()) else date
        self._disk.write(temporary, (data,), when, flush=not self.together, made=bool(spare))
        self._unflushed = self.together
        self._arrive(temporary, folder, location)

    def _link(self, twin: str, folder: Folder, location: str) -> bool:
        """Let a file of the same bytes appear in a mailbox too; whether it was there."""
        target = self._layout.path(folder.directory, location)
        self._announce(target)
        self._unflushed = True
        try:
            return self._disk.link(twin, target)
        except Unavailable:
            if not self._made_again(folder, target):
                raise
            return self._disk.link(twin, target)

    def _arrive(self, source: str, folder: Folder, location: str) -> None:
        target = self._layout.path(folder.directory, location)
        try:
            self._move(source, target)
        except Unavailable:
            if not self._made_again(folder, target):
                raise
            self._move(source, target)

    def _made_again(self, folder: Folder, target: str) -> bool:
        """Make a directory anew if another program took it away."""
        if self._disk.status(os.path.dirname(target)) is not None:
            return False
        self.make(folder.directory)
        return True

    def _bury(self, step: Step, folder: Folder) -> None:
        key = step.mailbox, step.uid
        location = self._journal.locations.pop(key, step.source)
        with folder.lock:
            source = self._layout.path(folder.directory, location)
            grave = dead_location(*key)
            if not self._move(source, self._layout.path("", grave)):
                self._bury_renamed(folder, base_of(location), self._layout.path("", grave))

    def _bury_renamed(self, folder: Folder, base: str, grave: str) -> None:
        """Bury a message that is elsewhere in its mailbox than was known.

        Many may be: a mailbox that was flagged and then emptied.  So one listing serves them all,
        for a moment; what it has somewhere else by now is looked for once more.
        """
        found = self._listed(folder, base)
        if found is None or self._move(self._layout.path(folder.directory, found), grave):
            return
        found = self._search(folder, base)
        if found is not None:
            self._move(self._layout.path(folder.directory, found), grave)

    def _listed(self, folder: Folder, base: str) -> str | None:
        """Find a message in a listing that is at most `_FRESH` seconds old."""
        mailbox, made, listing = self._listing
        now = time.monotonic()
        if mailbox != folder.mailbox or (base not in listing and now - made > _FRESH):
            directory = self._layout.directory(folder.directory)
            listing = {
                base_of(location): location
                for sub in ("new", "cur")
                for name in self._disk.names(f"{directory}/{sub}")
                for location in (f"{sub}/{location_name(name)}",)
            }
            self._listing = folder.mailbox, time.monotonic(), listing
        return listing.get(base)

    def _retitle(self, step: Step, folder: Folder) -> None:
        key = step.mailbox, step.uid
        with folder.lock:
            before = self._journal.locations.get(key, step.source)
            name = FileName.parse(before[4:])
            letters = letters_of(
                step.flags or (), self._letters(folder, step.flags or ()), name.letters
            )
            now = "cur/" + FileName(name.base, letters).in_cur()
            if now == before or (before.startswith("new/") and not letters):
                return
            if self._move(
                self._layout.path(folder.directory, before),
                self._layout.path(folder.directory, now),
            ):
                self._journal.locations[key] = now
            else:
                folder.dirty = True  # another program was there first: see what it did

    def _rename_folder(self, step: Step, folder: Folder) -> None:
        old, new = self._layout.directory(step.source), self._layout.directory(step.target)
        with folder.lock:
            if self._disk.status(new) is None:
                self._move(old, new)
            folder.directory = step.target
        self._write_name(step)
        self._touched.update(f"{new}/{sub}" for sub in SUBDIRECTORIES)  # what was done there before

    def _remove_folder(self, step: Step, folder: Folder | None) -> None:
        grave = self._layout.directory(step.target)
        path = self._layout.directory(step.source)
        with folder.lock if folder else nullcontext():
            if "/" in step.source:
                self._move_away(path, grave)
            else:  # INBOX: its directory is the home
                self._disk.make_directory(grave)
                for sub in ("new", "cur"):
                    self._move_away(f"{path}/{sub}", f"{grave}/{sub}")
            if folder is not None:
                folder.directory = step.target

    def _remove_home(self, step: Step) -> None:
        self._move_away(self._layout.directory(step.source), self._layout.directory(step.target))

    def _move_away(self, path: str, grave: str) -> None:
        """Move what is to be removed; where that was done before, the path is another's now."""
        if self._disk.status(grave) is None:
            self._move(path, grave)

    def _drop(self, step: Step, folder: Folder | None) -> None:
        """Remove an expunged message's bytes."""
        path = self._layout.path("", dead_location(step.mailbox, step.uid))
        if not self._disk.unlink(path) and folder is not None and folder.deleted:
            self._clear(step, folder)

    def _clear(self, step: Step, folder: Folder | None) -> None:
        """Remove a deleted directory, once it is out of the journal and nobody reads there."""
        if folder is None:
            self._disk.remove_tree(self._layout.directory(step.target))
            return
        folder.holds -= 1
        if not folder.holds:
            self._disk.remove_tree(self._layout.directory(folder.directory))
            self._folders.forget(folder.mailbox)

    def _move(self, source: str, target: str) -> bool:
        self._announce(source, target)
        return self._disk.rename(source, target)

    def _announce(self, *paths: str) -> None:
        """These change now."""
        told = [self._expect(path) for path in paths]
        self.unwatched = self.unwatched or not any(told)
        self._touched.update(map(os.path.dirname, paths))

    def _search(self, folder: Folder, base: str) -> str | None:
        """Find a message that another program renamed."""
        directory = self._layout.directory(folder.directory)
        for sub in ("cur", "new"):
            for name in self._disk.names(f"{directory}/{sub}"):
                location = f"{sub}/{location_name(name)}"
                if base_of(location) == base:
                    return location
        return None

    def _letters(self, folder: Folder, flags: Iterable[str]) -> dict[str, str]:
        """Give the letter of each keyword, in lower case; give one to those that have none."""
        letters = self._folders.letters(folder)
        known = {keyword.lower() for keyword in letters.values()}
        missing = [f for f in flags if not f.startswith("\\") and f.lower() not in known]
        if missing and len(letters) < len(KEYWORD_LETTERS):
            directory = self._layout.directory(folder.directory)
            path = f"{directory}/{KEYWORDS_FILE}"
            letters = read_keywords(self._disk.read(path) or b"")  # others may have added some
            known = {keyword.lower() for keyword in letters.values()}
            free = [letter for letter in KEYWORD_LETTERS if letter not in letters]
            new = [keyword for keyword in missing if keyword.lower() not in known]
            letters.update(zip(free, new, strict=False))
            temporary = f"{self._layout.tmp}/keywords.{folder.mailbox}"
            self._disk.unlink(temporary)
            self._disk.write(temporary, (keywords_file(letters),))
            self._disk.rename(temporary, path)
            folder.letters = letters
        return {keyword.lower(): letter for letter, keyword in letters.items()}
