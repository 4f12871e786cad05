"""Messages whose bytes nobody has read yet: in the index without a summary, and completed later.

Where another program may bring thousands at once, what a client asks for first (which UIDs, which
flags) need not wait until all are read.  Such a row has no content (0) and a size that may be too
small.  Whoever wants more of it than flags and dates has it completed first.

Invariants: content and size of such a row change once, from nothing to what stays; nobody was told
of them before.  The counters of mailbox and home follow the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.model.numset import NumSet
from mailplat.model.summary import Summary
from mailplat.store.index.messages import get_mailbox, read_rows
from mailplat.store.index.summaries import insert_content
from mailplat.store.index.transaction import MailboxCompleted, Transaction

__all__ = ["ReadMessage", "complete_messages"]

_TOGETHER = 64

_FILL = (
    "WITH new (uid, content, size) AS (VALUES {rows}) UPDATE messages SET"
    " content = (SELECT new.content FROM new WHERE new.uid = messages.uid),"
    " size = (SELECT new.size FROM new WHERE new.uid = messages.uid)"
    " WHERE mailbox = ? AND uid IN (SELECT uid FROM new)"
)


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """What the bytes of a message said.

    Attributes:
        uid: Its UID.
        summary: Its summary.
    """

    uid: int
    summary: Summary


def complete_messages(tx: Transaction, mailbox_id: int, found: Sequence[ReadMessage]) -> None:
    """Give messages their contents; those that have one, or are gone, are passed over."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    waiting = {
        row.uid: row
        for row in read_rows(tx, mailbox, NumSet.of(one.uid for one in found))
        if not row.content
    }
    filled: dict[int, tuple[int, int]] = {}
    more = 0
    for one in found:
        row = waiting.get(one.uid)
        if row is not None:
            filled[one.uid] = insert_content(tx, one.summary), one.summary.size
            more += one.summary.size - row.size
    rows = [(uid, *values) for uid, values in filled.items()]
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        sql = _FILL.format(rows=", ".join(["(?, ?, ?)"] * len(some)))
        tx.run(sql, [*(value for row in some for value in row), mailbox_id])
    mailbox.size += more
    home.storage += more
    tx.touch_mailbox(mailbox)
    tx.touch_home(home)
    tx.publish(MailboxCompleted(home.copy(), mailbox.copy(), filled))
