"""The policy table in memory, of one process: forgotten when it ends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from zope.interface import implementer

from mailplat.interfaces.policy_table import Decide, IPolicyTable, Kept
from mailplat.model.errors import Unavailable

__all__ = ["MemoryPolicyTable"]

T = TypeVar("T")


@implementer(IPolicyTable)
class MemoryPolicyTable:
    """Remembers in a dictionary; who was changed longest ago is forgotten first.

    Args:
        now: Tells the time, seconds since 1970 UTC.
        entries: How many keys are remembered.
    """

    def __init__(self, now: Callable[[], float], entries: int = 1_000_000) -> None:
        self.entries = entries
        self._now = now
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._closed = False

    async def update(self, keys: Sequence[str], decide: Decide[T]) -> T:
        """See `IPolicyTable.update`."""
        if self._closed:
            raise Unavailable("the policy table is closed")
        now = self._now()
        found = {}
        for key in keys:
            kept = self._kept.get(key)
            if kept is not None and kept.expires > now:
                found[key] = kept.value
        result, changed = decide(found)
        for key, kept in changed.items():
            self._kept[key] = kept
            self._kept.move_to_end(key)
        while len(self._kept) > self.entries:
            self._kept.popitem(last=False)
        return result

    async def close(self) -> None:
        """See `IPolicyTable.close`."""
        self._closed = True
        self._kept.clear()
