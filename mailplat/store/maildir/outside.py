"""Notices what other programs do to Maildirs, and brings it into the index.

A mailbox is *looked at* when somebody asks for it, and while it is in use: by the kernel's notices
where there are such, else by the times of its directories (see `folders`); it is listed only if
those say that something changed.  The difference (see `listing`) becomes ordinary transactions of
the index, so that sessions hear of it as of every other change.

A message counts as removed when two listings in succession miss it: one may miss a file that is
being renamed.  Flags that another program changed are merged: what it added is added, what it took
away is taken away, and flags that no letter stands for stay.

Invariants: a mailbox is dealt with by one run at a time, and a look that begins during a run waits
for the next one; so what a look finds was there after it began.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.model.errors import MailError, NoSuchMailbox, Unavailable
from mailplat.store.index.database import Connection
from mailplat.store.index.folders import open_home
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.maildir import homes
from mailplat.store.maildir.changes import add_files, apply_changes, describe
from mailplat.store.maildir.folders import Folder, Stamps, lasting
from mailplat.store.maildir.layout import location_name, native
from mailplat.store.maildir.listing import Difference, base_of, difference, locations
from mailplat.store.maildir.names import account_directory
from mailplat.store.maildir.notices import Key, Notices, open_notices
from mailplat.store.maildir.uidlist import UidList

if TYPE_CHECKING:
    from mailplat.store.index.store import IndexedStore
    from mailplat.store.index.transaction import Transaction
    from mailplat.store.maildir.bodies import MaildirBodies

__all__ = ["Outside", "OutsideLimits"]

_log = Logger()

_ROUNDS = 5
"""Listings in one run, if each finds something that goes on changing."""

_IN_USE_SECONDS = 31 * 60
"""A mailbox that was asked for since is polled (RFC 2177 §3: IDLE ends after 29 minutes)."""

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
        relist_seconds: How long a mailbox that we changed is believed without a listing.
        watches: Mailboxes that the kernel tells of at once; 0 does without.
        chunk: Files read before their rows are committed.
    """

    look_seconds: float = 1.0
    poll_seconds: float = 30.0
    notice_seconds: float = 0.1
    relist_seconds: int = 3600
    watches: int = 4096
    chunk: int = 256


@dataclass(slots=True, eq=False)
class _Home:
    """What was seen of a home."""

    stamp: int = 0
    looked: float = float("-inf")
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a listing said."""

    difference: Difference
    known: Mapping[int, str]
    since_uid: int
    stamps: Stamps
    moment: int


class Outside:
    """Looks at homes and mailboxes.

    Args:
        bodies: Whose.
        reactor: Clock, threads and file descriptors.
        limits: How.
    """

    def __init__(self, bodies: MaildirBodies, reactor: Any, limits: OutsideLimits) -> None:
        self._bodies = bodies
        self._reactor = reactor
        self._limits = limits
        self._store: IndexedStore
        self._notices: Notices | None = None
        self._homes: dict[int, _Home] = {}
        self._settled: set[str] = set()
        self._passed: set[str] = set()
        self._ignored: dict[int, set[str]] = {}
        self._waiting: dict[Key, list[Deferred[None]]] = {}
        self._runs: set[Deferred[None]] = set()
        self._later: dict[int, Any] = {}
        self._poll_call: Any = None
        self._open = False

    async def open(self, store: IndexedStore) -> None:
        """Begin."""
        self._store = store
        self._open = True
        self._notices = open_notices(self._reactor, self._tell, self._limits.watches)
        self._poll_later()

    async def close(self) -> None:
        """End what runs, and listen no more."""
        self._open = False
        for call in (self._poll_call, *self._later.values()):
            if call is not None and call.active():
                call.cancel()
        self._later.clear()
        if self._notices is not None:
            self._notices.close()
        while self._runs:
            done: Deferred[None] = Deferred()
            next(iter(self._runs)).addBoth(_pass_on, done)
            await done

    def expect(self, path: str) -> None:
        """A file is about to change by our own doing.  In any thread."""
        if self._notices is not None:
            self._notices.expect(path)

    # being asked

    def look(self, home: HomeRow, mailbox: MailboxRow | None) -> Awaitable[None] | None:
        """See `Bodies.look`."""
        if not self._open:
            return None
        if self._notices is not None:
            self._notices.read()
        now = self._reactor.seconds()
        if mailbox is None:
            seen = self._homes.get(home.id)
            if (
                seen is not None
                and not seen.dirty
                and home.account in self._settled
                and now - seen.looked < self._limits.look_seconds
            ):
                return None
            return self._run(("home", home.id), partial(self._look_at_home, home))
        folder = self._bodies.folders.known(mailbox.id)
        key = "mailbox", mailbox.id
        if folder is not None and not folder.dirty and key not in self._waiting:
            folder.used = now
            told = self._notices is not None and self._notices.is_watched(key)
            limit = self._limits.poll_seconds if told else self._limits.look_seconds
            if now - folder.looked < limit:
                return None
        return self._run(key, partial(self._look_at_mailbox, mailbox.id))

    def take_over(self, account: str) -> Awaitable[None] | None:
        """Before mail comes for an account: bring in what lies in its directory already."""
        if account in self._settled:
            return None
        return self._take_over(account)

    async def _take_over(self, account: str) -> None:
        directory = self._bodies.layout.directory(account_directory(account))
        status = await self._in_thread(self._bodies.disk.status, f"{directory}/cur")
        if status is None:
            self._settled.add(account)
            return
        operation = partial(_find_home, store=self._store, account=account)
        home = await self._store.writer.submit(operation, account)
        await self._run(("home", home.id), partial(self._look_at_home, home))

    def found(self, account: str) -> None:
        """A mailbox was made where a directory was already.  In the writer's thread."""
        self._settled.discard(account)

    def forget_home(self, account: str, home: int) -> None:
        """A home was deleted.  In the writer's thread."""
        self._settled.discard(account)
        self._homes.pop(home, None)

    def remove(self, mailbox: int, places: Mapping[int, str]) -> None:
        """Messages were to be read whose files are gone."""
        done = self._store.writer.submit(
            partial(
                apply_changes,
                rules=self._store.rules,
                bodies=self._bodies,
                mailbox_id=mailbox,
                moved=(),
                missing=places,
            ),
            f"mailbox {mailbox}",
        )
        done.addErrback(_log_failure)

    # runs: one at a time for each subject

    def _run(self, key: Key, work: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(done)
            return done
        self._waiting[key] = [done]
        run = Deferred.fromCoroutine(self._run_all(key, work))
        self._runs.add(run)
        run.addBoth(self._ran, run)
        return done

    async def _run_all(self, key: Key, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while self._waiting[key]:
            waiters, self._waiting[key] = self._waiting[key], []
            try:
                await work()
            except Exception:
                failure = Failure()
                for waiter in waiters:
                    waiter.errback(failure)
            else:
                for waiter in waiters:
                    waiter.callback(None)
        del self._waiting[key]

    def _ran(self, result: object, run: Deferred[None]) -> object:
        self._runs.discard(run)
        return result

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await deferToThreadPool(self._reactor, self._bodies.pool, work, *args)

    # homes

    async def _look_at_home(self, home: HomeRow) -> None:
        store, bodies = self._store, self._bodies
        seen = self._homes.setdefault(home.id, _Home())
        now, moment = self._reactor.seconds(), time.time_ns()
        seen.dirty = False
        if self._notices is not None:
            path = bodies.layout.directory(account_directory(home.account))
            self._notices.watch(("home", home.id), (path,), b".")
        for _ in range(_ROUNDS):
            job = partial(
                homes.look_at_home,
                bodies=bodies,
                home=home,
                stamp=seen.stamp,
                passed=self._passed,
            )
            look = await store.readers.read(job, home.account)
            seen.stamp = lasting((look.stamp, 0), moment)[0]
            if not (look.new or look.gone or look.strange):
                break
            if look.gone:
                numbers = [folder.mailbox for folder in look.gone]
                operation = partial(
                    homes.forget_folders,
                    rules=store.rules,
                    bodies=bodies,
                    home_id=home.id,
                    gone=numbers,
                )
                await store.writer.submit(operation, home.account)
            if look.new:
                await self._adopt(home, look.new)
            for folder in look.strange:
                await self._take_over_folder(folder)
            seen.stamp = 0
        for folder in look.changed:
            await self._run(
                ("mailbox", folder.mailbox), partial(self._look_at_mailbox, folder.mailbox)
            )
        seen.looked = now
        self._settled.add(home.account)

    async def _adopt(self, home: HomeRow, new: Sequence[tuple[str, str]]) -> None:
        operation = partial(
            homes.adopt_folders,
            rules=self._store.rules,
            bodies=self._bodies,
            home_id=home.id,
            new=new,
        )
        for directory in await self._store.writer.submit(operation, home.account):
            path = self._bodies.layout.directory(directory)
            _log.warn("{path} has the name of another mailbox: it is passed over", path=path)
            self._passed.add(directory)

    async def _take_over_folder(self, folder: Folder) -> None:
        store, bodies, number = self._store, self._bodies, folder.mailbox
        legacy = await self._in_thread(homes.read_legacy, bodies, folder)
        kept = False
        if legacy.uidlist is not None:
            operation = partial(homes.begin_taking_over, mailbox_id=number, uidlist=legacy.uidlist)
            kept = await store.writer.submit(operation, folder.directory)
        await self._bring_in(folder, legacy.uidlist if kept else None)
        if legacy.uidlist is not None:
            await self._in_thread(homes.write_marker, bodies, folder)
        finish = partial(
            homes.finish_taking_over, mailbox_id=number, folder=folder, legacy=legacy, kept=kept
        )
        await store.writer.submit(finish, folder.directory)

    # mailboxes

    async def _look_at_mailbox(self, mailbox: int) -> None:
        bodies = self._bodies
        folder = bodies.folders.known(mailbox)
        if folder is None:
            find = partial(_find_folder, bodies=bodies, mailbox=mailbox)
            folder = await self._store.readers.read(find, f"mailbox {mailbox}")
        if folder is None or folder.deleted or not folder.taken_over:
            return
        now = self._reactor.seconds()
        if self._notices is not None:
            path = bodies.layout.directory(folder.directory)
            self._notices.watch(("mailbox", mailbox), (f"{path}/new", f"{path}/cur"))
        await self._bring_in(folder)
        folder.looked = folder.used = now

    async def _bring_in(self, folder: Folder, uidlist: UidList | None = None) -> None:
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
        told = self._notices is not None and self._notices.is_watched(("mailbox", folder.mailbox))
        folder.stamps = stamps if told else lasting(stamps, moment)
        folder.listed = moment // 10**9
        folder.ours = False

    def _listed(self, folder: Folder, known: dict[str, int], ignored: set[str]) -> Difference:
        """List a mailbox; ``known`` is brought up to what the journal knows."""
        bodies = self._bodies
        directory = bodies.layout.directory(folder.directory)
        with folder.lock:
            moving = {
                uid: location
                for (mailbox, uid), location in bodies.journal.locations.copy().items()
                if mailbox == folder.mailbox
            }
            if moving:
                for location in [location for location, uid in known.items() if uid in moving]:
                    uid = known.pop(location)
                    known[moving[uid]] = uid
            # "new" before "cur": a file on its way from one to the other is seen at least once
            new, cur = (bodies.disk.names(f"{directory}/{sub}") for sub in ("new", "cur"))
        listed = locations(map(location_name, new), map(location_name, cur))
        listed -= ignored
        found = difference(known, listed)
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
        for start in range(0, len(added), self._limits.chunk):
            some = added[start : start + self._limits.chunk]
            files, ignored = await self._in_thread(
                describe, bodies.disk, bodies.layout, folder, some
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
            weight = sum(file.summary.header_size for file in files)
            await store.writer.submit(add, folder.directory, weight)
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

    # being told, and polling

    def _tell(self, key: Key) -> None:
        """The kernel says that another program did something."""
        kind, number = key
        if kind == "home":
            seen = self._homes.get(number)
            if seen is not None:
                seen.dirty = True  # nobody waits for a list of mailboxes: the next one asks
            return
        folder = self._bodies.folders.known(number)
        if folder is None or not self._open:
            return
        folder.dirty = True
        if key in self._waiting or number in self._later:
            return  # a run takes it in, or will
        wait = folder.looked + self._limits.notice_seconds - self._reactor.seconds()
        if wait > 0:
            self._later[number] = self._reactor.callLater(wait, self._follow, number)
        else:
            self._follow(number)

    def _follow(self, mailbox: int) -> None:
        self._later.pop(mailbox, None)
        run = self._run(("mailbox", mailbox), partial(self._look_at_mailbox, mailbox))
        run.addErrback(_log_failure)

    def _poll_later(self) -> None:
        if self._open and self._limits.poll_seconds > 0:
            self._poll_call = self._reactor.callLater(self._limits.poll_seconds, self._poll)

    def _poll(self) -> None:
        since = self._reactor.seconds() - _IN_USE_SECONDS
        used = [folder for folder in self._bodies.folders.all() if folder.used > since]
        run = Deferred.fromCoroutine(self._poll_all(used))
        run.addErrback(_log_failure)
        run.addBoth(lambda _: self._poll_later())

    async def _poll_all(self, used: Sequence[Folder]) -> None:
        for folder in await self._in_thread(self._changed, used) if used else ():
            if self._open:
                self._follow(folder.mailbox)

    def _changed(self, used: Sequence[Folder]) -> list[Folder]:
        stamps = self._bodies.folders.stamps
        return [f for f in used if not f.deleted and (f.dirty or stamps(f) != f.stamps)]


def _find_home(tx: Transaction, store: IndexedStore, account: str) -> HomeRow:
    return open_home(tx, store.rules, account, store.settings.folders, tell=False).copy()


def _find_folder(connection: Connection, bodies: MaildirBodies, mailbox: int) -> Folder | None:
    return bodies.folders.find(mailbox, connection)


def _order(location: str, uids: Mapping[str, int]) -> tuple[int, bool, str]:
    """Messages whose UIDs are known come first, in their order; what is in ``new``, last."""
    base = base_of(location)
    return uids.get(base, 1 << 40), location.startswith("new/"), base


def _same_file(bodies: MaildirBodies, folder: Folder, location: str) -> bool:
    """Whether another name with that base is of the same file: a move by link and unlink."""
    path = bodies.layout.path(folder.directory, location)
    status = bodies.disk.status(path)
    return status is None or status.st_nlink > 1


def _pass_on(result: object, done: Deferred[None]) -> object:
    done.callback(None)
    return result


def _log_failure(failure: Failure) -> None:
    if failure.check(MailError):
        _log.warn("other programs' changes are looked at later: {error}", error=failure.value)
    else:
        _log.failure("looking at other programs' changes went wrong", failure)
