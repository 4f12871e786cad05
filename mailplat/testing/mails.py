"""Messages for tests: small, each different, of any size, with their summaries."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from mailplat.interfaces.store import NewMessage
from mailplat.message.summary import summary_of
from mailplat.model.summary import Summary
from mailplat.spool.intake import MemoryBody

__all__ = ["NOON", "mail", "new_message"]

NOON = 1767268800
"""1 January 2026, 12:00 UTC."""


def mail(number: int, size: int = 0) -> bytes:
    """Make a message that differs from every other number's.

    Args:
        number: Stands in its subject and body.
        size: Bytes it has, exactly, if that is more than it needs.
    """
    data = (
        f"From: Sender {number} <sender{number}@example.org>\r\n"
        "To: Alice <alice@example.org>\r\n"
        f"Subject: Number {number}\r\n"
        "Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
        f"Message-ID: <{number}@example.org>\r\n"
        "\r\n"
        f"This is message {number}.\r\n"
    ).encode()
    lines, rest = divmod(max(size - len(data), 0), 72)
    return data + b"%070d\r\n" % 7 * lines + b"x" * rest


@lru_cache(1024)
def _summary(data: bytes) -> Summary:
    return summary_of(data)


def new_message(data: bytes, flags: Iterable[str] = (), date: int = NOON) -> NewMessage:
    """Make a message to be stored, with its body in memory."""
    return NewMessage(MemoryBody(data), _summary(data), frozenset(flags), date)
