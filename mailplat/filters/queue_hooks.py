"""The filters' side of the queue: they watch mail on its way out, and may keep it back.

Invariants:

- Nothing here raises, and nothing here settles a mail: what filters say of an attempt is at most
  "later" or "hold", so no filter can lose what was accepted.
- Who is told something holds nothing up; a bounded number of tellings is under way, and further
  ones are left out, and counted in the log.
- Tags are remembered for the newest mails alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import time

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.filters.reports import report_of_queue
from mailplat.filters.rule import Guard, Rule
from mailplat.interfaces.filters import QUEUE_STAGES, Stage
from mailplat.interfaces.hooks import IQueueHooks, IReports, QueuedMail
from mailplat.model import outcome as outcomes_of
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Outcome
from mailplat.model.verdict import CONTINUE, Action, Tag, Verdict

__all__ = ["QueueHooks"]

_log = Logger()

_OUTCOMES: tuple[tuple[Stage, type[Outcome]], ...] = (
    (Stage.DELIVERED, outcomes_of.Delivered),
    (Stage.DEFERRED, outcomes_of.Deferred),
    (Stage.BOUNCED, outcomes_of.Bounced),
)


def _everywhere(domain: str) -> bool:
    """Take every domain for ours, where nobody said which are."""
    return True


@implementer(IQueueHooks)
class QueueHooks:
    """Asks the filters that want to know of mail in the queue.

    Args:
        rules: All filters, in their order; an object is opened for each question.
        clock: Times them.
        reports: Who wants to read what happens; None for nobody.
        is_local: Whether a domain is ours, for conditions.
        now: The time, seconds since 1970 UTC, for reports.
        tellings: That may be under way at once.
        remembered: Mails whose tags are remembered.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        clock: IReactorTime,
        *,
        reports: IReports | None = None,
        is_local: Callable[[str], bool] = _everywhere,
        now: Callable[[], float] = time,
        tellings: int = 1000,
        remembered: int = 10_000,
    ) -> None:
        self._reports = reports
        self._is_local = is_local
        self._now = now
        self._most_tellings = tellings
        self._tellings = 0
        self._left_out = 0
        self._remembered = remembered
        self._tags: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._clock = clock
        self._asked: dict[Stage, list[Rule]] = {}
        for rule in rules:
            for stage in QUEUE_STAGES.intersection(rule.filter.stages):
                self._asked.setdefault(stage, []).append(rule)

    def queued(self, mail: QueuedMail) -> None:
        """See `IQueueHooks.queued`."""
        self._tell(Stage.QUEUED, mail)

    def route(self, mail: QueuedMail) -> None:
        """See `IQueueHooks.route`."""
        self._tell(Stage.ROUTE, mail)

    def settled(self, mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> None:
        """See `IQueueHooks.settled`."""
        for stage, kind in _OUTCOMES:
            of_kind = {one: it for one, it in outcomes.items() if isinstance(it, kind)}
            if of_kind:
                self._tell(stage, replace(mail, recipients=tuple(of_kind)), of_kind)

    async def attempt(self, mail: QueuedMail) -> Verdict:
        """See `IQueueHooks.attempt`."""
        verdict, mail = CONTINUE, self._tagged(mail)
        for rule in self._rules(Stage.ATTEMPT, mail):
            guard = Guard(rule, self._clock, f"queue {mail.queue_id}:")
            answer = await guard.ask(Stage.ATTEMPT, (mail,))
            self._note_tags(mail, answer)
            if answer.action > Action.ACCEPT:
                verdict = replace(answer, changes=(), by=guard.name)
                if answer.action is not Action.DEFER:  # nothing here may end a mail
                    verdict = replace(verdict, action=Action.HOLD, reply=None)
                _log.info(
                    "queue {queue_id}: {filter}: {action} the attempt: {reason}",
                    queue_id=mail.queue_id,
                    filter=guard.name,
                    action=verdict.action.name.lower(),
                    reason=verdict.reason,
                )
                break
            if answer.action is Action.ACCEPT:
                break
        self._report(Stage.ATTEMPT, mail, verdict, None)
        return verdict

    def _tell(
        self,
        stage: Stage,
        mail: QueuedMail,
        outcomes: Mapping[Recipient, Outcome] | None = None,
    ) -> None:
        if not self._asked.get(stage) and (self._reports is None or not self._reports.wanted):
            return
        mail = self._tagged(mail)
        self._report(stage, mail, CONTINUE, outcomes)
        rules = self._rules(stage, mail)
        if not rules:
            return
        if self._tellings >= self._most_tellings:
            if not self._left_out:
                _log.warn("queue: filters are too slow to be told of everything")
            self._left_out += 1
            return
        self._tellings += 1
        subject = (mail,) if outcomes is None else (mail, outcomes)
        Deferred.fromCoroutine(self._tell_each(stage, rules, mail, subject)).addBoth(self._told)

    async def _tell_each(
        self, stage: Stage, rules: Sequence[Rule], mail: QueuedMail, subject: tuple[object, ...]
    ) -> None:
        for rule in rules:
            guard = Guard(rule, self._clock, f"queue {mail.queue_id}:")
            self._note_tags(mail, await guard.ask(stage, subject))

    def _told(self, result: object) -> None:
        self._tellings -= 1
        if isinstance(result, Failure):
            _log.failure("queue: a filter could not be told", result)
        if self._left_out and not self._tellings:
            _log.warn("queue: filters were not told of {n} things", n=self._left_out)
            self._left_out = 0

    def _rules(self, stage: Stage, mail: QueuedMail) -> list[Rule]:
        """Find who wants to know of it."""
        return [
            rule
            for rule in self._asked.get(stage, ())
            if rule.condition.holds_in_queue(mail, self._is_local)
        ]

    def _report(
        self,
        stage: Stage,
        mail: QueuedMail,
        verdict: Verdict,
        outcomes: Mapping[Recipient, Outcome] | None,
    ) -> None:
        if self._reports is not None and self._reports.wanted:
            self._reports.publish(report_of_queue(stage, self._now(), mail, verdict, outcomes))

    def _tagged(self, mail: QueuedMail) -> QueuedMail:
        known = self._tags.get(mail.queue_id)
        return mail if known is None else replace(mail, tags=mail.tags | known)

    def _note_tags(self, mail: QueuedMail, verdict: Verdict) -> None:
        tags = frozenset(one.name for one in verdict.changes if isinstance(one, Tag))
        if not tags:
            return
        self._tags[mail.queue_id] = self._tags.pop(mail.queue_id, mail.tags) | tags
        while len(self._tags) > self._remembered:
            self._tags.popitem(last=False)
