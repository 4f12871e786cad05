"""Carries mail into a store and out of it, with flags and dates.

Both ways can be broken off and begun again.  An import passes over what is there already: a message
of the same bytes and the same date, each of them once; so two copies in the source become two in
the store, and stay two when it is imported again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailplat.app.upkeep.maildirs import MaildirWriter
from mailplat.app.upkeep.mbox import Mail, written
from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox, NewMessage
from mailplat.message.scan import ScanLimits
from mailplat.message.summary import summary_of
from mailplat.model.errors import AlreadyExists, Corrupt, LimitReached
from mailplat.model.flags import flag_names
from mailplat.model.mailbox import normal_name
from mailplat.model.summary import Summary
from mailplat.spool.intake import MemoryBody

__all__ = ["Carried", "MboxWriter", "Target", "export_mailbox", "import_mails", "maildir_target"]

_BATCH = 256
_BATCH_BYTES = 8 << 20
"""What is stored in one transaction, and read at once."""

Advance = Callable[[int], None]
_Key = tuple[int, int, str]


@dataclass(slots=True)
class Carried:
    """What was done.

    Attributes:
        messages: So many were carried.
        there: So many were there already.
        unflagged: So many lost keywords for which the mailbox has no room.
        unread: What was left out because it is damaged, in words.
    """

    messages: int = 0
    there: int = 0
    unflagged: int = 0
    unread: list[str] = field(default_factory=list)


# in


async def import_mails(
    home: IHome,
    name: str,
    mails: Iterable[Mail],
    limits: ScanLimits,
    *,
    now: int,
    advance: Advance = lambda count: None,
) -> Carried:
    """Append messages to a mailbox, which is made if it is not there.

    Args:
        home: Whose.
        name: The mailbox.
        mails: The messages; read as they are needed.
        limits: How far they are taken apart.
        now: The date of a message of which nothing says any, seconds since 1970 UTC.
        advance: Told how many messages were dealt with.

    Raises:
        OverQuota: What was carried so far is there.
        Cannot: There can be no mailbox of that name.
    """
    name = normal_name(name)
    with suppress(AlreadyExists):
        await home.create(name, ())
        await home.subscribe(name)
    mailbox = await home.open_mailbox(name)
    carried = Carried()
    try:
        there = await _Present.of(mailbox)
        batch: list[NewMessage] = []
        waiting = 0
        for mail in mails:
            summary = summary_of(mail.data, limits)
            date = mail.date if mail.date is not None else summary.sent
            new = NewMessage(
                MemoryBody(mail.data), summary, mail.flags, max(0, now if date is None else date)
            )
            if await there.take(new, mail.data):
                carried.there += 1
            else:
                batch.append(new)
                waiting += summary.size
            if len(batch) >= _BATCH or waiting >= _BATCH_BYTES:
                await _append(home, name, batch, carried)
                batch, waiting = [], 0
            advance(1)
        await _append(home, name, batch, carried)
    finally:
        mailbox.close()
    return carried


async def _append(home: IHome, name: str, batch: list[NewMessage], carried: Carried) -> None:
    if not batch:
        return
    try:
        await home.append(name, batch)
    except LimitReached:
        plain = []
        for new in batch:
            flags = frozenset(flag for flag in new.flags if flag.startswith("\\"))
            carried.unflagged += flags != new.flags
            plain.append(NewMessage(new.body, new.summary, flags, new.date))
        await home.append(name, plain)
    carried.messages += len(batch)


class _Present:
    """The messages that were in a mailbox before."""

    def __init__(self, mailbox: IMailbox) -> None:
        self._mailbox = mailbox
        self._uids: dict[_Key, list[int]] = {}

    @classmethod
    async def of(cls, mailbox: IMailbox) -> _Present:
        """Look at a mailbox."""
        found = cls(mailbox)
        uids = (await mailbox.state(False)).uids
        rows = await mailbox.rows(uids, (Column.SIZE, Column.DATE, Column.MESSAGE_ID))
        for uid, *key in zip(
            rows.uids,
            rows[Column.SIZE],
            rows[Column.DATE],
            rows[Column.MESSAGE_ID],
            strict=True,
        ):
            found._uids.setdefault((key[0], key[1], key[2]), []).append(uid)
        return found

    async def take(self, new: NewMessage, data: bytes) -> bool:
        """Whether a message is there; each one that is stands for one message alone."""
        summary: Summary = new.summary
        alike = self._uids.get((summary.size, new.date, summary.message_id), [])
        for uid in alike:
            (body,) = await self._mailbox.bodies([BodyRange(uid, 0, summary.size)])
            if body == data:
                alike.remove(uid)
                return True
        return False


# out


class Target(Protocol):
    """Where messages of one mailbox are written to."""

    def has(self, uid: int, date: int) -> bool:
        """Whether a message is there already."""

    def write(self, uid: int, mail: Mail) -> None:
        """Write a message."""


class MboxWriter:
    """Writes a mailbox into one file, which takes its name when it is complete.

    Args:
        root: The directory that the files of all mailboxes are below.
        mailbox: The mailbox's name.
    """

    def __init__(self, root: Path, mailbox: str) -> None:
        self.path = root / f"{mailbox}.mbox"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._staged = self.path.with_name(self.path.name + ".part")
        self._file = self._staged.open("wb")

    def has(self, uid: int, date: int) -> bool:
        """See `Target.has`: a file is always written from its beginning."""
        return False

    def write(self, uid: int, mail: Mail) -> None:
        """See `Target.write`."""
        self._file.write(written(mail))

    def finish(self) -> None:
        """All is written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._staged.rename(self.path)

    def close(self) -> None:
        """Let go of the file; what is not finished goes."""
        self._file.close()
        self._staged.unlink(missing_ok=True)


def maildir_target(root: Path, mailbox: IMailbox) -> MaildirWriter:
    """Make what writes a mailbox into a Maildir++ tree."""
    return MaildirWriter(root, mailbox.name, mailbox.uid_validity, mailbox.keywords)


async def export_mailbox(
    mailbox: IMailbox, target: Target, advance: Advance = lambda count: None
) -> Carried:
    """Write all messages of an open mailbox; one that is damaged is left out, and told.

    Raises:
        OSError: It cannot be written.
    """
    carried = Carried()
    uids = (await mailbox.state(False)).uids
    rows = await mailbox.rows(uids, (Column.SIZE, Column.DATE, Column.FLAGS))
    batch: list[tuple[int, int, int, int]] = []
    waiting = 0
    for row in zip(
        rows.uids, rows[Column.SIZE], rows[Column.DATE], rows[Column.FLAGS], strict=True
    ):
        if target.has(row[0], row[2]):
            carried.there += 1
            advance(1)
            continue
        batch.append(row)
        waiting += row[1]
        if len(batch) >= _BATCH or waiting >= _BATCH_BYTES:
            await _write(mailbox, target, batch, carried, advance)
            batch, waiting = [], 0
    await _write(mailbox, target, batch, carried, advance)
    return carried


async def _write(
    mailbox: IMailbox,
    target: Target,
    batch: list[tuple[int, int, int, int]],
    carried: Carried,
    advance: Advance,
) -> None:
    try:
        bodies = await mailbox.bodies([BodyRange(uid, 0, size) for uid, size, _, _ in batch])
    except Corrupt as error:
        if len(batch) > 1:
            for one in batch:
                await _write(mailbox, target, [one], carried, advance)
        else:
            carried.unread.append(error.reason)
            advance(1)
        return
    names = mailbox.keywords
    for (uid, _, date, mask), body in zip(batch, bodies, strict=True):
        if body is not None:
            target.write(uid, Mail(body, frozenset(flag_names(mask, names)), date))
            carried.messages += 1
        advance(1)
