"""Commands that store messages, and the bytes that follow them (RFC 9051 §6.3.12, RFC 8508).

A message is never held as a whole: it is announced, accepted, and then comes in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from mailplat.proto.imap.commands.event import Command, Event
from mailplat.proto.imap.sets import SequenceSet

__all__ = [
    "Append",
    "AppendData",
    "AppendEnd",
    "AppendMessage",
    "AppendNext",
    "Replace",
]


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """A message that is about to be sent (RFC 9051 §6.3.12, RFC 3502).

    Attributes:
        size: Its bytes; 0 asks to call the whole APPEND off (RFC 3502 §6.3.11).
        flags: For it.
        date: INTERNALDATE with its zone; None for now.
        binary: Whether it comes as a literal8 and may hold NUL (RFC 3516 §4.4).
        utf8: Whether its header may hold UTF-8 (RFC 6855 §4).
    """

    size: int
    flags: frozenset[str] = frozenset()
    date: datetime | None = None
    binary: bool = False
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Append(Command):
    """Store messages, all or none (RFC 9051 §6.3.12, RFC 3502).

    Comes before the bytes do.  `accept` takes the message: then follow `AppendData` for its
    blocks and `AppendNext` for each further message (which is accepted likewise), and at last
    `AppendEnd`, which waits for the answer.  `answer` instead, at any point, refuses: what the
    client still sends of the command is drained unseen.  `Aborted` may take the place of any of
    the later events.
    """

    mailbox: str
    message: AppendMessage


@dataclass(frozen=True, slots=True)
class Replace(Command):
    """Store a message in the place of another (RFC 8508); its bytes follow as with `Append`.

    Attributes:
        numbers: The one message to be replaced.
        uid: Whether that is its UID.
        mailbox: Where the new one goes.
        message: What is about to come.
    """

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool
    mailbox: str
    message: AppendMessage


@dataclass(frozen=True, slots=True)
class AppendData(Event):
    """A block of the message being stored; waits for nothing."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppendNext(Event):
    """A further message of the same APPEND; waits for `accept` or `answer`."""

    message: AppendMessage


@dataclass(frozen=True, slots=True)
class AppendEnd(Event):
    """All messages are here; waits for the answer to the `Append` or `Replace`."""
