"""The chain: asks the filters of a listener, and makes one verdict of many.

Invariants:

- `Chain.ask` never raises and never waits longer than the filters' time limits together.
- Whatever a filter does wrong becomes that filter's ``on_error`` verdict (`mailplat.filters.rule`):
  by default 451, so that the mail is neither lost nor let through.
- The severest verdict holds.  Reject, Defer and Discard end the stage at once; Accept ends the
  questions for the transaction, or for the connection when it comes before MAIL; said of one
  recipient's copy it ends those about that copy.
- Verdicts are taken in the order of the configuration, whoever answers first: to ask neighbours
  at once changes nothing but the time it takes.
- Changes are applied here and nowhere else: those of envelope, tags and scores to the context,
  those of header and body by the session, from the verdict, with `mailplat.message.edit`.
- Who is told of refusals, and who reads reports, holds nothing up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from time import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.filters.reports import report_of
from mailplat.filters.rule import Guard, Rule
from mailplat.interfaces.filters import QUEUE_STAGES, Context, IChain, IChains, Mail, Stage
from mailplat.interfaces.hooks import Denial, IReports
from mailplat.model.envelope import Recipient
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddRecipient,
    Change,
    ChangeSender,
    RemoveRecipient,
    Score,
    Tag,
    Verdict,
)

__all__ = ["Chain", "Chains", "Rule"]

_log = Logger()

_FINAL = {Action.REJECT, Action.DEFER, Action.DISCARD}
_BEFORE_MAIL = {Stage.CONNECT, Stage.HELLO, Stage.AUTH}
_OF_ONE_COPY = {Stage.RECIPIENT_OF_MESSAGE}
_DENIALS = 20
"""Refusals of one connection that filters are being told of; further ones are not told."""

Plan = Mapping[Stage, Sequence[Sequence[int]]]
"""For each stage the rules that want to be asked, by their numbers: groups of those that may be
asked at once, in the order of the configuration."""


def _everywhere(domain: str) -> bool:
    """Take every domain for ours, where nobody said which are."""
    return True


@implementer(IChains)
class Chains:
    """The filters of a listener.

    Args:
        rules: The filters in their order.
        clock: Times them.
        reports: Who wants to read what happens; None for nobody.
        is_local: Whether a domain is ours, for conditions.
        now: The time, seconds since 1970 UTC, for reports.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        clock: IReactorTime,
        *,
        reports: IReports | None = None,
        is_local: Callable[[str], bool] = _everywhere,
        now: Callable[[], float] = time,
    ) -> None:
        self.rules = tuple(rules)
        self.clock = clock
        self.reports = reports
        self.is_local = is_local
        self.now = now
        self.plan = _plan(self.rules)

    def open_chain(self, context: Context) -> IChain:
        """Begin a connection."""
        return Chain(self, context)


@implementer(IChain)
class Chain:
    """The filters of one connection.

    Args:
        chains: The listener's.
        context: What is known of the connection.
    """

    def __init__(self, chains: Chains, context: Context) -> None:
        self._chains = chains
        self._context = context
        self._plan = chains.plan
        self._reports = chains.reports
        self._guards = [Guard(rule, chains.clock, context.session_id) for rule in chains.rules]
        self._accepted_connection = self._accepted_transaction = False
        self._denials = 0

    def wants(self, stage: Stage) -> bool:
        """See `IChain.wants`."""
        return stage in self._plan

    async def ask(self, stage: Stage, *subject: Any) -> Verdict:
        """See `IChain.ask`."""
        if stage is Stage.SENDER:
            self._accepted_transaction = False
        groups = self._plan.get(stage)
        verdict = CONTINUE if groups is None else await self._ask_groups(groups, stage, subject)
        if self._reports is not None and self._reports.wanted:
            now = self._chains.now()
            self._reports.publish(report_of(stage, now, self._context, subject, verdict))
        return verdict

    def deny(self, denial: Denial) -> None:
        """See `IChain.deny`."""
        for group in self._plan.get(Stage.DENY, ()):
            for number in group:
                if self._denials >= _DENIALS:
                    return
                self._denials += 1
                telling = self._guards[number].ask(Stage.DENY, (self._context, denial))
                Deferred.fromCoroutine(telling).addBoth(self._told)
        if self._reports is not None and self._reports.wanted:
            now = self._chains.now()
            self._reports.publish(report_of(Stage.DENY, now, self._context, (denial,), CONTINUE))

    def _told(self, result: object) -> None:
        self._denials -= 1
        if isinstance(result, Failure):
            _log.failure("a filter could not be told of a refusal", result)

    async def _ask_groups(
        self, groups: Sequence[Sequence[int]], stage: Stage, subject: tuple[Any, ...]
    ) -> Verdict:
        if stage is Stage.DISCONNECT:
            for group in groups:
                for number in group:
                    await self._guards[number].ask(stage, (self._context,))
            return CONTINUE
        if self._accepted_connection or self._accepted_transaction:
            return CONTINUE
        severest, changes = CONTINUE, list[Change]()
        for group in groups:
            with self._asking(group, stage, _with(changes, subject)) as answers:
                for guard, answer in answers:
                    verdict = await answer
                    changes.extend(self._apply(verdict.changes))
                    if verdict.action > severest.action:
                        severest = verdict if verdict.by else replace(verdict, by=guard.name)
                        self._log(severest, stage)
                    if verdict.action is Action.ACCEPT and stage not in _OF_ONE_COPY:
                        self._accepted_transaction = True
                        self._accepted_connection = stage in _BEFORE_MAIL
                    if verdict.action in _FINAL or verdict.action is Action.ACCEPT:
                        return replace(severest, changes=tuple(changes))
        if severest is CONTINUE and not changes:
            return CONTINUE
        return replace(severest, changes=tuple(changes))

    @contextmanager
    def _asking(
        self, group: Sequence[int], stage: Stage, subject: tuple[Any, ...]
    ) -> Iterator[Iterable[tuple[Guard, Any]]]:
        """Ask neighbours at once; those whose answer is not taken in the end are stopped."""
        context, chains = self._context, self._chains
        guards = [
            self._guards[number]
            for number in group
            if chains.rules[number].condition.holds(stage, context, subject, chains.is_local)
        ]
        questions = (context, *subject)
        if len(guards) == 1:
            yield [(guards[0], guards[0].ask(stage, questions))]
            return
        running = [Deferred.fromCoroutine(one.ask(stage, questions)) for one in guards]
        try:
            yield zip(guards, running, strict=True)
        finally:
            for one in running:
                if not one.called:
                    one.cancel()

    def _log(self, verdict: Verdict, stage: Stage) -> None:
        if verdict.action is not Action.ACCEPT:
            _log.info(
                "{session} {filter}: {action} at {stage}: {reason}",
                session=self._context.session_id,
                filter=verdict.by,
                action=verdict.action.name.lower(),
                stage=stage.value,
                reason=verdict.reason,
            )

    def _apply(self, changes: Sequence[Change]) -> list[Change]:
        """Apply what concerns the context; give back what concerns the message's bytes."""
        context, rest = self._context, list[Change]()
        for change in changes:
            match change:
                case Tag(name):
                    context.tags.add(name)
                case Score(name, points):
                    context.scores[name] = context.scores.get(name, 0.0) + points
                case ChangeSender(address, returned, envid) if context.sender is not None:
                    sender = context.sender
                    context.sender = replace(
                        sender,
                        address=address,
                        returned=returned or sender.returned,
                        envid=envid or sender.envid,
                    )
                case AddRecipient(address, notify, original):
                    if all(known.address.key != address.key for known in context.recipients):
                        context.recipients.append(Recipient(address, notify, original))
                case RemoveRecipient(address):
                    context.recipients[:] = [
                        known for known in context.recipients if known.address.key != address.key
                    ]
                case _:
                    rest.append(change)
        return rest


def _plan(rules: Sequence[Rule]) -> Plan:
    """List for each stage who wants to be asked, neighbours that only read together."""
    asked: dict[Stage, list[int]] = {}
    for number, rule in enumerate(rules):
        for stage in rule.filter.stages:
            if stage not in QUEUE_STAGES:
                asked.setdefault(stage, []).append(number)
    return {
        stage: [
            part
            for reads, group in groupby(numbers, lambda number: rules[number].reads_only)
            for part in _parted(list(group), together=reads)
        ]
        for stage, numbers in asked.items()
    }


def _parted(numbers: list[int], *, together: bool) -> list[list[int]]:
    return [numbers] if together else [[number] for number in numbers]


def _with(changes: Sequence[Change], subject: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tell a filter that sees a message what those before it wish changed."""
    match subject:
        case (Mail() as mail, *rest) if changes:
            return (replace(mail, changes=(*mail.changes, *changes)), *rest)
    return subject
