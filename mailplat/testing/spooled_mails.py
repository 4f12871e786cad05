"""Mails, a clock and lanes for the tests of spools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mailplat.interfaces.spool import (
    IOperatedSpool,
    IQueueSpool,
    ISpool,
    Lane,
    NewMail,
    Spooled,
)
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Notify, Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.model.reply import Reply
from mailplat.testing.agents import StringBody
from mailplat.testing.bodies import read_all

__all__ = [
    "BOX",
    "COM",
    "DONE",
    "LATER",
    "NET",
    "NEVER",
    "NOON",
    "WARN_AFTER",
    "MakeSpool",
    "Times",
    "WorkedSpool",
    "accept",
    "body_of",
    "names",
    "new_mail",
    "recipients",
    "to",
]

NOON = 1_767_268_800
"""2026-01-01 12:00:00 UTC."""

WARN_AFTER = 4 * 3600
"""Seconds from a mail's arrival to its first deadline."""

NET = Lane("", "example.net")
COM = Lane("", "example.com")
BOX = Lane("mailbox", "")

LATER = Deferred(Reply.of(451, "Greylisted, come back", "4.7.1"), "mx.example.net")
NEVER = Bounced(Reply.of(550, "No such user", "5.1.1"), "mx.example.net")
DONE = Delivered("mx.example.net")


class WorkedSpool(IQueueSpool, IOperatedSpool):
    """A spool with all of its sides."""


MakeSpool = Callable[[Callable[[], float]], WorkedSpool]


class Times:
    """A clock that a test sets.

    Attributes:
        seconds: The time, since 1970.
    """

    def __init__(self) -> None:
        self.seconds: float = NOON

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


def to(text: str, *notify: Notify, original: str = "") -> Recipient:
    """Make a recipient."""
    local, _, domain = text.rpartition("@")
    return Recipient(Address(local, domain), frozenset(notify), original)


def new_mail(
    queue_id: str,
    *recipients: Recipient,
    sender: str = "sender@example.org",
    body: bytes = b"Subject: hello\r\n\r\nhello\r\n",
    agent: str = "",
) -> NewMail:
    """Make a mail."""
    local, _, domain = sender.rpartition("@")
    path = Sender(Address(local, domain) if sender else None)
    return NewMail(
        queue_id,
        Envelope(path, recipients),
        dict.fromkeys(recipients, agent),
        StringBody(body),
    )


async def accept(spool: ISpool, mail: NewMail, held: bool = False) -> None:
    """Hand a mail in."""
    await spool.accept([replace(mail, held=held)])


async def body_of(spool: IQueueSpool, queue_id: str) -> bytes:
    """Read a mail's bytes."""
    body = await spool.open_body(queue_id)
    try:
        return await read_all(body)
    finally:
        body.close()


def names(mails: Sequence[Spooled]) -> list[str]:
    """Give the queue ids of mails."""
    return [mail.queue_id for mail in mails]


def recipients(mail: Spooled | None) -> list[str]:
    """Give the addresses of a mail's pending recipients."""
    assert mail is not None
    return [str(one.recipient.address) for one in mail.pending]
