"""Finds and mends what is wrong in the index: counters, summaries, rows that belong to nothing.

Invariants: looking changes nothing.  Mending is done in transactions like every other change, so it
may be done while a server works on the same database.  Nothing here ever removes a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from mailplat.interfaces.upkeep import Fault, FaultKind
from mailplat.message.scan import ScanLimits
from mailplat.message.summary import summary_of
from mailplat.model.errors import Corrupt, NoSuchMailbox
from mailplat.model.flags import DELETED, SEEN
from mailplat.model.numset import NumSet
from mailplat.model.summary import SUMMARY_VERSION, Summary
from mailplat.store.index import statements
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection, Row
from mailplat.store.index.folders import publish_home
from mailplat.store.index.names import known_name
from mailplat.store.index.parts import StoreParts
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.schema import CHUNK_BITS
from mailplat.store.index.summaries import replace_content
from mailplat.store.index.transaction import Transaction

__all__ = ["Upkeep"]

_BATCH = 64
"""Messages whose summaries are made before they are written."""

_COUNT = (
    "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT),"
    f" coalesce(sum(CASE WHEN mask & {SEEN} = 0 THEN 1 ELSE 0 END), 0),"
    f" coalesce(sum(CASE WHEN mask & {DELETED} <> 0 THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN uid >= ? THEN 1 ELSE 0 END), 0),"
    " coalesce(max(uid), 0), coalesce(max(modseq), 0) FROM messages WHERE mailbox = ?"
)
_LOG_ROWS = "SELECT count(*) FROM vanished WHERE mailbox = ?"
_WITHOUT = (
    (
        "its summary is missing",
        "SELECT m.uid FROM messages m LEFT JOIN contents c ON c.id = m.content"
        " WHERE m.mailbox = ? AND m.content <> 0 AND c.id IS NULL",
    ),
    (
        "its header is missing",
        "SELECT m.uid FROM messages m LEFT JOIN headers h ON h.content = m.content"
        " WHERE m.mailbox = ? AND m.content <> 0 AND h.content IS NULL",
    ),
    (
        "its summary is of another message",
        "SELECT m.uid FROM messages m JOIN contents c ON c.id = m.content"
        " WHERE m.mailbox = ? AND c.size <> m.size",
    ),
    (
        "its summary is not of this version",
        "SELECT m.uid FROM messages m JOIN contents c ON c.id = m.content"
        f" WHERE m.mailbox = ? AND c.version <> {SUMMARY_VERSION}",
    ),
)
_IN_USE = "(SELECT content FROM messages UNION SELECT content FROM dropping)"
_LEFT = {
    "contents": f"id NOT IN {_IN_USE}",
    "headers": f"content NOT IN {_IN_USE}",
    "shared": f"content NOT IN {_IN_USE}",
    "blobs": "key = '' AND id NOT IN (SELECT blob FROM shared)",
    "bodies": f"id >> {CHUNK_BITS} NOT IN {_IN_USE}"
    f" AND id >> {CHUNK_BITS} NOT IN (SELECT id FROM blobs)",
    "messages": "mailbox NOT IN (SELECT id FROM mailboxes)",
    "vanished": "mailbox NOT IN (SELECT id FROM mailboxes)",
    "mailboxes": "home NOT IN (SELECT id FROM homes)",
    "subscriptions": "home NOT IN (SELECT id FROM homes)",
}
_WANTED = statements.Ranges(
    "{want} SELECT m.uid, m.content, m.size FROM want CROSS JOIN messages m"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last"
)


class _Asked(Protocol):
    """What both a connection and a transaction can be asked."""

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run a query of at most one row."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a mailbox's counters should say."""

    messages: int
    size: int
    unseen: int
    deleted: int
    recent: int
    log_rows: int
    uid_next: int
    modseq: int

    def differences(self, row: MailboxRow) -> Iterator[str]:
        """Say where a row differs."""
        for name in ("messages", "size", "unseen", "deleted", "recent", "log_rows"):
            said, counted = getattr(row, name), getattr(self, name)
            if said != counted:
                yield f"the counter {name!r} says {said}, there are {counted}"
        if row.uid_next < self.uid_next:
            yield f"the next UID would be {row.uid_next}, which was given already"
        if row.modseq < self.modseq:
            yield f"the newest MODSEQ is {self.modseq}, its counter says {row.modseq}"


def _count(asked: _Asked, row: MailboxRow) -> _Counted:
    found = asked.one(_COUNT, (row.recent_uid, row.id))
    log = asked.one(_LOG_ROWS, (row.id,))
    assert found is not None
    assert log is not None
    messages, size, unseen, deleted, recent, last_uid, modseq = found
    return _Counted(messages, size, unseen, deleted, recent, log[0], last_uid + 1, modseq)


class Upkeep:
    """See `IRepairable`, whose methods these are.

    Args:
        store: Whose.
        name: Of its database, for the operator.
    """

    def __init__(self, store: StoreParts, name: str) -> None:
        self._store = store
        self._name = name

    async def store_faults(self) -> Sequence[Fault]:
        """See `IRepairable.store_faults`."""
        found: list[Fault] = []
        for job in (_database_faults, _leftovers):
            try:
                found += await self._store.readers.read(job, self._name)
            except Corrupt as error:
                found.append(Fault(FaultKind.DATABASE, error.reason))
        return [*found, *await self._store.bodies.faults()]

    async def faults(self, account: str) -> Sequence[Fault]:
        """See `IRepairable.faults`."""
        subject = f"{self._name}: {account}"
        try:
            home, rows = await self._store.readers.read(partial(_home, account=account), subject)
        except Corrupt as error:
            return [Fault(FaultKind.DATABASE, error.reason, account)]
        found: list[Fault] = []
        for row in rows:
            try:
                job = partial(_mailbox_faults, account=account, row=row)
                found += await self._store.readers.read(job, subject)
            except Corrupt as error:
                found.append(Fault(FaultKind.DATABASE, error.reason, account, row.name))
        for name, said, counted in (
            ("messages", home.messages, sum(row.messages for row in rows)),
            ("storage", home.storage, sum(row.size for row in rows)),
        ):
            if said != counted:
                what = f"its quota counts {said} ({name}), its mailboxes have {counted}"
                found.append(Fault(FaultKind.COUNT, what, account))
        newest = max((row.modseq for row in rows), default=0)
        if home.modseq < newest:
            what = f"the newest MODSEQ is {newest}, its counter says {home.modseq}"
            found.append(Fault(FaultKind.COUNT, what, account))
        return found

    async def recount(self, account: str) -> None:
        """See `IRepairable.recount`."""
        await self._store.writer.submit(partial(_recount, account=account), account)

    async def summarize(
        self, account: str, mailbox: str, uids: NumSet, limits: ScanLimits
    ) -> NumSet:
        """See `IRepairable.summarize`."""
        subject = f"{account}/{mailbox}"
        name = known_name(mailbox)
        wanted = await self._store.readers.read(
            partial(_wanted, account=account, name=name, uids=uids), subject
        )
        done: list[int] = []
        for start in range(0, len(wanted), _BATCH):
            job = partial(
                _summaries,
                bodies=self._store.bodies,
                wanted=wanted[start : start + _BATCH],
                limits=limits,
            )
            made = await self._store.readers.read(job, subject)
            summaries = {want.content: summary for want, summary in made}
            await self._store.writer.submit(partial(_replace, summaries=summaries), subject)
            done += [want.uid for want, _ in made]
        self._store.blocks.clear()
        self._store.recent.clear()
        return NumSet.of(done)

    async def sweep(self) -> int:
        """See `IRepairable.sweep`."""
        removed = await self._store.writer.submit(_sweep, self._name)
        return removed + await self._store.bodies.sweep()


def _database_faults(connection: Connection) -> list[Fault]:
    return [Fault(FaultKind.DATABASE, line) for line in connection.check()]


def _leftovers(connection: Connection) -> list[Fault]:
    found = []
    for table, left in _LEFT.items():
        (count,) = connection.one(f"SELECT count(*) FROM {table} WHERE {left}") or (0,)
        if count:
            what = f"{count} rows of the table {table} belong to nothing"
            found.append(Fault(FaultKind.LEFTOVER, what))
    return found


def _sweep(tx: Transaction) -> int:
    return sum(tx.run(f"DELETE FROM {table} WHERE {left}") for table, left in _LEFT.items())


def _home(connection: Connection, account: str) -> tuple[HomeRow, list[MailboxRow]]:
    row = connection.one(statements.HOME_OF_ACCOUNT, (account,))
    if row is None:
        raise NoSuchMailbox(f"{account} has no home")
    home = HomeRow(*row)
    rows = connection.all(statements.MAILBOXES_OF_HOME, (home.id,))
    return home, [statements.mailbox_row(row) for row in rows]


def _mailbox_faults(connection: Connection, account: str, row: MailboxRow) -> list[Fault]:
    now = connection.one(statements.MAILBOX, (row.id,))
    if now is None:
        return []  # deleted meanwhile
    row = statements.mailbox_row(now)
    found = [
        Fault(FaultKind.COUNT, what, account, row.name)
        for what in _count(connection, row).differences(row)
    ]
    for what, query in _WITHOUT:
        for (uid,) in connection.all(query, (row.id,)):
            found.append(Fault(FaultKind.SUMMARY, what, account, row.name, uid))
    return found


def _recount(tx: Transaction, account: str) -> None:
    home = tx.find_home(account)
    if home is None:
        raise NoSuchMailbox(f"{account} has no home")
    rows = tx.all_mailboxes(home)
    for row in rows:
        counted = _count(tx, row)
        if any(counted.differences(row)):
            row.messages, row.size = counted.messages, counted.size
            row.unseen, row.deleted = counted.unseen, counted.deleted
            row.recent, row.log_rows = counted.recent, counted.log_rows
            row.uid_next = max(row.uid_next, counted.uid_next)
            row.modseq = max(row.modseq, counted.modseq)
            tx.touch_mailbox(row)
    home.messages = sum(row.messages for row in rows)
    home.storage = sum(row.size for row in rows)
    home.modseq = max([home.modseq, *(row.modseq for row in rows)])
    tx.touch_home(home)
    publish_home(tx, home, [row.name for row in rows])


def _wanted(connection: Connection, account: str, name: str, uids: NumSet) -> list[Wanted]:
    """Find messages of a mailbox."""
    home, _ = _home(connection, account)
    row = connection.one(statements.MAILBOX_OF_NAME, (home.id, name))
    if row is None:
        raise NoSuchMailbox(f"{account}: there is no mailbox {name!r}")
    found = []
    for sql, args in _WANTED.pieces(uids):
        for uid, content, size in connection.all(sql, (*args, row[0])):
            found.append(Wanted(row[0], uid, content, size, "", 0, size))
    return found


def _summaries(
    connection: Connection, bodies: Bodies, wanted: Sequence[Wanted], limits: ScanLimits
) -> list[tuple[Wanted, Summary]]:
    """Make summaries of what can be read."""
    made = []
    for want in wanted:
        data: bytes | None = b""
        if want.size:
            try:
                (data,) = bodies.read(connection, [want])
            except Corrupt:
                continue
        if data is not None:
            made.append((want, summary_of(data, limits)))
    return made


def _replace(tx: Transaction, summaries: dict[int, Summary]) -> None:
    for content, summary in summaries.items():
        replace_content(tx, content, summary)
