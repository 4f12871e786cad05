"""What is noted of an attempt or a deadline: outcomes, the next time, successors, reports.

Invariants:

- Whoever gives a `Settlement` away has not noted anything yet: it can be thrown away.
- Those who take an expanded recipient's place lead somewhere, and no chain of them is endless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import Pending, Settlement, Spooled
from mailplat.model.envelope import Notify, Recipient
from mailplat.model.outcome import Bounced, Deferred, Expanded, Outcome
from mailplat.model.reply import Reply
from mailplat.queue.bounces import Bounces
from mailplat.queue.schedule import Overdue, Schedule
from mailplat.queue.ways import ways_for

__all__ = ["Results", "log_outcome"]

_log = Logger()

_LOOP = Reply.of(554, "Aliases lead round in circles", "5.4.6")
_NOWHERE = Reply.of(550, "It leads nowhere", "5.1.1")


class Results:
    """Makes settlements.

    Args:
        bounces: Writes reports.
        routes: Say where those lead that a recipient stands for.
        schedule: When to try again, and when time is up.
        now: The time, seconds since 1970 UTC.
        random: Gives numbers from 0 to 1.
        depth: Expansions that may follow each other.
    """

    def __init__(
        self,
        bounces: Bounces,
        routes: IRoutes,
        schedule: Schedule,
        now: Callable[[], float],
        random: Callable[[], float],
        *,
        depth: int = 10,
    ) -> None:
        self._bounces = bounces
        self._routes = routes
        self._schedule = schedule
        self._now = now
        self._random = random
        self._depth = depth

    async def of_attempt(self, mail: Spooled, outcomes: Mapping[Recipient, Outcome]) -> Settlement:
        """Say what is to be noted of an attempt.

        Args:
            mail: With the recipients of the attempt.
            outcomes: One for each of them.

        Raises:
            MailError: It cannot be said now; ask again later.
        """
        now = int(self._now())
        judged = self._schedule.judge(mail, outcomes, now)
        added: list[Pending] = []
        for one in mail.pending:
            outcome = judged[one.recipient]
            if isinstance(outcome, Expanded):
                found = await self._expand(mail, one, outcome, now)
                if isinstance(found, Bounced):
                    judged[one.recipient] = found
                else:
                    added += found
        tried = [
            one.attempts + 1 for one in mail.pending if isinstance(judged[one.recipient], Deferred)
        ]
        due = self._schedule.next_attempt(mail, max(tried), now, self._random) if tried else 0
        reports = await self._bounces.on_outcomes(mail, judged)
        return Settlement(judged, due, added, reports)

    async def of_deadline(self, mail: Spooled, todo: Overdue) -> Settlement:
        """Say what is to be noted of a deadline.

        Raises:
            MailError: It cannot be said now; ask again later.
        """
        reports = await self._bounces.on_outcomes(mail, todo.bounced)
        reports += await self._bounces.on_delay(mail, todo.late, self._schedule.expires(mail))
        return Settlement(todo.bounced, reports=reports, deadline=todo.deadline)

    async def _expand(
        self, mail: Spooled, one: Pending, outcome: Expanded, now: int
    ) -> list[Pending] | Bounced:
        """Find the agents of those that a recipient stands for."""
        if one.depth >= self._depth:
            return Bounced(_LOOP)
        notify = one.recipient.notify
        if len(outcome.recipients) > 1 and Notify.SUCCESS in notify:
            # their success is reported as "expanded", once (RFC 3461 §5.2.7)
            notify = notify - {Notify.SUCCESS} or frozenset({Notify.NEVER})
        found = [
            Pending(
                Recipient(led, notify, one.recipient.original),
                way.agent,
                due=now,
                depth=one.depth + 1,
                targets=way.targets,
            )
            for address in outcome.recipients
            for led, way in (await ways_for(self._routes, address, mail.sender.address)).items()
        ]
        return found or Bounced(_NOWHERE)


def log_outcome(mail: Spooled, recipient: Recipient, outcome: Outcome) -> None:
    """Say in the log what became of a recipient."""
    reply = None if isinstance(outcome, Expanded) else outcome.reply
    _log.info(
        "queue {queue_id}: <{recipient}> {outcome}{where}{reply}",
        queue_id=mail.queue_id,
        recipient=str(recipient.address),
        outcome=type(outcome).__name__.lower(),
        where="" if isinstance(outcome, Expanded) or not outcome.where else f" at {outcome.where}",
        reply="" if reply is None else f": {reply.code} {reply.status} {reply.text}",
    )
