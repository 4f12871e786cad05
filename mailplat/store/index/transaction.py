"""One transaction of the writer, which many operations share.

Invariants: the rows of homes and mailboxes are read once and changed in place; their changes, and
inserted rows, are written before any statement that could see them, and before the commit.  An
operation that raised before it wrote anything has changed nothing; `writes` tells.

Ids and UIDVALIDITYs come from counters that only rise, also past deleted homes.  All changes of one
operation in one home share one MODSEQ.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailplat.model.numset import NumSet
from mailplat.store.index import statements
from mailplat.store.index.database import ANYTHING, EVERYTHING, Connection, Dialect, Row, Touched
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow

__all__ = [
    "ContentsGone",
    "Event",
    "HomeChanged",
    "HomeGone",
    "MailboxChanged",
    "MailboxCompleted",
    "MailboxGone",
    "OthersWrote",
    "RowCache",
    "Transaction",
    "touched_by",
]


@dataclass(slots=True)
class MailboxChanged:
    """What one operation did to one mailbox; readers keep their memory in step by it.

    Attributes:
        home: The home afterwards.
        mailbox: The mailbox afterwards.
        previous: The mailbox's MODSEQ before; who stands elsewhere missed something.
        added: Messages that came, ascending.
        changed: UIDs whose flags changed, with their flags now.
        removed: UIDs that are gone; of some, where their bytes are until they are dropped.
    """

    home: HomeRow
    mailbox: MailboxRow
    previous: int
    added: list[MessageRow] = field(default_factory=list)
    changed: dict[int, int] = field(default_factory=dict)
    removed: NumSet = field(default_factory=NumSet)
    gone: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class MailboxCompleted:
    """Messages that had no content have one now (see `completing`).

    Attributes:
        home: The home afterwards.
        mailbox: The mailbox afterwards.
        filled: Content and size of each, by UID.
    """

    home: HomeRow
    mailbox: MailboxRow
    filled: dict[int, tuple[int, int]]


@dataclass(slots=True)
class HomeChanged:
    """Mailboxes came, went or were renamed; or subscriptions or limits changed.

    Attributes:
        home: The home afterwards.
        mailboxes: All mailboxes, afterwards.
        subscriptions: All subscribed names, afterwards.
        names: Names of mailboxes that watchers are told of.
    """

    home: HomeRow
    mailboxes: Sequence[MailboxRow]
    subscriptions: frozenset[str]
    names: frozenset[str]


@dataclass(slots=True)
class MailboxGone:
    """A mailbox was deleted; of some messages, where their bytes are until they are dropped."""

    mailbox: MailboxRow
    gone: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class HomeGone:
    """A home was deleted, after its mailboxes."""

    home: HomeRow


@dataclass(slots=True)
class ContentsGone:
    """So many contents were dropped."""

    count: int


@dataclass(slots=True)
class OthersWrote:
    """Somebody else wrote into the database: what is in memory of it has to be read again."""

    touched: Touched = EVERYTHING


Event = (
    MailboxChanged
    | MailboxCompleted
    | HomeChanged
    | MailboxGone
    | HomeGone
    | ContentsGone
    | OthersWrote
)


def touched_by(events: Iterable[Event]) -> Touched:
    """Say what changes concern, for other processes."""
    touched = set()
    for event in events:
        match event:
            case MailboxChanged() | MailboxGone():
                touched.add((event.mailbox.home, event.mailbox.id))
            case HomeChanged() | HomeGone():
                touched.add((event.home.id, 0))
    return frozenset(touched)


class RowCache:
    """Rows of homes and mailboxes that the writer keeps from one transaction to the next.

    Args:
        limit: Rows of each kind; when there are more, all are forgotten.
    """

    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything: after a rollback, or when somebody else wrote."""
        self.homes: dict[int, HomeRow] = {}
        self.accounts: dict[str, HomeRow] = {}
        self.mailboxes: dict[int, MailboxRow] = {}
        self.names: dict[tuple[int, str], MailboxRow] = {}
        self.counters: dict[str, int] = {}

    def forget(self, touched: Touched) -> None:
        """Forget what others changed."""
        if touched in (ANYTHING, EVERYTHING):
            self.clear()
            return
        self.counters.clear()
        homes = {home for home, _ in touched}
        for home in homes:
            row = self.homes.pop(home, None)
            if row is not None:
                del self.accounts[row.account]
        for mailbox in [row for row in self.mailboxes.values() if row.home in homes]:
            del self.mailboxes[mailbox.id]
            self.names.pop((mailbox.home, mailbox.name), None)

    def trim(self) -> None:
        """Forget everything if it has become too much."""
        if len(self.homes) > self.limit or len(self.mailboxes) > self.limit:
            self.clear()


class Transaction:
    """What an operation works with; belongs to the writer's thread.

    Args:
        connection: In a transaction.
        cache: Rows known from before.
        now: Seconds since 1970 UTC.
    """

    def __init__(self, connection: Connection, cache: RowCache, now: int) -> None:
        self.now = now
        self.writes = 0
        self._events: list[Event] = []
        self._changes: dict[int, MailboxChanged] = {}
        self._connection = connection
        self._cache = cache
        self._modseqs: dict[int, int] = {}
        self._dirty_homes: dict[int, HomeRow] = {}
        self._dirty_mailboxes: dict[int, MailboxRow] = {}
        self._dirty_counters: set[str] = set()
        self._inserts: dict[statements.Insert, list[Any]] = {}
        self._inserted = 0
        self._before: dict[Hashable, Callable[[], None]] = {}
        self._on_commit: list[Callable[[], None]] = []
        self._on_abort: list[Callable[[], None]] = []

    @property
    def dialect(self) -> Dialect:
        """The database's dialect."""
        return self._connection.dialect

    # statements

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run a query and give its rows."""
        self.flush()
        return self._connection.all(sql, args)

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run a query of at most one row."""
        self.flush()
        return self._connection.one(sql, args)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run a statement that writes; give how many rows it concerned."""
        self.flush()
        self.writes += 1
        return self._connection.run(sql, args)

    def insert(self, into: statements.Insert, *values: Any) -> None:
        """Insert a row; it is written together with others."""
        self.writes += 1
        self._inserts.setdefault(into, []).extend(values)
        self._inserted += 1
        if self._inserted >= _INSERTS_HELD:
            self._flush_inserts()

    def flush(self) -> None:
        """Write what is held back."""
        if self._inserts:
            self._flush_inserts()
        if self._dirty_homes or self._dirty_mailboxes or self._dirty_counters:
            self._flush_rows()

    def _flush_inserts(self) -> None:
        held, self._inserts, self._inserted = self._inserts, {}, 0
        for into, values in held.items():
            for sql, start, stop in into.pieces(len(values)):
                self._connection.run(sql, values[start:stop])

    def _flush_rows(self) -> None:
        run = self._connection.run
        for home in self._dirty_homes.values():
            run(statements.SET_HOME, statements.home_values(home))
        for mailbox in self._dirty_mailboxes.values():
            run(statements.SET_MAILBOX, statements.mailbox_values(mailbox))
        for name in self._dirty_counters:
            run(statements.SET_COUNTER, (self._cache.counters[name], name))
        self._dirty_homes.clear()
        self._dirty_mailboxes.clear()
        self._dirty_counters.clear()

    # rows

    def find_home(self, account: str) -> HomeRow | None:
        """Find an account's home."""
        home = self._cache.accounts.get(account)
        if home is None:
            row = self._connection.one(statements.HOME_OF_ACCOUNT, (account,))
            home = self._keep_home(HomeRow(*row)) if row else None
        return home

    def home(self, home_id: int) -> HomeRow | None:
        """Find a home by its id."""
        home = self._cache.homes.get(home_id)
        if home is None:
            row = self._connection.one(statements.HOME, (home_id,))
            home = self._keep_home(HomeRow(*row)) if row else None
        return home

    def find_mailbox(self, home: HomeRow, name: str) -> MailboxRow | None:
        """Find a mailbox by its name."""
        mailbox = self._cache.names.get((home.id, name))
        if mailbox is None:
            row = self._connection.one(statements.MAILBOX_OF_NAME, (home.id, name))
            mailbox = self._keep_mailbox(statements.mailbox_row(row)) if row else None
        return mailbox

    def mailbox(self, mailbox_id: int) -> MailboxRow | None:
        """Find a mailbox by its id."""
        mailbox = self._cache.mailboxes.get(mailbox_id)
        if mailbox is None:
            row = self._connection.one(statements.MAILBOX, (mailbox_id,))
            mailbox = self._keep_mailbox(statements.mailbox_row(row)) if row else None
        return mailbox

    def all_mailboxes(self, home: HomeRow) -> list[MailboxRow]:
        """Read all mailboxes of a home, by name."""
        found = []
        for row in self.all(statements.MAILBOXES_OF_HOME, (home.id,)):
            known = self._cache.mailboxes.get(row[0])
            found.append(known or self._keep_mailbox(statements.mailbox_row(row)))
        return found

    def _keep_home(self, home: HomeRow) -> HomeRow:
        self._cache.homes[home.id] = self._cache.accounts[home.account] = home
        return home

    def _keep_mailbox(self, mailbox: MailboxRow) -> MailboxRow:
        self._cache.mailboxes[mailbox.id] = mailbox
        self._cache.names[mailbox.home, mailbox.name] = mailbox
        return mailbox

    def insert_home(self, home: HomeRow) -> None:
        """Insert a home; it is found from now on."""
        self.insert(
            statements.HOMES,
            home.id,
            home.account,
            home.modseq,
            home.storage,
            home.messages,
            home.limited,
            home.storage_limit,
            home.messages_limit,
        )
        self._keep_home(home)

    def insert_mailbox(self, mailbox: MailboxRow) -> None:
        """Insert a mailbox; it is found from now on."""
        self.insert(
            statements.MAILBOXES,
            mailbox.id,
            mailbox.home,
            mailbox.name,
            mailbox.mailbox_id,
            mailbox.uid_validity,
            mailbox.uid_next,
            mailbox.modseq,
            mailbox.recent_uid,
            mailbox.messages,
            mailbox.recent,
            mailbox.unseen,
            mailbox.deleted,
            mailbox.size,
            mailbox.log_start,
            mailbox.log_rows,
            " ".join(mailbox.keywords),
            " ".join(mailbox.special_use),
        )
        self._keep_mailbox(mailbox)

    def touch_home(self, home: HomeRow) -> None:
        """The row was changed: write it."""
        self.writes += 1
        self._dirty_homes[home.id] = home

    def touch_mailbox(self, mailbox: MailboxRow) -> None:
        """The row was changed, in anything but its name: write it."""
        self.writes += 1
        self._dirty_mailboxes[mailbox.id] = mailbox

    def forget_mailbox(self, mailbox: MailboxRow) -> None:
        """The row is deleted, or gets another name."""
        self.flush()
        self._cache.mailboxes.pop(mailbox.id, None)
        self._cache.names.pop((mailbox.home, mailbox.name), None)

    def forget_home(self, home: HomeRow) -> None:
        """The row is deleted."""
        self.flush()
        self._cache.homes.pop(home.id, None)
        self._cache.accounts.pop(home.account, None)

    # numbers

    def next_number(self, counter: str, at_least: int = 0) -> int:
        """Take the next number of a counter of the store."""
        last = self._cache.counters.get(counter)
        if last is None:
            row = self._connection.one(statements.COUNTER, (counter,))
            last = row[0] if row else 0
        self._cache.counters[counter] = number = max(last + 1, at_least)
        self.writes += 1
        self._dirty_counters.add(counter)
        return number

    def modseq(self, home: HomeRow) -> int:
        """Give the MODSEQ of this operation's changes in a home."""
        given = self._modseqs.get(home.id)
        if given is None:
            home.modseq += 1
            self._modseqs[home.id] = given = home.modseq
            self.touch_home(home)
        return given

    # steps outside the database, and news

    def before_commit(self, key: Hashable, step: Callable[[], None]) -> None:
        """Do this once for each key before the commit; where it raises, nothing is committed."""
        self.writes += 1
        self._before[key] = step

    def on_commit(self, step: Callable[[], None]) -> None:
        """Do this after the commit, before anybody is told; what it raises is logged."""
        self._on_commit.append(step)

    def on_abort(self, step: Callable[[], None]) -> None:
        """Undo this if the transaction is rolled back, the newest step first."""
        self.writes += 1
        self._on_abort.append(step)

    def change(self, home: HomeRow, mailbox: MailboxRow) -> MailboxChanged:
        """Note a change to a mailbox: it gets this operation's MODSEQ, and both are written."""
        change = self.note(home, mailbox)
        if mailbox.modseq == change.previous:
            mailbox.modseq = self.modseq(home)
        self.touch_home(home)
        self.touch_mailbox(mailbox)
        return change

    def note(self, home: HomeRow, mailbox: MailboxRow) -> MailboxChanged:
        """Tell of a mailbox's row; a change of it that takes no MODSEQ needs no more."""
        change = self._changes.get(mailbox.id)
        if change is None:
            change = self._changes[mailbox.id] = MailboxChanged(home, mailbox, mailbox.modseq)
            self._events.append(change)
        return change

    def publish(self, event: Event) -> None:
        """Tell this after the commit."""
        self._events.append(event)

    # for the writer

    def next_operation(self) -> None:
        """Another operation follows: it gets its own events and its own MODSEQ."""
        self._events = []
        self._changes = {}
        self._modseqs = {}

    def take_events(self) -> list[Event]:
        """The operation is through: give what it did, with copies of rows as they are now."""
        for change in self._changes.values():
            # a statement in between may have written them half changed
            self._dirty_homes[change.home.id] = change.home
            self._dirty_mailboxes[change.mailbox.id] = change.mailbox
            change.home, change.mailbox = change.home.copy(), change.mailbox.copy()
        return self._events

    def finish(self) -> None:
        """Write everything held back, and run what is to come before the commit."""
        self.flush()
        for step in list(self._before.values()):
            step()

    def committed(self) -> list[Callable[[], None]]:
        """The commit went well: give the steps that follow it."""
        self._cache.trim()
        return self._on_commit

    def aborted(self) -> list[Callable[[], None]]:
        """The transaction was rolled back: give the steps that undo, in their order."""
        self._cache.clear()
        return self._on_abort[::-1]


_INSERTS_HELD = 512
"""Inserted rows held back until they are written; bounds the memory that they take."""
