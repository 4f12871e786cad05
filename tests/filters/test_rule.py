"""Tests for `mailplat.filters.rule`: whatever a filter does, it is asked in bounds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.filters.breaker import Breaker
from mailplat.filters.rule import Guard, Rule
from mailplat.filters.threads import FilterThreads
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.model.peer import Peer
from mailplat.model.verdict import CONTINUE, Action, Tag, Verdict
from mailplat.testing.strict import LoggedErrors

CONTEXT = Context("s1", "mx", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
TAGGED = Verdict(changes=(Tag("t"),))


@implementer(IFilter)
class Does:
    """A filter that does anything at HELO."""

    stages = (Stage.HELLO,)

    def __init__(self, what: Callable[[], Any], *, blocking: bool = False) -> None:
        self.name = "does"
        self.blocking = blocking
        self.asked = 0
        self._what = what

    def open(self) -> IStages:
        """See `IFilter.open`."""
        outer = self

        @implementer(IStages)
        class Doing(Stages):
            def hello(self, context: Context, name: str) -> Any:
                outer.asked += 1
                return outer._what()

        return Doing()


def ask(what: Callable[[], Any] | Does, clock: Clock | None = None, **said: Any) -> list[Verdict]:
    """Ask a filter; the list gets its verdict."""
    one = what if isinstance(what, Does) else Does(what)
    guard = Guard(Rule(one, **{"timeout": 5, **said}), clock or Clock(), "s1")
    got: list[Verdict] = []
    Deferred.fromCoroutine(guard.ask(Stage.HELLO, (CONTEXT, "h"))).addCallback(got.append)
    return got


def _exit() -> None:
    sys.exit("leave")


def _interrupt() -> None:
    raise KeyboardInterrupt


def _deep() -> Any:
    return _deep()


class Strange(BaseException):
    """No Exception."""


async def _raise_later() -> Verdict:
    raise Strange


class Odd:
    """Something that says it can be awaited, and cannot."""

    def __await__(self) -> Any:
        return 5


@pytest.mark.parametrize("what", [_exit, _interrupt, _deep, _raise_later, Odd])
def test_exceptions_of_all_kinds(what: Callable[[], Any], logged_errors: LoggedErrors) -> None:
    """An exit, an interrupt, an endless recursion: the mail is deferred and the server goes on."""
    (verdict,) = ask(what)
    assert verdict.action is Action.DEFER
    assert verdict.reply is not None
    assert verdict.reply.code == 451
    logged_errors.flush()


def test_cannot_be_opened(logged_errors: LoggedErrors) -> None:
    """A filter whose connection cannot begin fails at each question, and no client is lost."""

    @implementer(IFilter)
    class Broken:
        name = "broken"
        stages = (Stage.HELLO,)

        def open(self) -> IStages:
            raise RuntimeError("secret")

    guard = Guard(Rule(Broken()), Clock(), "s1")
    assert len(logged_errors.flush(RuntimeError)) == 1
    got: list[Verdict] = []
    Deferred.fromCoroutine(guard.ask(Stage.HELLO, (CONTEXT, "h"))).addCallback(got.append)
    assert got[0].action is Action.DEFER
    assert "secret" not in got[0].reason


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        (Action.DEFER, Action.DEFER),
        (Action.REJECT, Action.REJECT),
        (Action.HOLD, Action.HOLD),
        (Action.QUARANTINE, Action.QUARANTINE),
        (Action.ACCEPT, Action.CONTINUE),  # the others are still asked
    ],
)
def test_on_error(on_error: Action, expected: Action) -> None:
    """The operator says what becomes of mail whose filter is no help."""
    (verdict,) = ask(lambda: None, on_error=on_error)
    assert verdict.action is expected


async def _never_stops(waiting: list[Deferred[None]]) -> Verdict:
    """Wait again, whoever stops the wait."""
    while True:
        waiting.append(Deferred())
        try:
            await waiting[-1]
        except CancelledError:
            continue


def test_endless_wait_that_cannot_be_stopped() -> None:
    """A filter that catches its own end and waits on holds nobody up."""
    clock, waiting = Clock(), list[Deferred[None]]()
    got = ask(lambda: _never_stops(waiting), clock)
    clock.advance(5)
    assert got[0].action is Action.DEFER
    assert len(waiting) == 2
    assert not clock.getDelayedCalls()


def test_a_canceller_that_raises(logged_errors: LoggedErrors) -> None:
    """Nor does one that fails when it is stopped."""

    def refuse(_: object) -> None:
        raise Strange

    clock = Clock()
    got = ask(lambda: Deferred(refuse), clock)
    clock.advance(5)
    assert got[0].action is Action.DEFER
    logged_errors.flush()


def test_a_late_answer_is_nobodys() -> None:
    """What comes after the limit is neither taken nor an unhandled error."""
    clock, late = Clock(), Deferred[None]()

    async def clings() -> Verdict:
        try:
            await Deferred[None]()
        except CancelledError:
            await late
        raise RuntimeError("too late")

    got = ask(clings, clock)
    clock.advance(5)
    late.callback(None)
    assert [one.action for one in got] == [Action.DEFER]


def test_blocking_beyond_the_limit() -> None:
    """A call that came back too late counts as none: nothing passes because somebody slept."""
    clock = Clock()

    def sleep() -> Verdict:
        clock.advance(6)
        return Verdict(Action.ACCEPT)

    (verdict,) = ask(sleep, clock)
    assert verdict.action is Action.DEFER


def test_circuit_breaker() -> None:
    """After some failures a filter is left alone; a probe brings it back."""
    clock, breaker = Clock(), Breaker(2, 10)
    answers: Iterator[Any] = iter([None, None, None, TAGGED, TAGGED])
    one = Does(lambda: next(answers))
    actions = [ask(one, clock, breaker=breaker)[0].action for _ in range(4)]
    assert actions == [Action.DEFER] * 4
    assert one.asked == 2
    clock.advance(10)
    assert ask(one, clock, breaker=breaker)[0].action is Action.DEFER  # the probe failed
    assert one.asked == 3
    clock.advance(10)
    assert ask(one, clock, breaker=breaker) == [TAGGED]
    assert ask(one, clock, breaker=breaker) == [TAGGED]


def test_a_dropped_probe_is_not_the_last() -> None:
    """Who does not wait for a probe leaves it to the next one; nothing is said of the filter."""
    clock, breaker, asked = Clock(), Breaker(1, 10), Does(lambda: Deferred())
    ask(lambda: None, clock, breaker=breaker)
    clock.advance(10)
    guard = Guard(Rule(asked, breaker=breaker), clock, "s1")
    probe = Deferred.fromCoroutine(guard.ask(Stage.HELLO, (CONTEXT, "h")))
    got: list[Verdict] = []
    probe.addCallback(got.append)
    probe.cancel()
    assert got[0].action is Action.DEFER
    assert ask(lambda: TAGGED, clock, breaker=breaker) == [TAGGED]


@pytest_twisted.ensureDeferred
async def test_blocking_filters_have_threads() -> None:
    """What says that it blocks does so elsewhere; its answer is checked as all are."""
    threads, names = FilterThreads(reactor), list[str]()

    def slow() -> Verdict:
        names.append(threading.current_thread().name)
        return TAGGED

    rule = Rule(Does(slow, blocking=True), threads=threads)
    verdict = await Guard(rule, reactor, "s1").ask(Stage.HELLO, (CONTEXT, "h"))
    assert verdict == TAGGED
    assert names == ["filter"]
    await threads.close()


@pytest_twisted.ensureDeferred
async def test_a_thread_that_never_returns() -> None:
    """It is abandoned at the limit; the same connection's next question is not put to it."""
    threads, gate = FilterThreads(reactor), threading.Event()

    def stuck() -> Verdict:
        gate.wait(5)
        return CONTINUE

    one = Does(stuck, blocking=True)
    guard = Guard(Rule(one, timeout=0.01, threads=threads), reactor, "s1")
    for _ in range(2):
        verdict = await guard.ask(Stage.HELLO, (CONTEXT, "h"))
        assert verdict.action is Action.DEFER
    assert one.asked == 1
    assert threads.abandoned == 1
    gate.set()
    while threads.abandoned:
        tick: Deferred[None] = Deferred()
        reactor.callLater(0.001, tick.callback, None)
        await tick
    await threads.close()


def test_blocking_without_threads() -> None:
    """It is not asked at all where there are none: the reactor is nobody's to block."""
    one = Does(lambda: TAGGED, blocking=True)
    assert ask(one)[0].action is Action.DEFER
    assert one.asked == 0


def test_told_while_it_rests() -> None:
    """The end of a connection is told even to a filter that is not asked anything."""
    told: list[str] = []

    @implementer(IStages)
    class Ending(Stages):
        def disconnect(self, context: Context) -> Awaitable[None] | None:
            told.append(context.session_id)
            return None

    @implementer(IFilter)
    class Ends:
        name = "ends"
        stages = (Stage.DISCONNECT,)

        def open(self) -> IStages:
            return Ending()

    breaker = Breaker(1, 10)
    breaker.failed(0)
    guard = Guard(Rule(Ends(), breaker=breaker), Clock(), "s1")
    Deferred.fromCoroutine(guard.ask(Stage.DISCONNECT, (CONTEXT,)))
    assert told == ["s1"]
