"""A spool that is full before its server starts: block inserts, as fast as the disk takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from mailplat.interfaces.spool import Pending
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Deferred
from mailplat.model.reply import Reply
from mailplat.spool.changes import NewRow, accept
from mailplat.spool.database import connect, create

__all__ = ["fill", "waiting"]

_BLOCK = 5000
_BUSY = 20.0
_LAST = Deferred(Reply.of(451, "Come back later", "4.7.1"), "mx.example.net")


def waiting(number: int, domain: str, data: bytes, now: int, *, due: int | None) -> NewRow:
    """Make a mail for somebody at a domain.

    Args:
        number: Names it.
        domain: Where it goes.
        data: Its bytes.
        now: Seconds since 1970.
        due: When it is tried next, after one attempt that was deferred; None to hold it.
    """
    to = Recipient(Address(f"user{number}", domain))
    tried = due is not None
    pending = Pending(to, attempts=int(tried), last=_LAST if tried else None, due=due)
    sender = Sender(Address("bench", "elsewhere.example"))
    return NewRow(f"bench{number}", sender, [pending], now, now + 86400, len(data), data)


def fill(directory: Path, mails: Iterable[NewRow]) -> None:
    """Write mails into the spool in a directory, which no server works on."""
    os.makedirs(directory / "bodies", mode=0o700, exist_ok=True)
    file = directory / "spool.sqlite"
    create(file, _BUSY)
    db = connect(file, _BUSY, writes=True)
    try:
        rows = iter(mails)
        while block := list(islice(rows, _BLOCK)):
            db.execute("BEGIN IMMEDIATE")
            for row in block:
                accept(db, row)
            db.execute("COMMIT")
    finally:
        db.close()
