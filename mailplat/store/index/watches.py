"""Who is told that there is something new.

Invariants: a watcher is called in the reactor's thread, after the change can be read, while no lock
is held.  What a watcher raises is logged, and harms neither the store nor the other watchers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec

from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces.store import IWatch

__all__ = ["Watchers"]

P = ParamSpec("P")

_log = Logger()


class Watchers(Generic[P]):
    """Those who watch one thing, in the order they came.

    Args:
        watched: The thing.
        watched_ones: Has it while somebody watches, so that it stays in memory and in step.
    """

    def __init__(self, watched: object, watched_ones: set[object]) -> None:
        self._watched = watched
        self._watched_ones = watched_ones
        self._tells: dict[Watch, Callable[P, None]] = {}

    def add(self, tell: Callable[P, None]) -> Watch:
        """Tell this one too, until it stops."""
        watch = Watch(self)
        self._tells[watch] = tell
        self._watched_ones.add(self._watched)
        return watch

    def remove(self, watch: Watch) -> None:
        """Tell this one no more."""
        self._tells.pop(watch, None)
        if not self._tells:
            self._watched_ones.discard(self._watched)

    def notice(self, *args: P.args, **kwargs: P.kwargs) -> Callable[[], None]:
        """Give what tells those who watch now, and have not stopped when it is their turn."""
        watches = tuple(self._tells)

        def tell_all() -> None:
            for watch in watches:
                tell = self._tells.get(watch)
                if tell is not None:
                    try:
                        tell(*args, **kwargs)
                    except Exception:
                        _log.failure("a watcher of the store raised")

        return tell_all


@implementer(IWatch)
class Watch:
    """One who watches."""

    def __init__(self, watchers: Watchers[Any]) -> None:
        self._watchers = watchers

    def stop(self) -> None:
        """Tell no more."""
        self._watchers.remove(self)
