"""Does the steps of the journal: renames files after the commit that decided it.

Few steps are done at once, in the writer's thread, before anybody is told of the commit: who was
told sees the file.  Many (``STORE 1:*``, a deleted mailbox) are done by a thread of their own, so
that the writer goes on; until then the journal knows where a file is.  The steps of one mailbox are
always done in their order.

Then they are *settled*, many together and a second later: the directories are flushed, the index
learns the new locations, the steps are crossed out.  Nobody waits for that.

A step that fails (no space for a directory's entry, no permission) is logged and tried again; the
steps behind it that are about the same mailbox wait for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from queue import Empty, SimpleQueue

from twisted.logger import Logger

from mailplat.model.errors import MailError, Unavailable
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import FileName, letters_of
from mailplat.store.maildir.folders import KEYWORDS_FILE, Folder, Folders
from mailplat.store.maildir.journal import DIRECTORY_KINDS, PASSING_KINDS, Journal, Kind, Step
from mailplat.store.maildir.layout import Layout, dead_location, location_name
from mailplat.store.maildir.listing import base_of
from mailplat.store.maildir.names import NAME_FILE, is_shortened
from mailplat.store.maildir.uidlist import KEYWORD_LETTERS, keywords_file, read_keywords

__all__ = ["Mover", "Places"]

_log = Logger()

_SUBDIRECTORIES = ("tmp", "new", "cur")

Places = Mapping[tuple[int, int], str]
"""Locations of messages, by mailbox and UID."""


class Mover:
    """Moves files as the journal says.

    Args:
        layout: Where everything is.
        disk: Does it.
        folders: The mailboxes' directories.
        journal: What is to be done.
        settled: Told, in any thread, which steps were done durably, and the places that the index
            does not know yet; has them crossed out.
        expect: Told the paths that will change, so that no notice of ours is taken for others';
            answers whether what others do there is told.
        at_once: Steps of one commit that are done before anybody is told.
        settle_seconds: How long done steps wait for others to be settled with.
        settle_steps: Done steps that do not wait.
        retry_seconds: How long what failed waits until it is tried again.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        folders: Folders,
        journal: Journal,
        settled: Callable[[Sequence[Step], Places], None],
        expect: Callable[[str], bool],
        *,
        at_once: int = 256,
        settle_seconds: float = 1.0,
        settle_steps: int = 8192,
        retry_seconds: float = 10.0,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._folders = folders
        self._journal = journal
        self._settled = settled
        self._expect = expect
        self._at_once = at_once
        self._settle_seconds = settle_seconds
        self._settle_steps = settle_steps
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._queue: SimpleQueue[Sequence[Step] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._waiting = 0
        self._done: list[Step] = []
        self._settling: list[Step] = []
        self._failed: list[Step] = []
        self._touched: set[str] = set()
        self._unwatched = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take steps from now on."""
        self._thread = threading.Thread(target=self._work, name="mailplat mover", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do and settle what waits.  Blocks."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def submit(self, steps: Sequence[Step]) -> None:
        """These were committed: do them, now or soon.  In the writer's thread.

        Those about directories are done now in any case, and first: a mailbox's directory is
        where the index says before anything is done in it.
        """
        directories = [step for step in steps if step.kind in DIRECTORY_KINDS]
        files = [step for step in steps if step.kind not in DIRECTORY_KINDS]
        if directories:
            with self._turn:
                self._do(directories)
        with self._turn:
            if len(files) <= self._at_once and not self._waiting:
                self._do(files)
                files = []
            elif files:
                self._waiting += 1
        self._queue.put(files)

    def do_all(self, steps: Sequence[Step]) -> tuple[list[Step], Places]:
        """Do what a crash left, before anything else runs; give what is durable now."""
        with self._turn:
            self._do([step for step in steps if step.kind in DIRECTORY_KINDS])
            self._do([step for step in steps if step.kind not in DIRECTORY_KINDS])
        return self._flush()

    def flush_directories(self, account: str) -> list[Step]:
        """Flush what was done to an account's directories; give the steps, which are durable now.

        In the writer's thread, which crosses them out in its transaction.

        Raises:
            Unavailable: One of them could not be done so far.
        """
        with self._turn:
            for step in self._failed:
                if step.kind in DIRECTORY_KINDS and step.account == account:
                    raise Unavailable(f"{step.source}: an earlier change was not done yet")
            found = [
                step
                for step in (*self._settling, *self._done)
                if step.kind in DIRECTORY_KINDS and step.account == account
            ]
            changed = {self._layout.root}
            for step in found:
                for path in filter(None, (step.source, step.target)):
                    changed.add(os.path.dirname(self._layout.directory(path)))
                if step.kind is Kind.RENAME:
                    changed.update(
                        f"{self._layout.directory(step.target)}/{s}" for s in _SUBDIRECTORIES
                    )
            for path in sorted(changed) if found else ():
                self._disk.sync_directory(path)
            return found

    def crossed_out(self, steps: Sequence[Step], places: Places | None = None) -> None:
        """These are no longer in the journal, and the index has these places.

        In the writer's thread, after the commit.
        """
        with self._turn:
            gone = set(map(id, steps))
            self._done = [step for step in self._done if id(step) not in gone]
            self._settling = [step for step in self._settling if id(step) not in gone]
            steps = [step for step in steps if self._journal.has(step)]  # else it was done twice
            self._journal.forget(steps)
            for key, place in (places or {}).items():
                self._journal.settle_location(key, place)
            self._do(
                [
                    Step(0, Kind.CLEAR, step.mailbox, 0, "", step.target)
                    for step in steps
                    if step.kind in {Kind.REMOVE, Kind.REMOVE_HOME}
                ]
            )

    def settle_again(self, steps: Sequence[Step]) -> None:
        """These could not be crossed out; they are durable all the same."""
        again = set(map(id, steps))
        with self._turn:
            self._settling = [step for step in self._settling if id(step) not in again]
            self._done += steps
        self._queue.put(())

    # in the thread

    def _work(self) -> None:
        running = True
        settle_at: float | None = None
        while running:
            if settle_at is None and (self._done or self._failed):
                settle_at = max(time.monotonic() + self._settle_seconds, self._retry_at)
            timeout = None if settle_at is None else max(0.0, settle_at - time.monotonic())
            try:
                steps = self._queue.get(timeout=timeout)
            except Empty:
                steps = ()
            if steps is None:
                running = False
            elif steps:
                for start in range(0, len(steps), self._at_once):
                    with self._turn:
                        self._do(steps[start : start + self._at_once])
                with self._turn:
                    self._waiting -= 1
            due = settle_at is not None and time.monotonic() >= settle_at
            full = len(self._done) >= self._settle_steps and time.monotonic() >= self._retry_at
            if due or full or not running:
                self._settle(final=not running)
                settle_at = None

    def _settle(self, final: bool) -> None:
        with self._turn:
            if self._failed and (final or time.monotonic() >= self._retry_at):
                failed, self._failed = self._failed, []
                self._do(failed)
        done, places = self._flush()
        if done:
            self._settled(done, places)

    def _flush(self) -> tuple[list[Step], Places]:
        """Make durable what was done; give it, with the places that the index is to learn."""
        with self._turn:
            touched, self._touched = self._touched, set()
            done, self._done = self._done, []
            self._settling += done
            places = {}
            for step in done:
                place = self._journal.locations.get((step.mailbox, step.uid))
                if step.kind is Kind.RETITLE and place is not None:
                    places[step.mailbox, step.uid] = place
        try:
            # a directory that files came to before the one that they left: no power cut finds
            # them in neither
            for path in sorted(touched, key=lambda path: (path == self._layout.tmp, path)):
                self._disk.sync_directory(path)
        except MailError as error:
            _log.warn("files were not flushed, which is tried again: {error}", error=error)
            with self._turn:
                self._touched |= touched
            self._retry_at = time.monotonic() + self._retry_seconds
            self.settle_again(done)
            return [], {}
        return done, places

    # doing; all below with the turn held

    def _do(self, steps: Iterable[Step]) -> None:
        """Do steps; measure each directory once before and once after."""
        before: dict[int, tuple[Folder, tuple[int, int]]] = {}
        stuck = {step.mailbox for step in self._failed}
        self._unwatched = False
        for step in steps:
            try:
                folder = self._folders.known(step.mailbox)
                if step.mailbox in stuck:
                    self._failed.append(step)  # what is before it has to be done first
                    continue
                if folder is not None and folder.mailbox not in before and step.uid:
                    before[folder.mailbox] = folder, self._folders.stamps(folder)
                self._do_one(step, folder)
            except MailError as error:
                _log.warn("a file was not moved, which is tried again: {error}", error=error)
                stuck.add(step.mailbox)
                self._failed.append(step)
                self._retry_at = time.monotonic() + self._retry_seconds
            else:
                if step.kind not in PASSING_KINDS:
                    self._done.append(step)
        for folder, stamps in before.values():
            with suppress(MailError):
                if folder.stamps == stamps:
                    folder.stamps = self._folders.stamps(folder)
                    folder.ours = folder.ours or self._unwatched

    def _do_one(self, step: Step, folder: Folder | None) -> None:
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
            self._publish(step, folder)
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
        for sub in _SUBDIRECTORIES:
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

    def _publish(self, step: Step, folder: Folder) -> None:
        source = self._layout.path("", step.source)
        with folder.lock:
            target = self._layout.path(folder.directory, step.target)
            try:
                self._move(source, target)
            except Unavailable:
                if self._disk.status(os.path.dirname(target)) is not None:
                    raise
                self.make(folder.directory)  # another program took the directory away
                self._move(source, target)
        self._journal.settle_location((step.mailbox, step.uid), step.source, step.target)

    def _bury(self, step: Step, folder: Folder) -> None:
        key = step.mailbox, step.uid
        location = self._journal.locations.pop(key, step.source)
        with folder.lock:
            source = self._layout.path(folder.directory, location)
            grave = dead_location(*key)
            if not self._move(source, self._layout.path("", grave)):
                found = self._search(folder, base_of(location))
                if found is not None:
                    self._move(
                        self._layout.path(folder.directory, found), self._layout.path("", grave)
                    )

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
        self._touched.update(
            f"{new}/{sub}" for sub in _SUBDIRECTORIES
        )  # what was done there before

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
        told = self._expect(source), self._expect(target)
        self._unwatched = self._unwatched or not any(told)
        self._touched.update((os.path.dirname(source), os.path.dirname(target)))
        return self._disk.rename(source, target)

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
