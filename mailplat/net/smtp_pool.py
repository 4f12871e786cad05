"""Connections that wait for another mail to the same server.

A connection is given back after a mail and taken again for the next one; who waits for too long
says QUIT by itself (`ChannelOptions.idle`).

Invariants:

- A connection has one user at a time, or waits here.
- What waits is bounded, for each server and in all: the one that waited longest makes room.
- `close` comes back when the last connection is gone.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from mailplat.net.smtp_client import (
    SmtpChannel,
)

__all__ = ["ChannelPool", "PoolOptions"]


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How many connections wait.

    Attributes:
        per_server: For one server.
        total: For all.
        transfers: Mails over one connection (Postfix has no bound but 300 s).
    """

    per_server: int = 20
    total: int = 400
    transfers: int = 100


class ChannelPool:
    """Keeps connections for reuse.

    Args:
        options: How many.
    """

    def __init__(self, options: PoolOptions | None = None) -> None:
        self._options = options or PoolOptions()
        self._open: set[SmtpChannel] = set()
        self._waiting: OrderedDict[SmtpChannel, Hashable] = OrderedDict()
        self._by_key: dict[Hashable, deque[SmtpChannel]] = {}
        self._closing = False
        self._empty: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def open(self) -> int:
        """How many connections there are, used or waiting."""
        return len(self._open)

    def add(self, channel: SmtpChannel) -> None:
        """Learn of a new connection, before it connects; its user has it."""
        self._open.add(channel)
        channel.when_gone = lambda: self._gone(channel)

    def take(self, key: Hashable) -> SmtpChannel | None:
        """Give a connection to a server, the one used last; None if none waits."""
        while waiting := self._by_key.get(key):
            channel = waiting[-1]
            self._remove(channel)
            if channel.usable:
                return channel
            channel.quit()
        return None

    def give(self, key: Hashable, channel: SmtpChannel) -> None:
        """Take a connection back; one that is of no more use is ended."""
        bound = min(self._options.transfers, channel.offers.messages or self._options.transfers)
        if self._closing or not channel.usable or channel.transfers >= bound:
            channel.quit()
            return
        waiting = self._by_key.setdefault(key, deque())
        self._waiting[channel] = key
        waiting.append(channel)
        if len(waiting) > self._options.per_server:
            self._drop(waiting[0])
        elif len(self._waiting) > self._options.total:
            self._drop(next(iter(self._waiting)))

    async def close(self) -> None:
        """Say goodbye to all who wait, and wait until everybody is gone."""
        self._closing = True
        for channel in list(self._waiting):
            self._drop(channel)
        while self._open:
            self._empty = Deferred()
            await self._empty

    def _drop(self, channel: SmtpChannel) -> None:
        self._remove(channel)
        channel.quit()

    def _remove(self, channel: SmtpChannel) -> None:
        key = self._waiting.pop(channel, None)
        if key is not None:
            waiting = self._by_key[key]
            waiting.remove(channel)
            if not waiting:
                del self._by_key[key]

    def _gone(self, channel: SmtpChannel) -> None:
        self._open.discard(channel)
        self._remove(channel)
        if not self._open and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)
