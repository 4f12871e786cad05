"""`IStore` on the index: the database, its threads, and what is in memory, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.search import ISearchIndex
from mailplat.interfaces.store import IHome, IStore, NewMessage, Target
from mailplat.interfaces.upkeep import Fault, IRepairable
from mailplat.message.scan import ScanLimits
from mailplat.model.account import is_account_name
from mailplat.model.errors import MailError, NoSuchAccount
from mailplat.model.mailbox import Appended, normal_name
from mailplat.model.numset import NumSet
from mailplat.store.index import folders
from mailplat.store.index.blocks import Blocks
from mailplat.store.index.bodies import Bodies
from mailplat.store.index.collecting import collect
from mailplat.store.index.columns import Loaded, News
from mailplat.store.index.database import Connection, Following, IndexDatabase
from mailplat.store.index.deliveries import deliver
from mailplat.store.index.home import IndexedHome
from mailplat.store.index.loading import MailboxReader
from mailplat.store.index.messages import Rules
from mailplat.store.index.readers import Job, Readers
from mailplat.store.index.recent import Recent
from mailplat.store.index.search import Keeper, TextIndex
from mailplat.store.index.search_file import TrigramKeeper
from mailplat.store.index.shelf import HeldHome, Shelf
from mailplat.store.index.summaries import SummaryReader
from mailplat.store.index.transaction import (
    ContentsGone,
    Event,
    MailboxChanged,
    OthersWrote,
    Transaction,
)
from mailplat.store.index.upkeep import Upkeep
from mailplat.store.index.writer import Writer

__all__ = ["IndexLimits", "IndexedStore"]

_log = Logger()


@dataclass(frozen=True, slots=True)
class IndexLimits:
    """What a store may take.

    Attributes:
        reader_threads: Threads that read, each with its connection.
        batch_calls: Operations that share a commit at most.
        batch_bytes: Bytes of messages that share a commit, roughly.
        block_bytes: Memory for summaries that were read.
        recent_bytes: Memory for what was read of single messages.
        recent_body: Bytes of a message that is kept there as a whole, at most.
        closed_bytes: Memory for the columns of mailboxes that nobody has open.
        homes: Homes kept in memory that nobody holds.
        expunge_messages: Messages expunged in one transaction; more are several.
        collect_messages: Expunged messages whose bytes are dropped in one transaction.
        look_seconds: How often to see whether another process wrote, while nobody writes here.
        search_seconds: How long after a commit the search index follows.
        linger_seconds: How long expunged bytes stay at least where other processes work on the
            same database: somebody may show them there.
    """

    reader_threads: int = 2
    batch_calls: int = 512
    batch_bytes: int = 16 << 20
    block_bytes: int = 128 << 20
    recent_bytes: int = 16 << 20
    recent_body: int = 64 << 10
    closed_bytes: int = 32 << 20
    homes: int = 4096
    expunge_messages: int = 1024
    collect_messages: int = 256
    look_seconds: float = 2.0
    search_seconds: float = 1.0
    linger_seconds: float = 60.0


@implementer(IStore, ISearchIndex, IRepairable)
class IndexedStore:
    """Everybody's mail.

    Args:
        database: Where the index is.
        bodies: Where the bytes are.
        settings: What every store is told.
        limits: What it may take.
        keeper: Keeps the text for searches, where the database wants no file beside it.

    Attributes:
        writer: Runs operations; for `Bodies` that find changes of their own.
        readers: Run jobs that read.
        rules: What operations are told.
        text: The search index; None where there is none.
        shares_leases: Whether other processes want to know who has a maildrop.
    """

    def __init__(
        self,
        database: IndexDatabase,
        bodies: Bodies,
        settings: StoreSettings,
        limits: IndexLimits | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        limits = limits or IndexLimits()
        self.bodies = bodies
        self.settings = settings
        self.rules = Rules(bodies, settings.keyword_limit, settings.quota, limits.expunge_messages)
        self.mailbox_reader = MailboxReader(database.dialect)
        self.summaries = SummaryReader(database.dialect, bodies)
        self.blocks = Blocks(limits.block_bytes)
        self.recent = Recent(limits.recent_bytes, limits.recent_body)
        self.shelf = Shelf(
            self._load,
            self._collect,
            homes_limit=limits.homes,
            closed_bytes=limits.closed_bytes,
        )
        self.writer = Writer(
            database,
            settings.reactor,
            self._publish,
            batch_calls=limits.batch_calls,
            batch_bytes=limits.batch_bytes,
        )
        self.readers = Readers(database, settings.reactor, limits.reader_threads)
        path, reactor = database.search_path, settings.reactor
        if keeper is None and path is not None:
            keeper = TrigramKeeper(path, database, bodies, self.writer, reactor)
        self.text: TextIndex | None = None
        if keeper is not None:
            self.text = TextIndex(keeper, reactor, delay=limits.search_seconds)
        self.shares_leases = database.dialect.take_lease is not None
        self._upkeep = Upkeep(self, database.name)
        self._database = database
        self._collect_messages = limits.collect_messages
        self._collecting: dict[int, int] = {}
        self._look_seconds = limits.look_seconds
        self._looking = LoopingCall(self._look)
        self._looking.clock = settings.reactor
        self._linger_seconds = limits.linger_seconds
        self._lingering: dict[Deferred[None], Any] = {}
        self._following: Following | None = database.follow(settings.reactor, self._hear)
        self._news = False
        self._catching_up = False
        self._is_open = False

    # opening and closing

    async def open(self) -> None:
        """See `IStore.open`."""
        try:
            await deferToThread(self._start)
            if self._following is not None:
                await self._following.start()
            await self.bodies.open(self)
            left = await self.readers.read(_left_behind, self._database.name)
            if self._following is None:
                for mailbox_id, modseq in left:
                    while await self._collect_some(mailbox_id, modseq):
                        pass
        except BaseException:
            if self._following is not None:
                await self._following.stop()
            await self.writer.stop()
            await self.readers.stop()
            raise
        self._is_open = True
        if self._following is not None:
            for mailbox_id, modseq in left:
                self._collect(mailbox_id, modseq)
        if self.text is not None:
            self.text.open()
        if self._following is None:
            self._looking.start(self._look_seconds, now=False)

    def _start(self) -> None:
        self._database.create()
        self.writer.start()
        self.readers.start()

    async def close(self) -> None:
        """See `IStore.close`."""
        if self._is_open:
            self._is_open = False
            if self._looking.running:
                self._looking.stop()
            for lingering, call in list(self._lingering.items()):
                call.cancel()
                lingering.callback(None)
            if self._following is not None:
                await self._following.stop()
            if self.text is not None:
                await self.text.close()
            await self.bodies.close()
            await self.writer.stop()
            await self.readers.stop()

    def settled(self) -> Deferred[None]:
        """Wait until memory has every change that was committed before this call."""
        return self.writer.submit(_nothing, self._database.name)

    def _look(self) -> Deferred[None]:
        """See whether another process wrote: the writer tells, as it does before each batch."""
        return self.settled().addErrback(_unavailable)

    def _hear(self) -> None:
        """Another process wrote: look, and again if it writes meanwhile."""
        self._news = True
        if not self._catching_up:
            self._catching_up = True
            Deferred.fromCoroutine(self._look_while_news())

    async def _look_while_news(self) -> None:
        while self._news:
            self._news = False
            await self._look()
        self._catching_up = False

    # homes

    async def open_home(self, account: str) -> IHome:
        """See `IStore.open_home`."""
        if self._following is not None and not self._following.live:
            await self._look()
        return IndexedHome(self, await self._find_home(account))

    async def _find_home(self, account: str) -> HeldHome:
        held = self.shelf.find_home(account)
        while held is None:
            _check(account)
            operation = partial(
                folders.open_home,
                rules=self.rules,
                account=account,
                folders=self.settings.folders,
                tell=True,
            )
            await self.writer.submit(operation, account)
            held = self.shelf.find_home(account)
        return held

    async def accounts(self) -> Sequence[str]:
        """See `IStore.accounts`."""
        return await self.readers.read(_accounts, self._database.name)

    async def delete_home(self, account: str) -> None:
        """See `IStore.delete_home`."""
        operation = partial(folders.delete_home, rules=self.rules, account=account)
        await self.writer.submit(operation, account)

    async def deliver(self, message: NewMessage, targets: Sequence[Target]) -> Sequence[Appended]:
        """See `IStore.deliver`."""
        for target in targets:
            _check(target.account)
        targets = [_normal(target) for target in targets]
        accounts = [target.account for target in targets]
        prepared = await self.bodies.prepare([message], accounts)
        try:
            operation = partial(
                deliver,
                rules=self.rules,
                folders=self.settings.folders,
                message=message,
                prepared=prepared[0],
                targets=targets,
            )
            return await self.writer.submit(operation, " ".join(accounts), message.body.size)
        finally:
            self.bodies.done(prepared)

    # searching

    async def catch_up(self) -> None:
        """See `ISearchIndex.catch_up`."""
        if self.text is not None:
            await self.text.catch_up()

    async def rebuild(self) -> None:
        """See `ISearchIndex.rebuild`."""
        if self.text is not None:
            await self.text.rebuild()

    def _publish(self, events: Sequence[Event]) -> Callable[[], None]:
        """Take changes in, and wake who follows them."""
        if self.text is not None:
            for event in events:
                match event:
                    case ContentsGone(count):
                        self.text.forget(count)
                    case OthersWrote():
                        self.text.wake()
                    case MailboxChanged() if event.added:
                        self.text.wake()
        return self.shelf.publish(events)

    # looking after it

    async def store_faults(self) -> Sequence[Fault]:
        """See `IRepairable.store_faults`."""
        return await self._upkeep.store_faults()

    async def faults(self, account: str) -> Sequence[Fault]:
        """See `IRepairable.faults`."""
        return await self._upkeep.faults(account)

    async def recount(self, account: str) -> None:
        """See `IRepairable.recount`."""
        await self._upkeep.recount(account)

    async def summarize(
        self, account: str, mailbox: str, uids: NumSet, limits: ScanLimits
    ) -> NumSet:
        """See `IRepairable.summarize`."""
        return await self._upkeep.summarize(account, mailbox, uids, limits)

    async def sweep(self) -> int:
        """See `IRepairable.sweep`."""
        return await self._upkeep.sweep()

    # for the shelf

    def _load(self, mailbox_id: int, since: int | None) -> Deferred[Loaded | News | None]:
        job: Job[Loaded | News | None]
        if since is None or self.bodies.has_places:
            job = partial(self.mailbox_reader.load, mailbox_id=mailbox_id)
        else:
            job = partial(self.mailbox_reader.news, mailbox_id=mailbox_id, modseq=since)
        return self.readers.read(job, self._database.name)

    def _collect(self, mailbox_id: int, modseq: int) -> None:
        """Drop bytes off the way of those who wait; what is left undone, `open` does."""
        running = mailbox_id in self._collecting
        self._collecting[mailbox_id] = max(modseq, self._collecting.get(mailbox_id, 0))
        if not running:
            Deferred.fromCoroutine(self._collect_all(mailbox_id))

    async def _collect_all(self, mailbox_id: int) -> None:
        done = 0
        try:
            while self._is_open and done < self._collecting[mailbox_id]:
                done = self._collecting[mailbox_id]
                await self._linger()
                while self._is_open and await self._collect_some(mailbox_id, done):
                    pass
        except Exception as error:
            _log.warn("expunged messages are dropped later: {error}", error=error)
        finally:
            del self._collecting[mailbox_id]

    async def _linger(self) -> None:
        """Leave others time to hear that something is gone, and to be done with it."""
        if self._following is not None and self._linger_seconds:
            waiting: Deferred[None] = Deferred()
            call = self.settings.reactor.callLater(self._linger_seconds, waiting.callback, None)
            self._lingering[waiting] = call
            await waiting
            del self._lingering[waiting]

    def _collect_some(self, mailbox_id: int, modseq: int) -> Deferred[bool]:
        operation = partial(
            collect,
            rules=self.rules,
            mailbox_id=mailbox_id,
            modseq=modseq,
            limit=self._collect_messages,
        )
        return self.writer.submit(operation, self._database.name)


def _check(account: str) -> None:
    if not is_account_name(account):
        raise NoSuchAccount(f"{account!r} cannot be the name of an account")


_normal_name = lru_cache(1024)(normal_name)


def _normal(target: Target) -> Target:
    name = _normal_name(target.mailbox)
    return target if name == target.mailbox else Target(target.account, name, target.flags)


def _unavailable(failure: Failure) -> None:
    """The next one who writes is told."""
    failure.trap(MailError)


def _nothing(tx: Transaction) -> None:
    """Take one's turn."""


def _accounts(connection: Connection) -> list[str]:
    return [row[0] for row in connection.all("SELECT account FROM homes ORDER BY account")]


def _left_behind(connection: Connection) -> list[tuple[int, int]]:
    """Expunged messages that nobody shows any more: for each mailbox, up to which MODSEQ."""
    sql = "SELECT mailbox, max(modseq) FROM dropping GROUP BY mailbox"
    return [(row[0], row[1]) for row in connection.all(sql)]
