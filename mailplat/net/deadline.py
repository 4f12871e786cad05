"""One delayed call for a moment that keeps moving.

A connection moves its deadline with every command.  To move it later costs an assignment: the
delayed call wakes at the old moment, looks, and goes back to sleep.  Only an earlier moment
touches the reactor's heap, by a new call: to move one that is in there takes as long as there are
connections.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadline"]


class Deadline:
    """Calls back once the moment has passed, unless it was moved.

    Args:
        clock: Tells the time and calls later.
        expired: What is called; the deadline is then off until it is moved again.
    """

    def __init__(self, clock: IReactorTime, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._expired = expired
        self._when: float | None = None
        self._wakes = 0.0
        self._call: IDelayedCall | None = None

    def move(self, when: float | None) -> None:
        """Expire at this moment of the clock; None is never."""
        self._when = when
        if when is None:
            return
        if self._call is None:
            self._sleep(when)
        elif when < self._wakes:
            self._call.cancel()
            self._sleep(when)

    def stop(self) -> None:
        """Leave no delayed call behind."""
        self._when = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _sleep(self, when: float) -> None:
        self._wakes = when
        delay = max(0.0, when - self._clock.seconds())
        self._call = self._clock.callLater(delay, self._wake)

    def _wake(self) -> None:
        self._call = None
        when = self._when
        if when is None:
            return
        if when > self._clock.seconds():
            self._sleep(when)
            return
        self._when = None
        self._expired()
