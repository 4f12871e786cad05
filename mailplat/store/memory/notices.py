"""Who is told of changes, and in which order.

Invariants: a watcher is called only when the change can be read already; changes are told in
the order of their MODSEQs, also when a watcher's own call makes another change while it is
being told; what a watcher raises harms neither the writer nor the other watchers.

The store in memory tells at once, within the call that made the change and before its
awaitable fires: it holds no lock, so a watcher may call the store back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, ParamSpec

from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces.store import IWatch

__all__ = ["Notices", "Watchers"]

P = ParamSpec("P")

_log = Logger()


class Watchers(Generic[P]):
    """Those who want to be told of one thing, in the order they asked."""

    def __init__(self) -> None:
        self._tells: dict[object, Callable[P, None]] = {}

    def add(self, tell: Callable[P, None]) -> IWatch:
        """Tell this one too, until it stops."""
        watch = _Watch(self._tells)
        self._tells[watch] = tell
        return watch

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call everybody who has not stopped by the time that it is their turn."""
        for watch in list(self._tells):
            tell = self._tells.get(watch)
            if tell is None:
                continue
            try:
                tell(*args, **kwargs)
            except Exception:
                _log.failure("a watcher of the store raised")


@implementer(IWatch)
class _Watch:
    """One entry among the watchers."""

    def __init__(self, tells: dict[object, Callable[..., None]]) -> None:
        self._tells = tells

    def stop(self) -> None:
        self._tells.pop(self, None)


class Notices:
    """Carries a store's notices one after the other, after the change that they tell of.

    As a context it keeps them back until a transaction of several steps is through.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._depth = 0

    def publish(self, notice: Callable[[], None]) -> None:
        """Call it now; or when those before it, and the transaction under way, are through."""
        with self:
            self._waiting.append(notice)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        try:
            while self._depth == 1 and self._waiting:
                self._waiting.popleft()()
        finally:
            self._depth -= 1
