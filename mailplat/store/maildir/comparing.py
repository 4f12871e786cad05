"""Brings what another program did to one mailbox's files into the index.

A message counts as removed when two listings in succession miss it: one may miss a file that is
being renamed.  Flags that another program changed are merged: what it added is added, what it took
away is taken away, and flags that no letter stands for stay.

Invariants: what is known is read before the listing, and whatever the listing said is checked once
more in the transaction (see `changes`); what is unclear is listed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from mailplat.model.errors import NoSuchMailbox, Unavailable
from mailplat.store.index.database import Connection
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.carried import is_row
from mailplat.store.maildir.changes import add_files, apply_changes, look_at
from mailplat.store.maildir.completing import Completing
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.folders import Folder, Stamps, lasting
from mailplat.store.maildir.layout import location_name, native
from mailplat.store.maildir.listing import Difference, base_of, difference, locations
from mailplat.store.maildir.uidlist import UidList

__all__ = ["Comparing", "OutsideLimits"]

_ROUNDS = 5
"""Listings in one run, if each finds something that goes on changing."""

_KNOWN = "SELECT place, uid FROM messages WHERE mailbox = ?"
_NEXT = "SELECT uid_next FROM mailboxes WHERE id = ?"


@dataclass(frozen=True, slots=True)
class OutsideLimits:
    """How other programs' changes are noticed.

    Attributes:
        look_seconds: How old what was seen of a mailbox may be when it is asked for, where the
            kernel tells nothing; also of a home's list of mailboxes.
        poll_seconds: How often mailboxes in use are looked at although the kernel would tell:
            it does not tell what another machine does on a shared file system.
        notice_seconds: How long a mailbox that was just listed is left alone.
        relist_seconds: How long a mailbox that we changed, while the kernel told nothing, is
            believed without a listing.
        watches: Mailboxes that the kernel tells of at once; 0 does without.
        chunk: Files read before what they say is committed.
        rows: Files that get UIDs in one commit.
        complete_seconds: How long the reading of new files waits for clients that come first.
    """

    look_seconds: float = 1.0
    poll_seconds: float = 30.0
    notice_seconds: float = 0.1
    relist_seconds: int = 60
    watches: int = 4096
    chunk: int = 256
    rows: int = 4096
    complete_seconds: float = 0.2


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a listing said."""

    difference: Difference
    known: Mapping[int, str]
    since_uid: int
    stamps: Stamps
    moment: int


class Comparing:
    """Compares mailboxes with the index.

    Args:
        bodies: Whose.
        pool: Its threads read.
        store: The index.
        reactor: Its thread gets the results.
        limits: How.
        completing: Reads the files later.
        is_told: Whether the kernel tells what others do to a mailbox.
    """

    def __init__(
        self,
        bodies: Deciding,
        pool: ThreadPool,
        store: IndexedStore,
        reactor: Any,
        limits: OutsideLimits,
        is_told: Callable[[int], bool],
        completing: Completing,
    ) -> None:
        self._bodies = bodies
        self._pool = pool
        self._store = store
        self._reactor = reactor
        self._limits = limits
        self._is_told = is_told
        self._completing = completing
        self._ignored: dict[int, set[str]] = {}

    def ignore(self, mailbox: int, locations: Sequence[str]) -> None:
        """These are no messages."""
        if locations:
            self._ignored.setdefault(mailbox, set()).update(locations)

    async def bring_in(self, folder: Folder, uidlist: UidList | None = None) -> None:
        """List a mailbox if need be, and bring what changed into the index."""
        try:
            for _ in range(_ROUNDS):
                forced, folder.dirty = folder.dirty, False
                job = partial(self._compare, folder=folder, forced=forced)
                found = await self._store.readers.read(job, folder.directory)
                if found is None:
                    return
                again = await self._apply(folder, found, uidlist)
                if not again and not folder.dirty:
                    self._note_listing(folder, found.stamps, found.moment)
                    return
                folder.dirty = True
            # it goes on changing: enough for now
        except NoSuchMailbox:
            return
        except BaseException:
            folder.dirty = True
            raise

    def _compare(self, connection: Connection, folder: Folder, forced: bool) -> _Compared | None:
        """List a mailbox, unless nothing can have changed; in a reader's thread."""
        bodies, mailbox = self._bodies, folder.mailbox
        stamps = bodies.folders.stamps(folder)
        now = time.time_ns()
        old = folder.ours and now // 10**9 - folder.listed > self._limits.relist_seconds
        if stamps == folder.stamps and not forced and not old:
            return None
        if stamps == (0, 0):
            path = bodies.layout.directory(folder.directory)
            raise Unavailable(f"{path}: there is no Maildir any more")
        next_row = connection.one(_NEXT, (mailbox,))
        if next_row is None:
            return None
        known: dict[str, int] = dict(connection.all(_KNOWN, (mailbox,)))
        ignored = self._ignored.get(mailbox, set())
        found = self._listed(folder, known, ignored)
        if found.missing:
            twice = self._listed(folder, known, ignored)
            missing = set(found.missing) & set(twice.missing)
            found = Difference(twice.added, twice.moved, tuple(sorted(missing)), twice.doubled)
        folder.letters = None  # read anew where they are needed
        if not found:
            self._note_listing(folder, stamps, now)
            return None
        by_uid = {uid: location for location, uid in known.items()}
        return _Compared(found, by_uid, next_row[0], stamps, now)

    def _note_listing(self, folder: Folder, stamps: Stamps, moment: int) -> None:
        """The index has what a listing said."""
        told = self._is_told(folder.mailbox)
        folder.stamps = stamps if told else lasting(stamps, moment)
        folder.listed = moment // 10**9
        folder.ours = False

    def _listed(self, folder: Folder, known: dict[str, int], ignored: set[str]) -> Difference:
        """List a mailbox; ``known`` is brought up to what the journal knows."""
        bodies = self._bodies
        directory = bodies.layout.directory(folder.directory)
        with folder.lock:
            # a row is no file: where the message will be, one may be there or not
            moving = {
                uid: location
                for (mailbox, uid), location in bodies.journal.locations.copy().items()
                if mailbox == folder.mailbox
            }
            unwritten = {uid for uid, location in moving.items() if is_row(location)}
            if moving:
                for location in [at for at, uid in known.items() if uid in moving]:
                    uid = known[location]
                    if uid not in unwritten:
                        del known[location]
                        known[moving[uid]] = uid
            # "new" before "cur": a file on its way from one to the other is seen at least once
            new, cur = (bodies.disk.names(f"{directory}/{sub}") for sub in ("new", "cur"))
        listed = locations(map(location_name, new), map(location_name, cur))
        listed -= ignored
        found = difference(known, listed)
        if unwritten:
            missing = tuple(uid for uid in found.missing if uid not in unwritten)
            found = Difference(found.added, found.moved, missing, found.doubled)
        buried = bodies.journal.buried(folder.mailbox)
        if buried:
            added = tuple(place for place in found.added if base_of(place) not in buried)
            return Difference(added, found.moved, found.missing, found.doubled)
        return found

    async def _apply(self, folder: Folder, found: _Compared, uidlist: UidList | None) -> bool:
        """Bring a difference into the index; whether some of it is still unclear."""
        store, bodies, mailbox = self._store, self._bodies, folder.mailbox
        again = False
        differs = found.difference
        if differs.doubled:
            await self._in_thread(self._rename_doubled, folder, differs.doubled)
            again = True
        if differs.moved or differs.missing:
            operation = partial(
                apply_changes,
                rules=store.rules,
                bodies=bodies,
                mailbox_id=mailbox,
                moved=differs.moved,
                missing={uid: found.known[uid] for uid in differs.missing},
            )
            again |= await store.writer.submit(operation, folder.directory)
        added: Sequence[str] = differs.added
        if not folder.taken_over:
            added = sorted(added, key=partial(_order, uids=uidlist.uids if uidlist else {}))
        for start in range(0, len(added), self._limits.rows):
            some = added[start : start + self._limits.rows]
            files, ignored = await self._in_thread(
                look_at, bodies.disk, bodies.layout, folder, some
            )
            if ignored:
                self._ignored.setdefault(mailbox, set()).update(ignored)
            again |= len(files) + len(ignored) < len(some)
            add = partial(
                add_files,
                rules=store.rules,
                bodies=bodies,
                mailbox_id=mailbox,
                files=files,
                since_uid=found.since_uid,
                uidlist=uidlist,
            )
            await store.writer.submit(add, folder.directory)
            self._completing.soon(mailbox)
        return again

    def _rename_doubled(self, folder: Folder, doubled: Sequence[str]) -> None:
        """Two files with one base are two messages: the second gets a base of its own."""
        bodies = self._bodies
        for location in doubled:
            base, colon, info = location[4:].partition(":")
            name = bodies.names.base_like(base) + colon + info
            directory = f"{bodies.layout.directory(folder.directory)}/{location[:3]}"
            if not _same_file(bodies, folder, location):
                bodies.disk.rename(
                    f"{directory}/{native(location[4:])}", f"{directory}/{native(name)}"
                )

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await deferToThreadPool(self._reactor, self._pool, work, *args)


def _order(location: str, uids: Mapping[str, int]) -> tuple[int, bool, str]:
    """Messages whose UIDs are known come first, in their order; what is in ``new``, last."""
    base = base_of(location)
    return uids.get(base, 1 << 40), location.startswith("new/"), base


def _same_file(bodies: Deciding, folder: Folder, location: str) -> bool:
    """Whether another name with that base is of the same file: a move by link and unlink."""
    path = bodies.layout.path(folder.directory, location)
    status = bodies.disk.status(path)
    return status is None or status.st_nlink > 1
