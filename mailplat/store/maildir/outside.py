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
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailplat.model.errors import MailError
from mailplat.model.numset import NumSet
from mailplat.store.index.database import Connection
from mailplat.store.index.folders import open_home
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.store import IndexedStore
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir import homes, subscriptions
from mailplat.store.maildir.changes import apply_changes
from mailplat.store.maildir.comparing import Comparing, OutsideLimits
from mailplat.store.maildir.completing import Completing
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.folders import Folder, lasting
from mailplat.store.maildir.names import account_directory
from mailplat.store.maildir.notices import Key, Notices, open_notices

__all__ = ["Outside"]

_log = Logger()

_ROUNDS = 5
"""Looks at a home in one run, if each finds mailboxes that come or go."""

_IN_USE_SECONDS = 31 * 60
"""A mailbox that was asked for since is polled (RFC 2177 §3: IDLE ends after 29 minutes)."""


@dataclass(slots=True, eq=False)
class _Home:
    """What was seen of a home."""

    stamp: int = 0
    looked: float = float("-inf")
    dirty: bool = False
    subscribed: tuple[int, int, int] | None = None


class Outside:
    """Looks at homes and mailboxes.

    Args:
        bodies: Whose.
        pool: Its threads read.
        reactor: Clock, threads and file descriptors.
        limits: How.
    """

    def __init__(
        self, bodies: Deciding, pool: ThreadPool, reactor: Any, limits: OutsideLimits
    ) -> None:
        self._bodies = bodies
        self._pool = pool
        self._completing = Completing(
            bodies, pool, reactor, limits.chunk, limits.complete_seconds, self._ignore
        )
        self._reactor = reactor
        self._limits = limits
        self._store: IndexedStore
        self._comparing: Comparing
        self._notices: Notices | None = None
        self._homes: dict[int, _Home] = {}
        self._settled: set[str] = set()
        self._passed: set[str] = set()
        self._waiting: dict[Key, list[Deferred[None]]] = {}
        self._runs: set[Deferred[None]] = set()
        self._later: dict[int, Any] = {}
        self._poll_call: Any = None
        self._open = False

    async def open(self, store: IndexedStore) -> None:
        """Begin."""
        self._store = store
        self._comparing = Comparing(
            self._bodies,
            self._pool,
            store,
            self._reactor,
            self._limits,
            self._told,
            self._completing,
        )
        self._open = True
        self._notices = open_notices(self._reactor, self._tell, self._limits.watches)
        await self._completing.open(store)
        await self._make_homes()
        self._poll_later()

    def _ignore(self, mailbox: int, locations: Sequence[str]) -> None:
        self._comparing.ignore(mailbox, locations)

    async def complete(self, mailbox: int, uids: NumSet) -> None:
        """See `Bodies.complete`; files that were renamed meanwhile are found by a look."""
        await self._completing.complete(mailbox, uids)
        folder = self._bodies.folders.known(mailbox)
        if folder is not None and folder.dirty:
            await self._run(("mailbox", mailbox), partial(self._look_at_mailbox, mailbox))
            await self._completing.complete(mailbox, uids)

    async def _make_homes(self) -> None:
        """Give a home to every account whose Maildir is there; its mail waits until it is used."""
        job = partial(homes.strange_accounts, bodies=self._bodies)
        accounts = await self._store.readers.read(job, self._bodies.layout.root)
        for start in range(0, len(accounts), self._limits.chunk):  # they share commits
            made = []
            for account in accounts[start : start + self._limits.chunk]:
                operation = partial(_find_home, store=self._store, account=account)
                home = self._store.writer.submit(operation, account)
                made.append(home.addErrback(_log_failure))
            await gatherResults(made)

    def _told(self, mailbox: int) -> bool:
        """Whether the kernel tells what other programs do to a mailbox."""
        return self._notices is not None and self._notices.is_watched(("mailbox", mailbox))

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
        await self._completing.close()

    def expect(self, path: str) -> bool:
        """A file is about to change by our own doing; whether others' doings there are told.

        In any thread.
        """
        return self._notices is not None and self._notices.expect(path)

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
            told = self._told(mailbox.id)
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
        return await deferToThreadPool(self._reactor, self._pool, work, *args)

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
            left = [f for f in look.strange if not await self._could_take_over(f)]
            if left:
                return  # whoever asks next tries again; until then nothing gets in there
            seen.stamp = 0
        for folder in look.changed:
            try:
                await self._run(
                    ("mailbox", folder.mailbox), partial(self._look_at_mailbox, folder.mailbox)
                )
            except MailError as error:
                _log.warn("the other mailboxes are served: {error}", error=error)
        if look.stamp and look.subscribed != seen.subscribed:
            await self._run(
                ("subscriptions", home.id), partial(self._subscribe, home.account, home.id)
            )
        seen.looked = now
        self._settled.add(home.account)

    def write_subscriptions(self, account: str, home: int) -> None:
        """What an account is subscribed to was changed here."""
        if self._open:
            work = partial(self._subscribe, account, home)
            self._run(("subscriptions", home), work).addErrback(_log_failure)

    async def _subscribe(self, account: str, home: int) -> None:
        """Bring the list of subscriptions and the index into step; if not now, at a later look."""
        store, disk, moment = self._store, self._bodies.disk, time.time_ns()
        directory = self._bodies.layout.directory(account_directory(account))
        seen = self._homes.get(home) or _Home()
        seen.subscribed = None
        try:
            for _ in range(_ROUNDS):
                listed = await self._in_thread(subscriptions.read_listed, disk, directory)
                found = listed.names
                agreed = partial(subscriptions.is_agreed, home_id=home, found=found)
                if await store.readers.read(agreed, account):
                    lasts = lasting((listed.stamp[0], 0), moment)[0]
                    seen.subscribed = listed.stamp if lasts else None
                    return
                merge = partial(subscriptions.merge, home_id=home, found=found)
                names = await store.writer.submit(merge, account)
                if names is None:
                    return
                replace = partial(subscriptions.replace_file, disk, directory, listed, names)
                if await self._in_thread(replace):
                    written = partial(subscriptions.written, home_id=home, names=names)
                    await store.writer.submit(written, account)
                    return
        except MailError as error:
            _log.info("subscriptions are written later: {error}", error=error)

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

    async def _could_take_over(self, folder: Folder) -> bool:
        try:
            await self._take_over_folder(folder)
        except MailError as error:
            _log.warn("a mailbox is not taken over yet: {error}", error=error)
            return False
        return True

    async def _take_over_folder(self, folder: Folder) -> None:
        store, bodies, number = self._store, self._bodies, folder.mailbox
        legacy = await self._in_thread(homes.read_legacy, bodies, folder)
        kept = False
        if legacy.uidlist is not None:
            operation = partial(homes.begin_taking_over, mailbox_id=number, uidlist=legacy.uidlist)
            kept = await store.writer.submit(operation, folder.directory)
        await self._comparing.bring_in(folder, legacy.uidlist if kept else None)
        if legacy.uidlist is not None:
            await self._in_thread(homes.write_marker, bodies, folder)
        finish = partial(
            homes.finish_taking_over,
            rules=store.rules,
            mailbox_id=number,
            folder=folder,
            legacy=legacy,
            kept=kept,
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
        await self._comparing.bring_in(folder)
        folder.looked = folder.used = now

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


def _find_folder(connection: Connection, bodies: Deciding, mailbox: int) -> Folder | None:
    return bodies.folders.find(mailbox, connection)


def _pass_on(result: object, done: Deferred[None]) -> object:
    done.callback(None)
    return result


def _log_failure(failure: Failure) -> None:
    if failure.check(MailError):
        _log.warn("other programs' changes are looked at later: {error}", error=failure.value)
    else:
        _log.failure("looking at other programs' changes went wrong", failure)
