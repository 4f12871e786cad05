"""Has the steps of the journal done after the commit that decided them (see `doing`).

Few steps are done at once, in the writer's thread, before anybody is told of the commit: who was
told sees the file.  So are all that write what the index carries: their bytes are in hand.  Many
(``STORE 1:*``, a deleted mailbox) are done by a thread of their own, so that the writer goes on;
until then the journal knows where a file is.  The steps of one mailbox are always done in their
order, but that messages may come before what waits.

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
from contextlib import suppress
from queue import Empty, SimpleQueue

from twisted.logger import Logger

from mailplat.model.errors import MailError, Unavailable
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.doing import SUBDIRECTORIES, Doing, InHand
from mailplat.store.maildir.folders import Folder, Folders
from mailplat.store.maildir.journal import DIRECTORY_KINDS, PASSING_KINDS, Journal, Kind, Step
from mailplat.store.maildir.layout import Layout

__all__ = ["Mover", "Places"]

_log = Logger()

_TURN = 16
"""Steps that the thread does before the writer may do some."""

_REST = 9
"""A flush of the whole file system holds up others there: this many times as long comes none."""

_MOST_REST = 20.0
"""Seconds, however long a flush took."""

Places = Mapping[tuple[int, int], str]
"""Locations of messages, by mailbox and UID."""


class Mover:
    """Moves files as the journal says.

    Args:
        layout: Where everything is.
        disk: Does it.
        folders: The mailboxes' directories.
        journal: What is to be done.
        doing: Does one step.
        settled: Told, in any thread, which steps were done durably, and the places that the index
            does not know yet; has them crossed out.
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
        doing: Doing,
        settled: Callable[[Sequence[Step], Places], None],
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
        self._doing = doing
        self._settled = settled
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
        self._unflushed = False
        self._flushing = 0.0
        self._thread: threading.Thread | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a step, or a flush, failed and will be tried again."""
        return bool(self._failed) or self._unflushed

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

    def submit(self, steps: Sequence[Step], in_hand: Mapping[int, InHand]) -> None:
        """These were committed: do them, now or soon.  In the writer's thread.

        Those about directories are done now in any case, and first: a mailbox's directory is
        where the index says before anything is done in it.

        Args:
            steps: In their order.
            in_hand: Bytes of messages, by the number of the step that writes them.
        """
        directories = [step for step in steps if step.kind in DIRECTORY_KINDS]
        passing = [step for step in steps if step.kind in PASSING_KINDS]
        others = DIRECTORY_KINDS | PASSING_KINDS
        files = [step for step in steps if step.kind not in others]
        if directories:
            with self._turn:
                self._do(directories)
        with self._turn:
            if len(files) <= self._at_once and not self._waiting:
                self._do(files, in_hand)
                files = []
            elif files:
                self._do([step for step in files if step.number in in_hand], in_hand)
                files = [step for step in files if step.number not in in_hand]
                self._waiting += bool(files)
        self._queue.put(files)
        if passing:  # nobody waits for these, and to remove a file takes long
            self._queue.put(passing)

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
                        f"{self._layout.directory(step.target)}/{s}" for s in SUBDIRECTORIES
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
                wait = max(self._settle_seconds, min(_REST * self._flushing, _MOST_REST))
                settle_at = max(time.monotonic() + wait, self._retry_at)
            timeout = None if settle_at is None else max(0.0, settle_at - time.monotonic())
            try:
                steps = self._queue.get(timeout=timeout)
            except Empty:
                steps = ()
            if steps is None:
                running = False
            elif steps:
                for start in range(0, len(steps), _TURN):
                    with self._turn:
                        self._do(steps[start : start + _TURN])
                    time.sleep(0)  # let the writer have its turn
                if steps[0].kind not in PASSING_KINDS:
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
            touched, written = self._doing.take_touched()
            done, self._done = self._done, []
            self._settling += done
            places = {}
            for step in done:
                place = self._journal.locations.get((step.mailbox, step.uid))
                if step.kind is Kind.RETITLE and place is not None:
                    places[step.mailbox, step.uid] = place
        try:
            if written:
                begun = time.monotonic()
                self._disk.sync_all(self._layout.root)
                self._flushing = time.monotonic() - begun
                touched = set()
            # a directory that files came to before the one that they left: no power cut finds
            # them in neither
            for path in sorted(touched, key=lambda path: (path == self._layout.tmp, path)):
                self._disk.sync_directory(path)
        except MailError as error:
            _log.warn("files were not flushed, which is tried again: {error}", error=error)
            with self._turn:
                self._doing.touch_again(touched, written)
            self._unflushed = True
            self._retry_at = time.monotonic() + self._retry_seconds
            self.settle_again(done)
            return [], {}
        self._unflushed = False
        return done, places

    # doing; all below with the turn held

    def _do(self, steps: Iterable[Step], in_hand: Mapping[int, InHand] | None = None) -> None:
        """Do steps; measure each directory once before and once after."""
        before: dict[int, tuple[Folder, tuple[int, int]]] = {}
        stuck = {step.mailbox for step in self._failed}
        self._doing.begin()
        for step in steps:
            try:
                folder = self._folders.known(step.mailbox)
                if step.mailbox in stuck:
                    self._failed.append(step)  # what is before it has to be done first
                    continue
                if folder is not None and folder.mailbox not in before and step.uid:
                    before[folder.mailbox] = folder, self._folders.stamps(folder)
                self._doing.do(step, folder, in_hand.get(step.number) if in_hand else None)
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
                    folder.ours = folder.ours or self._doing.unwatched
