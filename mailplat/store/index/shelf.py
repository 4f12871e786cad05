"""What the store holds in memory: homes, and the columns of mailboxes that are open.

Everything here belongs to the reactor's thread.  The writer's events change it in the order of the
commits; what is read anew meanwhile waits for the events that came during the reading.

Invariants: what somebody holds (an `IHome`, an open mailbox) is found here as long as they hold
it, so there is one copy of it and it is kept in step.  What nobody holds stays while there is room:
homes under a number, closed mailboxes under a number of bytes.  Bytes of expunged messages are
dropped when no open handle stands before the change (rule 6 of the store).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailplat.model.errors import NoSuchMailbox
from mailplat.store.index.columns import Columns, Loaded, News
from mailplat.store.index.database import ANYTHING, EVERYTHING, Touched
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.transaction import (
    Event,
    HomeChanged,
    HomeGone,
    MailboxChanged,
    MailboxCompleted,
    MailboxGone,
    OthersWrote,
)
from mailplat.store.index.watches import Watchers

__all__ = ["HeldHome", "HeldMailbox", "Shelf"]

_log = Logger()

_OfMailbox = MailboxChanged | MailboxCompleted | MailboxGone
"""Events that an open mailbox follows."""

_ALL_MODSEQS = (1 << 62) - 1


class HeldHome:
    """A home in memory: its mailboxes with their counters, and its subscriptions.

    Attributes:
        row: The home.
        by_name: Its mailboxes.
        subscriptions: The names on the subscription list.
        watchers: Told names of mailboxes.
        leased: Whether somebody has the maildrop.
        stale: Read it anew before using it.
        gone: The home was deleted.
    """

    def __init__(self, event: HomeChanged, watched: set[object]) -> None:
        self.watchers: Watchers[[str]] = Watchers(self, watched)
        self.leased = False
        self.gone = False
        self.adopt(event)

    def adopt(self, event: HomeChanged) -> None:
        """Take what is there now."""
        self.row: HomeRow = event.home
        self.by_name: dict[str, MailboxRow] = {m.name: m for m in event.mailboxes}
        self.by_id: dict[int, MailboxRow] = {m.id: m for m in event.mailboxes}
        self.subscriptions = event.subscriptions
        self.stale = False

    def apply(self, event: MailboxChanged | MailboxCompleted) -> None:
        """Take new counters in."""
        self.row = event.home
        row = event.mailbox
        if row.id in self.by_id:
            self.by_id[row.id] = self.by_name[row.name] = row


class HeldMailbox:
    """An open mailbox in memory, with those who have it open.

    Attributes:
        columns: Its messages.
        watchers: Told that there is something new.
    """

    def __init__(self, columns: Columns, watched: set[object]) -> None:
        self.columns = columns
        self.watchers: Watchers[[]] = Watchers(self, watched)
        self.handles = 0
        self._positions: dict[int, int] = {}

    def take_position(self, modseq: int) -> None:
        """A handle stands here: it may show what vanished later."""
        self._positions[modseq] = self._positions.get(modseq, 0) + 1

    def leave_position(self, modseq: int) -> None:
        """A handle stands here no more."""
        left = self._positions[modseq] - 1
        if left:
            self._positions[modseq] = left
        else:
            del self._positions[modseq]

    @property
    def floor(self) -> int:
        """All handles stand here or later."""
        return min(self._positions, default=_ALL_MODSEQS)


class Shelf:
    """All homes and mailboxes that are in memory.

    Args:
        load: Reads a mailbox by its id, or only what happened after a MODSEQ; None if it is not
            there.
        collect: Drops bytes of a mailbox's messages that were expunged up to a MODSEQ.
        homes_limit: Homes to keep that nobody holds.
        closed_bytes: Memory for mailboxes that nobody has open.
    """

    def __init__(
        self,
        load: Callable[[int, int | None], Deferred[Loaded | News | None]],
        collect: Callable[[int, int], None],
        *,
        homes_limit: int,
        closed_bytes: int,
    ) -> None:
        self._load = load
        self._collect = collect
        self._homes_limit = homes_limit
        self._closed_limit = closed_bytes
        self._homes: WeakValueDictionary[int, HeldHome] = WeakValueDictionary()
        self._accounts: WeakValueDictionary[str, HeldHome] = WeakValueDictionary()
        self._kept_homes: OrderedDict[int, HeldHome] = OrderedDict()
        self._watched: set[object] = set()
        self._mailboxes: dict[int, HeldMailbox] = {}
        self._closed: OrderedDict[int, int] = OrderedDict()
        self._closed_bytes = 0
        self._loading: dict[int, tuple[list[_OfMailbox], list[Deferred[None]]]]
        self._loading = {}

    # finding

    def find_home(self, account: str) -> HeldHome | None:
        """Find a home that is in memory and up to date."""
        home = self._accounts.get(account)
        if home is None or home.stale:
            return None
        if home.row.id in self._kept_homes:
            self._kept_homes.move_to_end(home.row.id)
        return home

    async def open_mailbox(self, mailbox_id: int) -> HeldMailbox:
        """Find a mailbox's columns, or read them; the caller calls `close_mailbox` once.

        Raises:
            NoSuchMailbox: It is not there any more.
        """
        held = self._mailboxes.get(mailbox_id)
        while held is None or held.columns.stale:
            await self._read(mailbox_id)
            held = self._mailboxes.get(mailbox_id)
        if not held.handles:
            self._closed_bytes -= self._closed.pop(mailbox_id, 0)
        held.handles += 1
        return held

    async def refresh(self, held: HeldMailbox) -> None:
        """Read anew what is stale."""
        while held.columns.stale and not held.columns.gone:
            await self._read(held.columns.id)

    async def _read(self, mailbox_id: int) -> None:
        """Read a mailbox, together with everybody else who wants it now."""
        waiting = self._loading.get(mailbox_id)
        if waiting is not None:
            done: Deferred[None] = Deferred()
            waiting[1].append(done)
            await done
            return
        missed: list[_OfMailbox] = []
        waiters: list[Deferred[None]] = []
        self._loading[mailbox_id] = missed, waiters
        try:
            before = self._mailboxes.get(mailbox_id)
            trusted = before is not None and not before.columns.doubtful
            since = before.columns.modseq if before is not None and trusted else None
            loaded = await self._load(mailbox_id, since)
        except Exception as error:
            del self._loading[mailbox_id]
            for waiter in waiters:
                waiter.errback(error)
            raise
        del self._loading[mailbox_id]
        if isinstance(loaded, News):
            assert before is not None
            before.columns.catch_up(loaded)
        elif loaded is not None:
            self._take(loaded)
        for event in missed:
            self._apply(event)
        held = self._mailboxes.get(mailbox_id)
        if loaded is None and held is not None:
            held.columns.gone = True
        if held is not None and not held.handles:
            self._keep_closed(held, wanted=True)
        for waiter in waiters:
            waiter.callback(None)
        if loaded is None:
            raise NoSuchMailbox("the mailbox was deleted")

    def _take(self, loaded: Loaded) -> None:
        held = self._mailboxes.get(loaded.row.id)
        if held is None:
            self._mailboxes[loaded.row.id] = HeldMailbox(Columns(loaded), self._watched)
        else:
            held.columns.adopt(loaded)

    # letting go

    def close_mailbox(self, held: HeldMailbox) -> None:
        """One handle less."""
        held.handles -= 1
        self.settle(held)
        if not held.handles:
            self._keep_closed(held)

    def _keep_closed(self, held: HeldMailbox, *, wanted: bool = False) -> None:
        """Keep what nobody has open while there is room, or if somebody is about to open it."""
        columns = held.columns
        if columns.gone:
            self._mailboxes.pop(columns.id, None)
            return
        self._closed_bytes -= self._closed.pop(columns.id, 0)
        self._closed[columns.id] = columns.bytes
        self._closed_bytes += columns.bytes
        while self._closed_bytes > self._closed_limit and len(self._closed) > wanted:
            oldest, size = self._closed.popitem(last=False)
            self._closed_bytes -= size
            del self._mailboxes[oldest]

    def settle(self, held: HeldMailbox) -> None:
        """A handle moved on: drop what nobody needs now."""
        columns = held.columns
        if columns.gone:
            if not held.handles:
                self._collect(columns.id, _ALL_MODSEQS)
            return
        if not columns.ghosts:
            return
        floor = held.floor
        oldest = next(iter(columns.ghosts.values())).modseq
        if oldest <= floor:
            floor = min(floor, columns.modseq)
            columns.forget_ghosts(floor)
            self._collect(columns.id, floor)

    def _keep_home(self, home: HeldHome) -> None:
        self._homes[home.row.id] = self._accounts[home.row.account] = home
        self._kept_homes[home.row.id] = home
        while len(self._kept_homes) > self._homes_limit:
            self._kept_homes.popitem(last=False)

    # events

    def publish(self, events: Sequence[Event]) -> Callable[[], None]:
        """Take changes in, in the order of the commits; give what tells the watchers."""
        mailboxes: dict[int, HeldMailbox] = {}
        names: dict[tuple[int, str], HeldHome] = {}
        for event in events:
            try:
                self._publish(event, mailboxes, names)
            except Exception:
                _log.failure("a change could not be taken in; everything is read anew")
                self._distrust(mailboxes, names)
        notices = [held.watchers.notice() for held in mailboxes.values()]
        notices += [home.watchers.notice(name) for (_, name), home in names.items()]
        return partial(_tell, notices)

    def _publish(
        self,
        event: Event,
        mailboxes: dict[int, HeldMailbox],
        names: dict[tuple[int, str], HeldHome],
    ) -> None:
        match event:
            case MailboxChanged():
                home = self._homes.get(event.home.id)
                if home is not None:
                    home.apply(event)
                    names[event.home.id, event.mailbox.name] = home
                self._apply_or_wait(event)
                held = self._mailboxes.get(event.mailbox.id)
                if held is not None:
                    mailboxes[event.mailbox.id] = held
                if event.removed and (held is None or not held.handles):
                    self._collect(event.mailbox.id, event.mailbox.modseq)
            case MailboxCompleted():
                home = self._homes.get(event.home.id)
                if home is not None:
                    home.apply(event)
                self._apply_or_wait(event)
            case HomeChanged():
                home = self._homes.get(event.home.id)
                if home is None:
                    self._keep_home(home := HeldHome(event, self._watched))
                else:
                    home.adopt(event)
                for name in event.names:
                    names[event.home.id, name] = home
            case MailboxGone():
                self._apply_or_wait(event)
                held = self._mailboxes.get(event.mailbox.id)
                if held is not None:
                    mailboxes[event.mailbox.id] = held
                if held is None or not held.handles:
                    self._collect(event.mailbox.id, _ALL_MODSEQS)
                    if held is not None:
                        self._drop_closed(held)
            case HomeGone():
                home = self._homes.pop(event.home.id, None)
                self._accounts.pop(event.home.account, None)
                self._kept_homes.pop(event.home.id, None)
                if home is not None:
                    for name in home.by_name:
                        names[event.home.id, name] = home
                    home.gone = True
                    home.by_name, home.by_id = {}, {}
            case OthersWrote() if event.touched == EVERYTHING:
                self._distrust(mailboxes, names)
            case OthersWrote() if event.touched == ANYTHING:
                self._distrust(mailboxes, names, doubtful=False)
            case OthersWrote():
                self._outdate(event.touched, mailboxes, names)

    def _outdate(
        self,
        touched: Touched,
        mailboxes: dict[int, HeldMailbox],
        names: dict[tuple[int, str], HeldHome],
    ) -> None:
        """Something changed: read that when it is used, and tell who watches it."""
        for home_id, mailbox_id in touched:
            home = self._homes.get(home_id)
            if home is not None:
                home.stale = True
                row = home.by_id.get(mailbox_id)
                for name in home.by_name if row is None else [row.name]:
                    names[home_id, name] = home
            held = self._mailboxes.get(mailbox_id)
            if held is not None:
                held.columns.stale = True
                mailboxes[mailbox_id] = held

    def _distrust(
        self,
        mailboxes: dict[int, HeldMailbox],
        names: dict[tuple[int, str], HeldHome],
        doubtful: bool = True,
    ) -> None:
        """Anything may have changed: read it when it is used, and tell everybody.

        If that is doubtful, mailboxes are read anew; else only what their logs tell.
        """
        for home in list(self._homes.values()):
            home.stale = True
            for name in home.by_name:
                names[home.row.id, name] = home
        for mailbox_id, held in self._mailboxes.items():
            held.columns.stale = True
            held.columns.doubtful = held.columns.doubtful or doubtful
            mailboxes[mailbox_id] = held

    def _apply_or_wait(self, event: _OfMailbox) -> None:
        loading = self._loading.get(event.mailbox.id)
        if loading is not None:
            loading[0].append(event)
        else:
            self._apply(event)

    def _apply(self, event: _OfMailbox) -> None:
        held = self._mailboxes.get(event.mailbox.id)
        if held is None:
            return
        columns = held.columns
        if isinstance(event, MailboxGone):
            columns.gone = True
            columns.gone_places = event.gone
            return
        if isinstance(event, MailboxCompleted):
            columns.complete(event.filled)
            return
        columns.apply(event)
        if not held.handles:
            columns.ghosts.clear()
            if event.mailbox.id in self._closed:
                self._keep_closed(held)

    def _drop_closed(self, held: HeldMailbox) -> None:
        self._closed_bytes -= self._closed.pop(held.columns.id, 0)
        self._mailboxes.pop(held.columns.id, None)


def _tell(notices: Sequence[Callable[[], None]]) -> None:
    for notice in notices:
        notice()
