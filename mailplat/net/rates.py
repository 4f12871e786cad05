"""How often something may happen: so many times in a period, counted for each name apart.

The count runs smoothly: a name may use up its whole allowance at once, and gets it back evenly
over the period.  What is kept of a name is one number.

Invariants: what is refused costs nothing; the table is bounded, and who used it longest ago is
forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Rates"]


class Rates:
    """Counts what names do.

    Args:
        seconds: The clock.
        most: How many times in a period; None for any number.
        period: Seconds.
        entries: Names that are remembered.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        most: int | None,
        period: float,
        *,
        entries: int = 100_000,
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._period = period
        self._entries = entries
        self._paid: OrderedDict[str, float] = OrderedDict()  # when all of it is given back

    def allows(self, name: str, count: int = 1) -> bool:
        """Tell whether a name may do something so many times now; nothing is counted."""
        if self._most is None:
            return True
        now = self._seconds()
        paid = max(now, self._paid.get(name, now))
        # the slack is for sums of floats
        return paid + count * self._period / self._most <= now + self._period * (1 + 1e-9)

    def take(self, name: str, count: int = 1) -> bool:
        """Count so many times, and tell True; or count nothing, and tell False."""
        if self._most is None:
            return True
        if not self.allows(name, count):
            return False
        now = self._seconds()
        paid = max(now, self._paid.get(name, now))
        self._paid[name] = paid + count * self._period / self._most
        self._paid.move_to_end(name)
        while len(self._paid) > self._entries:
            self._paid.popitem(last=False)
        return True
