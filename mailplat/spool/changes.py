"""What is changed in the spool's database, as functions of a connection within a transaction.

Invariants:

- A lane's ``due`` is the earliest of its recipients'; a lane without recipients is not there.
- A mail without recipients is not there, nor is its body.
- A recipient's ``due`` is null if and only if its mail is held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mailplat.interfaces.spool import Lane, Pending, Settlement
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Deferred
from mailplat.spool.records import (
    notify_of,
    sender_key,
    write_last,
    write_sender,
    write_targets,
)

__all__ = [
    "NewRow",
    "Settled",
    "Settling",
    "accept",
    "block",
    "hold",
    "remove",
    "reroute",
    "retry",
    "settle",
]


@dataclass(frozen=True, slots=True)
class NewRow:
    """A mail that is ready to be written into the database.

    Attributes:
        queue_id: Its name.
        sender: The reverse path.
        pending: All recipients; those of a mail that is not held have a time.
        arrived: Seconds since 1970.
        deadline: When to look at it apart from attempts.
        size: Bytes of its body.
        data: The body, or None if it is in a file.
    """

    queue_id: str
    sender: Sender
    pending: Sequence[Pending]
    arrived: int
    deadline: int
    size: int
    data: bytes | None

    @property
    def held(self) -> bool:
        """Whether it is kept back."""
        return all(one.due is None for one in self.pending)

    @property
    def lanes(self) -> set[Lane]:
        """The lanes that its recipients wait in."""
        return {Lane.of(one.agent, one.recipient.address) for one in self.pending}


@dataclass(frozen=True, slots=True)
class Settling:
    """What is to be noted of one mail.

    Attributes:
        queue_id: Its name.
        settlement: What came of an attempt.
        reports: Its reports, ready to be written.
    """

    queue_id: str
    settlement: Settlement
    reports: Sequence[NewRow] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement, or a removal, did.

    Attributes:
        count: Mails that changed.
        files: Queue ids of mails that are gone, and whose bodies are in files.
    """

    count: int = 0
    files: tuple[str, ...] = ()


def accept(db: sqlite3.Connection, mail: NewRow) -> None:
    """Write a mail; one of that name is not there yet."""
    _refresh(db, _accept(db, mail))


def _accept(db: sqlite3.Connection, mail: NewRow) -> set[int]:
    """Write a mail; give the lanes that it waits in."""
    cursor = db.execute(
        "INSERT INTO mail (queue_id, sender, parameters, arrived, size, held, deadline, in_file)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            mail.queue_id,
            sender_key(mail.sender),
            write_sender(mail.sender),
            mail.arrived,
            mail.size,
            mail.held,
            mail.deadline,
            mail.data is None,
        ),
    )
    row = cursor.lastrowid
    assert row is not None
    if mail.data is not None:
        db.execute("INSERT INTO body (mail, data) VALUES (?, ?)", (row, mail.data))
    return _add(db, row, mail.pending, mail.sender.priority)


def settle(db: sqlite3.Connection, settling: Iterable[Settling]) -> list[Settled]:
    """Note what came of attempts; see `IQueueSpool.settle`."""
    touched: set[int] = set()
    done = [_end(db, one, touched) or _settle(db, one, touched) for one in settling]
    _refresh(db, touched)
    return done


def _end(db: sqlite3.Connection, one: Settling, touched: set[int]) -> Settled | None:
    """Note that the only recipient of an attempt is done with; None where there is more to it."""
    settlement = one.settlement
    if len(settlement.outcomes) != 1 or settlement.added or one.reports or settlement.held:
        return None
    ((recipient, outcome),) = settlement.outcomes.items()
    if isinstance(outcome, Deferred) or settlement.deadline is not None:
        return None
    found = db.execute(_ONE, (one.queue_id, *_named(recipient))).fetchall()
    if len(found) != 1:
        return None
    ((row, in_file, recipient_row, lane, others),) = found
    touched.add(lane)
    db.execute("DELETE FROM recipient WHERE id = ?", (recipient_row,))
    if others:
        return Settled(1)
    return _forget(db, row, one.queue_id if in_file else "")


def _settle(db: sqlite3.Connection, one: Settling, touched: set[int]) -> Settled:
    """Note anything; the lanes whose recipients change are added to ``touched``."""
    queue_id, settlement = one.queue_id, one.settlement
    found = db.execute(
        f"SELECT id, held, in_file, {_PRIORITY} FROM mail WHERE queue_id = ?", (queue_id,)
    ).fetchone()
    if found is None:
        return Settled()
    row, held, in_file, priority = found
    known = 0
    for recipient, outcome in settlement.outcomes.items():
        where = (row, *_named(recipient))
        lanes = db.execute(f"SELECT lane FROM recipient WHERE {_NAMED}", where).fetchall()
        touched.update(lane for (lane,) in lanes)
        known += len(lanes)
        if isinstance(outcome, Deferred):
            db.execute(
                f"UPDATE recipient SET attempts = attempts + 1, last = ?, due = ? WHERE {_NAMED}",
                (write_last(outcome), None if held else settlement.due, *where),
            )
        else:
            db.execute(f"DELETE FROM recipient WHERE {_NAMED}", where)
    if settlement.outcomes and not known:
        return Settled()
    there = {
        (local, domain)
        for local, domain in db.execute(
            "SELECT local, domain FROM recipient WHERE mail = ?", (row,)
        )
    }
    touched |= _add(
        db,
        row,
        [
            one if not held else replace(one, due=None)
            for one in settlement.added
            if (one.recipient.address.local, one.recipient.address.domain) not in there
        ],
        priority,
    )
    if settlement.deadline is not None:
        db.execute("UPDATE mail SET deadline = ? WHERE id = ?", (settlement.deadline, row))
    if settlement.held:
        hold(db, [row], True, 0)
    for report in one.reports:
        touched |= _accept(db, report)
    if db.execute("SELECT 1 FROM recipient WHERE mail = ? LIMIT 1", (row,)).fetchone():
        return Settled(1)
    return _forget(db, row, queue_id if in_file else "")


def _forget(db: sqlite3.Connection, row: int, file: str) -> Settled:
    """Remove a mail that has no recipients any more."""
    db.execute("DELETE FROM mail WHERE id = ?", (row,))
    db.execute("DELETE FROM body WHERE mail = ?", (row,))
    return Settled(1, (file,) if file else ())


def block(
    db: sqlite3.Connection, lane: Lane, until: int, failures: int, last: Deferred | None
) -> None:
    """Let a lane rest, or open it."""
    db.execute(
        "UPDATE lane SET blocked = ?, failures = ?, last = ? WHERE agent = ? AND destination = ?",
        (until, failures, write_last(last), lane.agent, lane.destination),
    )


def hold(db: sqlite3.Connection, rows: Sequence[int], held: bool, now: int) -> int:
    """Keep mails back, or let them go on; tell how many changed."""
    changed = [
        row
        for row in rows
        if db.execute(
            "UPDATE mail SET held = ? WHERE id = ? AND held <> ?", (held, row, held)
        ).rowcount
    ]
    lanes = _lanes_of(db, changed)
    due = "NULL" if held else _DUE
    db.executemany(
        f"UPDATE recipient SET due = {due} WHERE mail = :row",
        [{"now": now, "row": row} for row in changed],
    )
    _refresh(db, lanes)
    return len(changed)


def retry(db: sqlite3.Connection, rows: Sequence[int], now: int) -> int:
    """Make mails due now, and open their lanes; tell how many."""
    waiting = [
        row
        for row in rows
        if db.execute(
            f"UPDATE recipient SET due = {_DUE} WHERE mail = :row AND due IS NOT NULL",
            {"now": now, "row": row},
        ).rowcount
    ]
    lanes = _lanes_of(db, waiting)
    db.executemany(
        "UPDATE lane SET blocked = 0, failures = 0 WHERE id = ?", [(lane,) for lane in lanes]
    )
    _refresh(db, lanes)
    return len(waiting)


def remove(db: sqlite3.Connection, rows: Sequence[int]) -> Settled:
    """Throw mails away."""
    lanes = _lanes_of(db, rows)
    files: list[str] = []
    for row in rows:
        queue_id, in_file = db.execute(
            "SELECT queue_id, in_file FROM mail WHERE id = ?", (row,)
        ).fetchone()
        if in_file:
            files.append(queue_id)
    for table, column in (("recipient", "mail"), ("body", "mail"), ("mail", "id")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(row,) for row in rows])
    _refresh(db, lanes)
    return Settled(len(rows), tuple(files))


def reroute(db: sqlite3.Connection, rows: Sequence[int], agent: str, now: int) -> int:
    """Give the recipients of mails to another agent, due now."""
    touched = _lanes_of(db, rows)
    for row in rows:
        found = db.execute("SELECT id, domain FROM recipient WHERE mail = ?", (row,)).fetchall()
        for recipient, domain in found:
            lane = _lane(db, Lane(agent, "" if agent else domain.lower()))
            touched.add(lane)
            db.execute(
                "UPDATE recipient SET lane = :lane, targets = NULL,"
                f" due = iif(due IS NULL, NULL, {_DUE}) WHERE id = :id",
                {"lane": lane, "now": now, "row": row, "id": recipient},
            )
    _refresh(db, touched)
    return len(rows)


_PRIORITY = "coalesce(json_extract(parameters, '$.priority'), 0)"

_DUE = (
    "(SELECT max(:now, arrived + coalesce(json_extract(parameters, '$.hold_for'), 0),"
    " coalesce(json_extract(parameters, '$.hold_until'), 0)) FROM mail WHERE id = :row)"
)
"""The time at once: of a mail with a time of release, not before that (RFC 4865 §4)."""

_ONE = (
    "SELECT m.id, m.in_file, r.id, r.lane,"
    " EXISTS (SELECT 1 FROM recipient o WHERE o.mail = m.id AND o.id <> r.id)"
    " FROM mail m JOIN recipient r ON r.mail = m.id"
    " WHERE m.queue_id = ? AND r.local = ? AND r.domain = ? AND r.notify = ? AND r.original = ?"
)
"""A recipient of a mail, and whether there are others."""

_NAMED = "mail = ? AND local = ? AND domain = ? AND notify = ? AND original = ?"


def _named(recipient: Recipient) -> tuple[str, str, str, str]:
    address = recipient.address
    return address.local, address.domain, notify_of(recipient), recipient.original


def _add(db: sqlite3.Connection, row: int, pending: Iterable[Pending], priority: int) -> set[int]:
    """Write recipients; give the lanes that they wait in."""
    lanes: dict[Lane, int] = {}
    for one in pending:
        lane = Lane.of(one.agent, one.recipient.address)
        if lane not in lanes:
            lanes[lane] = _lane(db, lane)
        db.execute(
            "INSERT INTO recipient"
            " (mail, lane, local, domain, notify, original, attempts, depth, last, due,"
            " priority, targets) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row, lanes[lane], *_named(one.recipient)),
                *(one.attempts, one.depth, write_last(one.last), one.due, priority),
                write_targets(one.targets),
            ),
        )
    return set(lanes.values())


def _lane(db: sqlite3.Connection, lane: Lane) -> int:
    """Find a lane, or make it."""
    names = (lane.agent, lane.destination)
    found = db.execute("SELECT id FROM lane WHERE agent = ? AND destination = ?", names).fetchone()
    if found is not None:
        return int(found[0])
    made = db.execute("INSERT INTO lane (agent, destination) VALUES (?, ?)", names).lastrowid
    assert made is not None
    return made


def _lanes_of(db: sqlite3.Connection, rows: Iterable[int]) -> set[int]:
    return {
        lane
        for row in rows
        for (lane,) in db.execute("SELECT DISTINCT lane FROM recipient WHERE mail = ?", (row,))
    }


def _refresh(db: sqlite3.Connection, lanes: Iterable[int]) -> None:
    """Bring lanes in step with their recipients."""
    for lane in lanes:
        first = db.execute(
            "SELECT due FROM recipient WHERE lane = ? AND due IS NOT NULL ORDER BY due LIMIT 1",
            (lane,),
        ).fetchone()
        if first is not None:
            db.execute(
                "UPDATE lane SET due = ? WHERE id = ? AND due IS NOT ?", (*first, lane, *first)
            )
        elif db.execute("SELECT 1 FROM recipient WHERE lane = ? LIMIT 1", (lane,)).fetchone():
            db.execute("UPDATE lane SET due = NULL WHERE id = ?", (lane,))
        else:
            db.execute("DELETE FROM lane WHERE id = ?", (lane,))
