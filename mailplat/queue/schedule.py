"""When a mail is tried again, when its sender is warned, and when its time is up: pure.

State and the time go in, what to do comes out; chance is an argument.  A week of retries takes a
test no time.

Invariants:

- An attempt that is deferred has a next one, later than now and never after the mail's time is up:
  the last attempt is made then, and what it defers is bounced.
- Nothing is bounced for its age before it was tried, but what was to be delivered by a time that
  is past: that is bounced, or its sender is told, as the sender asked (RFC 2852).
- A mail's deadline only grows.
- All times of a mail that was kept back count from its release (RFC 4865).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mailplat.interfaces.spool import Pending, Spooled
from mailplat.model.envelope import ByMode, Recipient
from mailplat.model.outcome import Bounced, Deferred, Outcome
from mailplat.model.reply import Reply

__all__ = ["Overdue", "Schedule"]

_GRACE = 3600
"""Seconds that an attempt which is due may still take to be made, before a mail's age ends it."""

_TOO_LATE = Reply.of(554, "It was not delivered within the time that was asked for", "5.4.7")
_LATE = Reply.of(451, "It is not delivered yet, and the time asked for is over", "4.4.7")


@dataclass(frozen=True, slots=True)
class Overdue:
    """What a mail's deadline asks for.

    Attributes:
        bounced: Those whose time is up, with what came of their last attempt.
        late: Those whose sender is warned.
        deadline: When to look again.
    """

    bounced: Mapping[Recipient, Bounced]
    late: tuple[Pending, ...]
    deadline: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How patient the queue is.  All times are seconds.

    Attributes:
        first: From the first attempt to the second (Postfix minimal_backoff_time: 300 s).
        growth: How much longer each wait is than the one before.
        longest: The longest wait (Postfix maximal_backoff_time: 4000 s).
        jitter: The part of a wait that chance may take away or add.
        lifetime: After which a mail is given up (RFC 5321 §4.5.4.1: 4 to 5 days or more).
        warn_after: After which its sender is warned.
    """

    first: float = 300.0
    growth: float = 1.6
    longest: float = 3600.0
    jitter: float = 0.2
    lifetime: float = 5 * 86400.0
    warn_after: float = 4 * 3600.0

    def wait(self, failures: int, random: Callable[[], float]) -> int:
        """Give the seconds to wait after a number of failures in a row, 1 or more.

        Args:
            failures: So far.
            random: Gives a number from 0 to 1.
        """
        seconds, left = self.first, failures - 1
        while left > 0 and seconds < self.longest:
            seconds, left = seconds * self.growth, left - 1
        seconds = min(seconds, self.longest)
        return max(1, round(seconds * (1 + self.jitter * (2 * random() - 1))))

    def expires(self, mail: Spooled) -> int:
        """Tell when a mail's time is up."""
        expires = int(mail.sender.released(mail.arrived) + self.lifetime)
        wanted = _by(mail, ByMode.RETURN)
        return expires if wanted is None else min(expires, wanted)

    def next_attempt(
        self, mail: Spooled, attempts: int, now: int, random: Callable[[], float]
    ) -> int:
        """Tell when to try again what was tried a number of times, the last time included."""
        later = now + self.wait(attempts, random)
        return max(now + 1, min(later, self.expires(mail)))

    def judge(
        self, mail: Spooled, outcomes: Mapping[Recipient, Outcome], now: int
    ) -> dict[Recipient, Outcome]:
        """Take what came of an attempt: what is deferred when its time is up, is bounced."""
        if now < self.expires(mail):
            return dict(outcomes)
        late = _is_late(mail, now)
        return {
            recipient: Bounced(_TOO_LATE if late else outcome.reply, outcome.where)
            if isinstance(outcome, Deferred)
            else outcome
            for recipient, outcome in outcomes.items()
        }

    def overdue(self, mail: Spooled, now: int) -> Overdue:
        """Say what is to be done about a mail whose deadline is past.

        Args:
            mail: With those recipients that are not being tried just now.
            now: Seconds since 1970.
        """
        expires = self.expires(mail)
        if _is_late(mail, now):
            return Overdue(
                {one.recipient: Bounced(_TOO_LATE) for one in mail.pending}, (), now + _GRACE
            )
        if now >= expires:
            bounced = {
                one.recipient: Bounced(one.last.reply, one.last.where)
                for one in mail.pending
                if one.last is not None and (not _is_due(one, now) or now >= expires + _GRACE)
            }
            return Overdue(bounced, (), now + _GRACE)
        warn = int(mail.sender.released(mail.arrived) + self.warn_after)
        wanted = _by(mail, ByMode.NOTIFY)
        times = [time for time in (warn, wanted, expires) if time is not None and time > now]
        if wanted is not None and mail.deadline is not None and mail.deadline <= wanted <= now:
            late = tuple(replace(one, last=one.last or Deferred(_LATE)) for one in mail.pending)
            return Overdue({}, late, min(times, default=expires))
        warned = mail.deadline is not None and mail.deadline > warn
        late = () if warned else tuple(one for one in mail.pending if one.last is not None)
        never_tried = not warned and not late
        return Overdue({}, late, min(*times, now + _GRACE) if never_tried else min(times))


def _by(mail: Spooled, mode: ByMode) -> int | None:
    """Tell by when a mail is to be delivered, if that is what its sender asked for."""
    by = mail.sender.deliver_by
    return mail.sender.wanted_by(mail.arrived) if by is not None and by.mode is mode else None


def _is_late(mail: Spooled, now: int) -> bool:
    """Tell whether a mail is to be returned because its time is over (RFC 2852 §4.1)."""
    wanted = _by(mail, ByMode.RETURN)
    return wanted is not None and now >= wanted


def _is_due(one: Pending, now: int) -> bool:
    return one.due is not None and one.due <= now
