"""What is read from the spool's database, as functions of a connection.

None of these takes longer because the spool is fuller, but those that people ask for by other
things than names, times and senders, and the count of all lanes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from mailplat.interfaces.spool import Lane, LaneState, Pending, Selection, Spooled
from mailplat.spool.records import read_last, read_recipient, read_sender, read_targets

__all__ = [
    "bodies_of",
    "due",
    "existing",
    "files",
    "find",
    "lanes",
    "names_of",
    "next_time",
    "overdue",
    "ready",
    "rows_of",
]

_MAIL = "m.queue_id, m.parameters, m.arrived, m.size, m.held, m.deadline"
_PENDING = (
    "r.local, r.domain, r.notify, r.original, l.agent, r.attempts, coalesce(r.last, l.last),"
    " r.due, r.depth, r.targets"
)
_LANE = "agent, destination, due, blocked, failures, last"
_BANDS = (
    ("r.priority <> 0 AND r.priority > 0", "r.priority DESC, r.due"),
    ("+r.priority = 0", "r.due"),  # the plus keeps the index of times in use
    ("r.priority <> 0 AND r.priority < 0", "r.priority DESC, r.due"),
)
"""Higher priorities go first (RFC 6710 §5.1); a question each, so that each has its index."""
_MANY = 500
"""Values of a list in one statement."""


def ready(db: sqlite3.Connection, now: int, limit: int) -> list[LaneState]:
    """See `IQueueSpool.ready`."""
    rows = db.execute(
        f"SELECT {_LANE} FROM lane WHERE ready <= ? ORDER BY ready LIMIT ?", (now, limit)
    )
    return [_lane_state(row) for row in rows]


def lanes(db: sqlite3.Connection, limit: int) -> list[LaneState]:
    """See `IOperatedSpool.lanes`."""
    rows = db.execute(
        f"SELECT {_LANE}, n FROM lane"
        " JOIN (SELECT lane, count(*) AS n FROM recipient GROUP BY lane) ON lane = id"
        " ORDER BY n DESC, agent, destination LIMIT ?",
        (limit,),
    )
    return [_lane_state(row) for row in rows]


def due(
    db: sqlite3.Connection, lane: Lane, now: int, limit: int, without: Collection[str]
) -> list[Spooled]:
    """See `IQueueSpool.due`."""
    left_out = json.dumps(list(without))  # one statement, however many they are
    found: list[Spooled] = []
    for band, order in _BANDS:
        left = limit - sum(len(mail.pending) for mail in found)
        if left <= 0:
            break
        rows = db.execute(
            f"SELECT {_MAIL}, {_PENDING} FROM recipient r JOIN mail m ON m.id = r.mail"
            " JOIN lane l ON l.id = r.lane"
            " WHERE r.lane = (SELECT id FROM lane WHERE agent = ? AND destination = ?)"
            f" AND {band} AND r.due <= ?"
            " AND m.queue_id NOT IN (SELECT value FROM json_each(?))"
            f" ORDER BY {order}, r.mail, r.id LIMIT ?",
            (lane.agent, lane.destination, now, left_out, left),
        )
        found += _spooled(rows)
    return found


def overdue(db: sqlite3.Connection, now: int, limit: int) -> list[Spooled]:
    """See `IQueueSpool.overdue`."""
    rows = db.execute(
        "SELECT id FROM mail WHERE deadline <= ? AND held = 0 ORDER BY deadline LIMIT ?",
        (now, limit),
    )
    return find(db, [row for (row,) in rows])


def next_time(db: sqlite3.Connection, now: int) -> int | None:
    """See `IQueueSpool.next_time`."""
    times = [
        db.execute(f"SELECT {column} FROM {table} ORDER BY {column} LIMIT 1", (now,)).fetchone()
        for table, column in (
            ("lane WHERE ready > ?", "ready"),
            ("mail WHERE deadline > ? AND held = 0", "deadline"),
        )
    ]
    return min((time for (time,) in filter(None, times)), default=None)


def find(db: sqlite3.Connection, rows: Sequence[int]) -> list[Spooled]:
    """Read mails with all their recipients, in the order of their rows."""
    found: list[Spooled] = []
    for start in range(0, len(rows), _MANY):
        some = rows[start : start + _MANY]
        cursor = db.execute(
            f"SELECT {_MAIL}, {_PENDING} FROM mail m JOIN recipient r ON r.mail = m.id"
            f" JOIN lane l ON l.id = r.lane WHERE m.id IN ({','.join('?' * len(some))})"
            " ORDER BY m.id, r.id",
            some,
        )
        found += _spooled(cursor)
    return found


def rows_of(
    db: sqlite3.Connection, selection: Selection, limit: int, behind: str = ""
) -> list[int]:
    """Find the rows of mails that a selection holds, in the order of their arrival."""
    where, values = _conditions(selection)
    if behind:
        where.append("m.id > (SELECT id FROM mail WHERE queue_id = ?)")
        values.append(behind)
    return [
        row
        for (row,) in db.execute(
            f"SELECT m.id FROM mail m WHERE {' AND '.join(where) or '1'} ORDER BY m.id LIMIT ?",
            (*values, limit),
        )
    ]


def names_of(db: sqlite3.Connection, selection: Selection) -> list[str]:
    """See `IOperatedSpool.names`."""
    where, values = _conditions(selection)
    rows = db.execute(
        f"SELECT m.queue_id FROM mail m WHERE {' AND '.join(where) or '1'} ORDER BY m.id", values
    )
    return [name for (name,) in rows]


def existing(db: sqlite3.Connection, rows: Sequence[int]) -> list[int]:
    """Leave out rows that are gone meanwhile."""
    there: set[int] = set()
    for start in range(0, len(rows), _MANY):
        some = rows[start : start + _MANY]
        marks = ",".join("?" * len(some))
        there |= {row for (row,) in db.execute(f"SELECT id FROM mail WHERE id IN ({marks})", some)}
    return [row for row in rows if row in there]


def bodies_of(
    db: sqlite3.Connection, queue_ids: Iterable[str]
) -> list[tuple[int, bytes | None] | None]:
    """Read the sizes of mails, and their bytes if they are not in files; None for who is gone."""
    return [
        db.execute(
            "SELECT m.size, b.data FROM mail m LEFT JOIN body b ON b.mail = m.id"
            " WHERE m.queue_id = ?",
            (queue_id,),
        ).fetchone()
        for queue_id in queue_ids
    ]


def files(db: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Tell which of these are queue ids of mails whose bodies are in files."""
    return {
        name
        for name in names
        if db.execute("SELECT 1 FROM mail WHERE queue_id = ? AND in_file", (name,)).fetchone()
    }


def _conditions(selection: Selection) -> tuple[list[str], list[Any]]:
    mail: list[tuple[str, Any]] = []
    recipient: list[tuple[str, Any]] = []
    if selection.sender is not None:
        sender = "" if selection.sender in ("", "<>") else selection.sender.lower()
        mail.append(("m.sender GLOB ?" if _is_pattern(sender) else "m.sender = ?", sender))
    if selection.before is not None:
        mail.append(("m.arrived < ?", selection.before))
    if selection.after is not None:
        mail.append(("m.arrived >= ?", selection.after))
    if selection.held is not None:
        mail.append(("m.held = ?", selection.held))
    if selection.recipient is not None:
        spelled = "lower(r.local || '@' || r.domain) GLOB ?"
        recipient.append((spelled, _pattern(selection.recipient)))
    if selection.domain is not None:
        recipient.append(("lower(r.domain) GLOB ?", _pattern(selection.domain)))
    if selection.reason is not None:
        spelled = "lower(coalesce(r.last, l.last)) GLOB ?"
        recipient.append((spelled, f"*{_pattern(selection.reason)}*"))
    if selection.agent is not None:
        recipient.append(("l.agent = ?", selection.agent))
    where, values = [one for one, _ in mail], [value for _, value in mail]
    if recipient:
        conditions = " AND ".join(one for one, _ in recipient)
        where.append(
            "EXISTS (SELECT 1 FROM recipient r JOIN lane l ON l.id = r.lane"
            f" WHERE r.mail = m.id AND {conditions})"
        )
        values += [value for _, value in recipient]
    if selection.queue_ids is not None:
        where.append(f"m.queue_id IN ({','.join('?' * len(selection.queue_ids))})")
        values += selection.queue_ids
    return where, values


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _pattern(text: str) -> str:
    """Make a pattern of SQLite's: ``[`` has no meaning of its own here."""
    return text.lower().replace("[", "[[]")


def _spooled(rows: Iterable[tuple[Any, ...]]) -> Iterator[Spooled]:
    """Put rows of mails with their recipients together."""
    for (queue_id, sender, arrived, size, held, deadline), group in groupby(
        rows, key=lambda row: row[:6]
    ):
        pending = tuple(
            Pending(
                read_recipient(local, domain, notify, original),
                agent,
                attempts,
                read_last(last),
                when,
                depth,
                read_targets(targets),
            )
            for local, domain, notify, original, agent, attempts, last, when, depth, targets in (
                row[6:] for row in group
            )
        )
        yield Spooled(queue_id, read_sender(sender), arrived, size, pending, bool(held), deadline)


def _lane_state(row: tuple[Any, ...]) -> LaneState:
    agent, destination, earliest, blocked, failures, last, *count = row
    return LaneState(Lane(agent, destination), earliest, blocked, failures, read_last(last), *count)
