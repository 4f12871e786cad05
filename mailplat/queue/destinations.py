"""How much goes to one destination at once: a window that learns from what happens.

As Postfix's queue manager does it (its SCHEDULER_README): the window grows by one with each
delivery that reaches the destination and shrinks by one with each that does not; when a whole
window's worth of attempts in a row could not reach it, it is dead and rests, whatever else waits
for it.  Afterwards one attempt finds out; only when that reaches it, the others follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from mailplat.interfaces.agents import RELAY_AGENT
from mailplat.interfaces.spool import Lane, Spooled
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Deferred, Outcome

__all__ = ["ActiveLane", "Window", "unreachable"]


def unreachable(outcomes: Mapping[Recipient, Outcome]) -> Deferred | None:
    """Tell whether an attempt did not even reach its destination, and what came of it.

    A destination is not reached where all recipients are deferred with the code 421, or for a
    reason of the network or of the other system (RFC 3463 §3.5: X.4.x, §3.4: X.3.2).
    """
    last: Deferred | None = None
    for outcome in outcomes.values():
        if not isinstance(outcome, Deferred):
            return None
        status = outcome.reply.status
        if outcome.reply.code != 421 and not status.startswith("4.4.") and status != "4.3.2":
            return None
        last = outcome
    return last


class Window:
    """How many attempts a destination may have under way.

    Args:
        first: For a destination that nothing is known of.
        most: For the best one.
        failures: How often it was dead in a row before.

    Attributes:
        size: Attempts at once, now.
        dead: Whether it is to be left alone.
        failures: How often in a row it was dead, now included.
    """

    def __init__(self, first: int, most: int, failures: int = 0) -> None:
        self.size = 1.0 if failures else float(min(first, most))
        self.dead = False
        self.failures = failures
        self._first = first
        self._most = most
        self._lost = 0.0  # the part of a window that failed in a row

    def reached(self) -> bool:
        """An attempt reached it; tell whether it came back from being dead."""
        back = bool(self.failures)
        if back:
            self.failures = 0
            self.size = float(self._first)
        self._lost = 0.0
        self.size = min(self.size + 1.0, float(self._most))
        return back and not self.dead

    def missed(self) -> bool:
        """An attempt did not reach it; tell whether it is dead now, and was not before."""
        self._lost += 1.0 / self.size
        self.size = max(self.size - 1.0, 1.0)
        if self.dead or (self._lost < 0.999 and not self.failures):
            return False
        self.dead = True
        self.failures += 1
        return True


class ActiveLane:
    """A lane that has mail in memory.

    Args:
        lane: Which.
        window: How much at once.

    Attributes:
        waiting: Mails that can be tried, the oldest first.
        running: Queue ids of mails that are being tried.
        noting: Queue ids of mails that were tried, while that is written down.
        stale: Whether the spool may have more for it.
        reading: Whether the spool is being asked for it.
        read_at: When it was asked last, seconds since 1970.
        partial: Queue ids of mails with further recipients in the spool, which can be read when
            their attempt has ended.
        in_turn: Whether it stands in line for its next attempt.
    """

    def __init__(self, lane: Lane, window: Window) -> None:
        self.lane = lane
        self.window = window
        self.waiting: deque[Spooled] = deque()
        self.running: set[str] = set()
        self.noting: set[str] = set()
        self.stale = True
        self.reading = False
        self.read_at = 0
        self.partial: set[str] = set()
        self.in_turn = False

    @property
    def startable(self) -> bool:
        """Whether its next mail may be tried now.

        What was tried and is not written down would be tried again after a crash: it is bounded
        like what is being tried.
        """
        return (
            bool(self.waiting)
            and not self.window.dead
            and max(len(self.running), len(self.noting)) < int(self.window.size)
        )

    @property
    def idle(self) -> bool:
        """Whether nothing of it is in memory, and nothing known to be in the spool."""
        if self.running or self.noting or self.reading:
            return False
        return self.window.dead or not (self.waiting or self.stale)

    @property
    def held(self) -> set[str]:
        """Queue ids of all its mails in memory."""
        return self.running | self.noting | {mail.queue_id for mail in self.waiting}

    def tried(self, queue_id: str) -> None:
        """A mail's attempt made room for another, though it is not written down yet."""
        self.running.discard(queue_id)
        self.noting.add(queue_id)

    def ended(self, queue_id: str) -> None:
        """All is done about a mail's attempt."""
        self.running.discard(queue_id)
        self.noting.discard(queue_id)

    def forget(self, queue_ids: Iterable[str]) -> None:
        """Take mails out that wait."""
        gone = set(queue_ids)
        self.waiting = deque(mail for mail in self.waiting if mail.queue_id not in gone)

    def __str__(self) -> str:
        """Name the lane for the log."""
        return self.lane.destination if self.lane.agent == RELAY_AGENT else self.lane.agent
