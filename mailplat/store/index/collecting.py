"""The operation that drops the bytes of expunged messages, when nobody shows them any more.

Invariant: a content goes with the last row that names it, be that a message or an expunged one that
somebody may still show.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from operator import itemgetter

from mailplat.model.numset import NumSet
from mailplat.store.index import statements
from mailplat.store.index.bodies import Dropped
from mailplat.store.index.database import Dialect
from mailplat.store.index.messages import Rules
from mailplat.store.index.summaries import numbers
from mailplat.store.index.transaction import ContentsGone, Transaction

__all__ = ["collect"]


@cache
def _droppable(dialect: Dialect) -> str:
    """Write the query for what may be dropped: one row, each column joined."""
    selected = [dialect.joined_numbers(column) for column in ("modseq", "uid", "content")]
    return (
        f"SELECT {', '.join(selected)}, {dialect.joined_lines('place')} FROM ("
        "SELECT modseq, uid, content, place FROM dropping WHERE mailbox = ? AND modseq <= ?"
        " ORDER BY modseq, uid LIMIT ?) block"
    )


@cache
def _used(dialect: Dialect) -> tuple[statements.Ranges, ...]:
    """Write the queries for which of some contents are in use."""
    content = dialect.joined_numbers("x.content")
    return tuple(
        statements.Ranges(
            f"{{want}} SELECT {content} FROM want CROSS JOIN {table} x"
            " WHERE x.content BETWEEN want.first AND want.last"
        )
        for table in ("messages", "dropping")
    )


_DROP = "DELETE FROM dropping WHERE mailbox = ? AND modseq = ? AND uid BETWEEN ? AND ?"
_FREE = tuple(
    statements.Ranges(
        f"{{want}} DELETE FROM {table} WHERE {key} IN (SELECT x.{key} FROM want"
        f" CROSS JOIN {table} x WHERE x.{key} BETWEEN want.first AND want.last)"
    )
    for table, key in (("contents", "id"), ("headers", "content"))
)


def collect(tx: Transaction, rules: Rules, mailbox_id: int, modseq: int, limit: int) -> bool:
    """Drop the bytes of messages that were expunged up to a MODSEQ, and are not needed.

    Args:
        tx: The transaction.
        rules: Where the bytes are.
        mailbox_id: The mailbox, which may be gone itself.
        modseq: Everybody has acknowledged up to here.
        limit: Messages dealt with at most.

    Returns:
        Whether there is more.
    """
    row = tx.one(_droppable(tx.dialect), (mailbox_id, modseq, limit))
    if row is None or row[0] is None:
        return False
    modseqs, uids, contents = map(numbers, row[:3])
    found = list(zip(modseqs, uids, contents, row[3].split("\n"), strict=True))
    for given, same in groupby(found, itemgetter(0)):
        gone = [uid for _, uid, _, _ in same]
        tx.run(_DROP, (mailbox_id, given, gone[0], gone[-1]))
    free = set(contents) - {0}  # which stands for none
    for statement in _used(tx.dialect):
        for sql, args in statement.pieces(NumSet.of(contents)):
            in_use = tx.one(sql, args)
            free.difference_update(numbers(in_use[0] if in_use else None))
    for statement in _FREE:
        for sql, args in statement.pieces(NumSet.of(free)):
            tx.run(sql, args)
    dropped = [Dropped(mailbox_id, uid, content, place) for _, uid, content, place in found]
    rules.bodies.drop(tx, dropped, sorted(free))
    if free:
        tx.publish(ContentsGone(len(free)))
    return len(found) == limit
