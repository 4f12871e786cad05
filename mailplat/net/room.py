"""Whether a transport's buffer has room, and who waits for it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

__all__ = ["Room"]


class Room:
    """The room in one transport's buffer.

    Attributes:
        full: Whether there is none.
    """

    def __init__(self) -> None:
        self.full = False
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Wait until there is room again; fails with `ConnectionLost` where there never is."""
        waiter: Deferred[None] = Deferred()  # cancelled, it takes its result in silence
        self._waiting.append(waiter)
        return waiter

    def free(self) -> None:
        """There is room: everybody goes on."""
        self.full = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def lose(self) -> None:
        """The transport is gone: nobody goes on."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(ConnectionLost())
