"""A filter with what the operator said of it, and how it is asked one question.

Invariants:

- `Guard.ask` never raises, and answers within the time limit, as long as the filter gives the
  reactor back; what it does too late, or wrong, becomes the operator's ``on_error``.
- Text of the filter's own goes to the log, and nowhere else.
- A filter that failed too often in a row is not asked (`mailplat.filters.breaker`).
- One that says it blocks is asked in a thread (`mailplat.filters.threads`), or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.filters.breaker import Breaker
from mailplat.filters.checking import Bounds, Unsound, checked
from mailplat.filters.condition import ALWAYS, Condition
from mailplat.filters.threads import FilterThreads
from mailplat.interfaces.filters import IFilter, Stage
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Verdict

__all__ = ["Guard", "Rule"]

_log = Logger()

_LATER = Reply.of(451, "Cannot check this now; please try again later", "4.7.1")
_TOLD = {Stage.DENY, Stage.DISCONNECT}
"""Stages whose answer counts for nothing, and that a filter is told of even while it rests."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter and what the operator said of it.

    Attributes:
        filter: The filter.
        timeout: Seconds that one question may take.
        on_error: What becomes of the mail when the filter fails; ACCEPT goes on to the next filter
            as if it had not been asked.
        max_changes: Changes that one verdict may ask for.
        max_header_bytes: Bytes of header fields that one verdict may add.
        max_body: Bytes of a body that a verdict may put in place of the message's.
        remap: Other actions in place of some that it answers.
        condition: When it is asked.
        breaker: Holds questions back after failures.
        threads: Where it is asked if it blocks.
    """

    filter: IFilter
    timeout: float = 30.0
    on_error: Action = Action.DEFER
    max_changes: int = 100
    max_header_bytes: int = 64 * 1024
    max_body: int = 50 * 1024 * 1024
    remap: Mapping[Action, Action] = field(default_factory=dict)
    condition: Condition = ALWAYS
    breaker: Breaker = field(default_factory=Breaker)
    threads: FilterThreads | None = None

    @property
    def reads_only(self) -> bool:
        """Whether it may be asked together with its neighbours."""
        return bool(getattr(self.filter, "reads_only", False))


class _TooLate(Exception):
    """There was no answer in time."""


class _Dropped(Exception):
    """Who asked does not want to know any more."""


class Guard:
    """Asks one filter the questions of one connection, or of the queue.

    Args:
        rule: The filter.
        clock: Times it.
        who: What log lines begin with: a session's id.
    """

    def __init__(self, rule: Rule, clock: IReactorTime, who: str) -> None:
        self.rule = rule
        self.name = rule.filter.name
        self._clock = clock
        self._who = who
        self._bounds = Bounds(rule.max_changes, rule.max_header_bytes, rule.max_body)
        self._blocking = bool(getattr(rule.filter, "blocking", False))
        self._stages: Any = None
        try:
            self._stages = rule.filter.open()
        except BaseException:  # whatever it is: each question to it fails
            _log.failure("{session} {filter} cannot be opened", session=who, filter=self.name)

    async def ask(self, stage: Stage, subject: tuple[Any, ...]) -> Verdict:
        """Ask, and give a verdict that can be relied on.

        Args:
            stage: Which method to call.
            subject: What it takes.
        """
        rule, breaker = self.rule, self.rule.breaker
        if stage not in _TOLD and not breaker.allows(self._clock.seconds()):
            return self._on_error()
        try:
            began = self._clock.seconds()
            answer = self._answer(stage, subject)
            if isinstance(answer, Awaitable):
                answer = await self._in_time(answer)
            elif self._clock.seconds() - began > rule.timeout:
                raise _TooLate
            if stage in _TOLD:
                return CONTINUE
            verdict: Verdict = answer
            if answer is not CONTINUE:
                verdict = checked(answer, self._bounds, rule.remap)
        except _TooLate:
            return self._failed(stage, f"no answer in {rule.timeout:g} s")
        except (Unsound, Unavailable) as error:
            return self._failed(stage, error.reason)
        except _Dropped:
            breaker.dropped()
            return Verdict(Action.DEFER, _LATER, reason="nobody waited for the answer")
        except GeneratorExit:
            breaker.dropped()
            raise
        except BaseException:  # a filter that calls sys.exit() does not end the server
            _log.failure(
                "{session} {filter} failed at {stage}",
                session=self._who,
                filter=self.name,
                stage=stage.value,
            )
            return self._failed(stage, "it raised an exception")
        if breaker.answered():
            _log.info("{filter} answers again", filter=self.name)
        return verdict

    def _answer(self, stage: Stage, subject: tuple[Any, ...]) -> Any:
        """Call the filter's method, here or in a thread."""
        if self._stages is None:
            raise Unavailable("it could not be opened")
        method: Callable[..., Any] = getattr(self._stages, stage.value)
        if not self._blocking:
            return method(*subject)
        if self.rule.threads is None:
            raise Unavailable("it blocks, and there are no threads for it")
        return self.rule.threads.call(self._stages, lambda: method(*subject))

    def _in_time(self, answer: Awaitable[Any]) -> Deferred[Any]:
        """Wait for an answer, but no longer than the limit, whatever the filter does meanwhile."""

        def dropped(waited: Deferred[Any]) -> None:
            stop()
            waited.errback(Failure(_Dropped()))

        def stop() -> None:
            if limit.active():
                limit.cancel()
            try:
                running.cancel()
            except BaseException:
                _log.failure("{filter} does not let itself be stopped", filter=self.name)

        def too_late() -> None:
            # not left to `running`: a filter may catch what stops it, and go on
            stop()
            if not result.called:
                result.errback(Failure(_TooLate()))

        def answered(value: Any) -> None:
            if limit.active():
                limit.cancel()
                result.callback(value)

        async def waited() -> Any:
            value = await answer
            # a blocking method may have given something to wait for
            return await value if isinstance(value, Awaitable) else value

        result: Deferred[Any] = Deferred(dropped)
        limit = self._clock.callLater(self.rule.timeout, too_late)
        running = Deferred.fromCoroutine(waited())
        running.addBoth(answered)
        return result

    def _failed(self, stage: Stage, why: str) -> Verdict:
        rule = self.rule
        _log.warn(
            "{session} {filter} is no help at {stage}: {why}; on_error: {action}",
            session=self._who,
            filter=self.name,
            stage=stage.value,
            why=why,
            action=rule.on_error.name.lower(),
        )
        if stage not in _TOLD and rule.breaker.failed(self._clock.seconds()):
            _log.warn(
                "{filter} failed again and again: it is not asked for {seconds:g} s",
                filter=self.name,
                seconds=rule.breaker.rest,
            )
        return self._on_error()

    def _on_error(self) -> Verdict:
        """Say what the operator wants of mail whose filter is no help."""
        action = self.rule.on_error
        if action is Action.ACCEPT:
            return CONTINUE  # as if it were not there; the others are still asked
        reply = _LATER if action is Action.DEFER else None
        return Verdict(action, reply, reason=f"{self.name} failed", by=self.name)
