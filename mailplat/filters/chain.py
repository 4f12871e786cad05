"""The chain: asks filters, bounds what they can do, and makes one verdict of many.

Invariants:

- `Chain.ask` never raises and never waits longer than the filters' time limits together.
- Whatever a filter does wrong (an exception, no answer in time, a value that is no verdict, too
  many changes) becomes that filter's ``on_error`` verdict: by default 451, so that the mail is
  neither lost nor let through.  The filter's own text goes to the log, never to the peer.
- The severest verdict holds.  Reject, Defer and Discard end the stage at once; Accept ends the
  questions for the transaction, or for the connection when it comes before MAIL.
- Changes are applied here and nowhere else: those of envelope, tags and scores to the context,
  those of header and body by the session, from the verdict, with `mailplat.message.edit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.filters import Context, IChain, IChains, IFilter, IStages, Mail, Stage
from mailplat.interfaces.hooks import Denial
from mailplat.model.envelope import Recipient
from mailplat.model.reply import Reply
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter and what the operator said of it.

    Attributes:
        filter: The filter.
        timeout: Seconds that one question may take.
        on_error: What becomes of the mail when the filter fails.
        max_changes: Changes that one verdict may ask for.
    """

    filter: IFilter
    timeout: float = 30.0
    on_error: Action = Action.DEFER
    max_changes: int = 100


@implementer(IChains)
class Chains:
    """The filters of a listener."""

    def __init__(self, rules: Sequence[Rule], clock: IReactorTime) -> None:
        self._rules = tuple(rules)
        self._clock = clock

    def open_chain(self, context: Context) -> IChain:
        """Begin a connection."""
        return Chain(self._rules, context, self._clock)


@implementer(IChain)
class Chain:
    """The filters of one connection."""

    def __init__(self, rules: Sequence[Rule], context: Context, clock: IReactorTime) -> None:
        self._context = context
        self._clock = clock
        self._asked = _by_stage(rules)
        self._accepted_connection = self._accepted_transaction = False

    def wants(self, stage: Stage) -> bool:
        """See `IChain.wants`."""
        return stage in self._asked

    def deny(self, denial: Denial) -> None:
        """See `IChain.deny`."""
        for rule, stages in self._asked.get(Stage.DENY, ()):
            telling = self._ask_one(rule, stages, Stage.DENY, (denial,))
            Deferred.fromCoroutine(telling).addErrback(_log_failure)

    async def ask(self, stage: Stage, *subject: Any) -> Verdict:
        """See `IChain.ask`."""
        if stage is Stage.SENDER:
            self._accepted_transaction = False
        asked = self._asked.get(stage)
        if not asked:
            return CONTINUE
        if stage is Stage.DISCONNECT:
            for rule, stages in asked:
                await self._ask_one(rule, stages, stage, subject)
            return CONTINUE
        if self._accepted_connection or self._accepted_transaction:
            return CONTINUE
        severest, changes, decided_by = CONTINUE, list[Change](), ""
        for rule, stages in asked:
            verdict = await self._ask_one(rule, stages, stage, _with(changes, subject))
            changes.extend(self._apply(verdict.changes))
            if verdict.action > severest.action:
                severest, decided_by = verdict, rule.filter.name
                if verdict.action is not Action.ACCEPT:
                    _log.info(
                        "{session} {filter}: {action} at {stage}: {reason}",
                        session=self._context.session_id,
                        filter=rule.filter.name,
                        action=verdict.action.name.lower(),
                        stage=stage.value,
                        reason=verdict.reason,
                    )
            if verdict.action in _FINAL:
                break
            if verdict.action is Action.ACCEPT:
                self._accepted_transaction = True
                self._accepted_connection = stage in _BEFORE_MAIL
                break
        return replace(severest, changes=tuple(changes), by=decided_by)

    async def _ask_one(
        self, rule: Rule, stages: IStages, stage: Stage, subject: tuple[Any, ...]
    ) -> Verdict:
        try:
            answer = getattr(stages, stage.value)(self._context, *subject)
            if isinstance(answer, Awaitable):
                answer = await self._in_time(answer, rule.timeout)
        except CancelledError:
            return self._failed(rule, stage, f"no answer in {rule.timeout:g} s")
        except Exception:
            _log.failure(
                "{session} {filter} failed at {stage}",
                session=self._context.session_id,
                filter=rule.filter.name,
                stage=stage.value,
            )
            return self._failed(rule, stage, "it raised an exception")
        if stage in (Stage.DENY, Stage.DISCONNECT):
            return CONTINUE
        if not isinstance(answer, Verdict):
            return self._failed(rule, stage, f"it answered a {type(answer).__name__}")
        if len(answer.changes) > rule.max_changes:
            return self._failed(rule, stage, f"it asked for {len(answer.changes)} changes")
        return answer

    async def _in_time(self, answer: Awaitable[Verdict], timeout: float) -> Verdict:
        async def waited() -> Verdict:
            return await answer

        return await Deferred.fromCoroutine(waited()).addTimeout(
            timeout, self._clock, onTimeoutCancel=_as_cancelled
        )

    def _failed(self, rule: Rule, stage: Stage, why: str) -> Verdict:
        _log.warn(
            "{session} {filter} is no help at {stage}: {why}; on_error: {action}",
            session=self._context.session_id,
            filter=rule.filter.name,
            stage=stage.value,
            why=why,
            action=rule.on_error.name.lower(),
        )
        reply = None
        if rule.on_error is Action.DEFER:
            reply = Reply.of(451, "Cannot check this now; please try again later", "4.7.1")
        return Verdict(rule.on_error, reply, reason=f"{rule.filter.name} failed")

    def _apply(self, changes: Sequence[Change]) -> list[Change]:
        """Apply what concerns the context; give back what concerns the message's bytes."""
        context, rest = self._context, list[Change]()
        for change in changes:
            match change:
                case Tag(name):
                    context.tags.add(name)
                case Score(name, points):
                    context.scores[name] = context.scores.get(name, 0.0) + points
                case ChangeSender(address) if context.sender is not None:
                    context.sender = replace(context.sender, address=address)
                case AddRecipient(address):
                    if all(known.address.key != address.key for known in context.recipients):
                        context.recipients.append(Recipient(address))
                case RemoveRecipient(address):
                    context.recipients[:] = [
                        known for known in context.recipients if known.address.key != address.key
                    ]
                case _:
                    rest.append(change)
        return rest


def _by_stage(rules: Sequence[Rule]) -> Mapping[Stage, list[tuple[Rule, IStages]]]:
    """Open every filter once, and list for each stage those that want to be asked."""
    asked: dict[Stage, list[tuple[Rule, IStages]]] = {}
    for rule in rules:
        stages = rule.filter.open()
        for stage in rule.filter.stages:
            asked.setdefault(stage, []).append((rule, stages))
    return asked


def _with(changes: Sequence[Change], subject: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tell a filter that sees a message what those before it wish changed."""
    match subject:
        case (Mail() as mail,) if changes:
            return (replace(mail, changes=(*mail.changes, *changes)),)
    return subject


def _log_failure(failure: Failure) -> None:
    _log.failure("a filter could not be told of a refusal", failure)


def _as_cancelled(result: Any, timeout: float) -> Any:
    """Make a time-out look like the cancellation it is, whatever the filter made of it."""
    raise CancelledError(f"{timeout:g} s")
