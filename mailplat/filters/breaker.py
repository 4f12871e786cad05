"""A circuit breaker: what failed again and again is left alone for a while.

Closed, every question is asked.  After a number of failures in a row it opens: nothing is asked
until its rest is over.  Then one question goes through, the probe: if that is answered, the breaker
closes; if not, it rests again.

Invariant: while it is open, at most one question is under way.
"""

from __future__ import annotations

__all__ = ["Breaker"]


class Breaker:
    """Counts what becomes of questions; told the time, it knows no clock.

    Args:
        failures: In a row, until it opens; 0 never opens it.
        rest: Seconds that it stays open before the probe.
    """

    def __init__(self, failures: int = 0, rest: float = 30.0) -> None:
        self._failures = failures
        self._rest = rest
        self._in_a_row = 0
        self._until: float | None = None
        self._probing = False

    @property
    def rest(self) -> float:
        """Seconds that it stays open before a probe."""
        return self._rest

    @property
    def is_open(self) -> bool:
        """Whether questions are held back."""
        return self._until is not None

    def allows(self, now: float) -> bool:
        """Tell whether to ask; whoever is told yes says what became of it, or that nothing did."""
        if self._until is None:
            return True
        if self._probing or now < self._until:
            return False
        self._probing = True
        return True

    def answered(self) -> bool:
        """Note an answer; tell whether that closed it."""
        self._in_a_row = 0
        closed, self._until, self._probing = self.is_open, None, False
        return closed

    def failed(self, now: float) -> bool:
        """Note a failure; tell whether that opened it, or left it open for another rest."""
        self._in_a_row += 1
        probed, self._probing = self._probing, False
        if not probed and (self.is_open or not 0 < self._failures <= self._in_a_row):
            return False  # a question that was under way before it opened changes nothing
        self._until = now + self._rest
        return True

    def dropped(self) -> None:
        """Nobody waited for the answer: it says nothing; another question may be the probe."""
        self._probing = False
