"""Tests for `mailplat.filters.queue_hooks`: filters watch the queue, and lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.filters.condition import Condition
from mailplat.filters.queue_hooks import QueueHooks
from mailplat.filters.reports import Reports
from mailplat.filters.rule import Rule
from mailplat.interfaces.filters import QUEUE_STAGES, IFilter, IStages, Stage, Stages
from mailplat.interfaces.hooks import IQueueHooks, QueuedMail
from mailplat.model import outcome as answers
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Tag, Verdict
from mailplat.testing.strict import LoggedErrors

ALICE, BOB = (Recipient(Address(name, "example.org")) for name in ("alice", "bob"))
MAIL = QueuedMail("q1", Sender(ALICE.address), (ALICE, BOB), 7)


@implementer(IFilter)
class Watches:
    """A filter that answers whatever is said about the queue with the same."""

    stages: Sequence[Stage] = tuple(QUEUE_STAGES)

    def __init__(self, answer: Callable[[], Any] = lambda: CONTINUE, name: str = "watch") -> None:
        self.name = name
        self.seen: list[tuple[Any, ...]] = []
        self._answer = answer

    def open(self) -> IStages:
        """See `IFilter.open`."""
        outer = self

        @implementer(IStages)
        class Watching(Stages):
            def queued(self, mail: QueuedMail) -> Any:
                return outer.see(Stage.QUEUED, mail)

            def route(self, mail: QueuedMail) -> Any:
                return outer.see(Stage.ROUTE, mail)

            def attempt(self, mail: QueuedMail) -> Any:
                return outer.see(Stage.ATTEMPT, mail)

            def delivered(self, mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> Any:
                return outer.see(Stage.DELIVERED, mail, outcomes)

            def deferred(self, mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> Any:
                return outer.see(Stage.DEFERRED, mail, outcomes)

            def bounced(self, mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> Any:
                return outer.see(Stage.BOUNCED, mail, outcomes)

        return Watching()

    def see(self, *what: Any) -> Any:
        """Note what was said."""
        self.seen.append(what)
        return self._answer()


def hooks(*filters: Watches, clock: Clock | None = None, **said: Any) -> QueueHooks:
    """The queue's side of some filters."""
    rules = [Rule(one, timeout=5) for one in filters]
    return QueueHooks(rules, clock or Clock(), now=lambda: 9.0, **said)


def test_provides() -> None:
    """The hooks keep their interface."""
    verifyObject(IQueueHooks, hooks())


def test_tells_what_happened() -> None:
    """Each outcome is told at its own point, with the recipients that had it."""
    one = Watches()
    queue = hooks(one)
    queue.queued(MAIL)
    queue.route(MAIL)
    later = answers.Deferred(Reply.of(450, "Later", "4.0.0"))
    done = answers.Delivered("INBOX")
    queue.settled(MAIL, {ALICE: later, BOB: done})
    never = answers.Bounced(Reply.of(550, "No", "5.0.0"))
    queue.settled(MAIL, {ALICE: never, BOB: answers.Expanded(())})
    assert [seen[0] for seen in one.seen] == [
        *(Stage.QUEUED, Stage.ROUTE, Stage.DELIVERED, Stage.DEFERRED, Stage.BOUNCED)
    ]
    assert [seen[2] for seen in one.seen[2:]] == [{BOB: done}, {ALICE: later}, {ALICE: never}]
    assert one.seen[2][1].recipients == (BOB,)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (CONTINUE, Action.CONTINUE),
        (Verdict(Action.ACCEPT), Action.CONTINUE),
        (Verdict.defer("Later"), Action.DEFER),
        (Verdict.hold("look at it"), Action.HOLD),
        (Verdict.reject("No"), Action.HOLD),
        (Verdict(Action.DISCARD), Action.HOLD),
        (Verdict.quarantine("odd"), Action.HOLD),
        (None, Action.DEFER),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_attempt_is_held_back_at_most(said: Any, expected: Action) -> None:
    """No verdict about an attempt ends a mail."""
    one, last = Watches(lambda: said), Watches()
    verdict = await hooks(one, last).attempt(MAIL)
    assert verdict.action is expected
    assert verdict.by == ("" if expected is Action.CONTINUE else "watch")
    assert len(last.seen) == (1 if said is CONTINUE else 0)


@pytest_twisted.ensureDeferred
async def test_tags_are_remembered() -> None:
    """What a hook noted, later ones see; the oldest mails' tags are forgotten."""
    one = Watches(lambda: Verdict(changes=(Tag("seen"),)))
    queue = hooks(one, remembered=1)
    queue.queued(MAIL)
    await queue.attempt(MAIL)
    assert one.seen[1][1].tags == {"seen"}
    queue.queued(QueuedMail("q2", Sender(None), (), 0))
    queue.route(MAIL)
    assert one.seen[3][1].tags == frozenset()


def test_slow_filters_are_not_waited_for() -> None:
    """The queue goes on whatever tellings are under way; beyond a number they are left out."""
    clock, waiting = Clock(), list[Deferred[Verdict]]()

    def wait() -> Deferred[Verdict]:
        waiting.append(Deferred())
        return waiting[-1]

    queue = hooks(Watches(wait), clock=clock, tellings=3)
    for _ in range(5):
        queue.queued(MAIL)
    assert len(waiting) == 3
    clock.advance(5)
    queue.queued(MAIL)
    assert len(waiting) == 4
    clock.advance(5)


def test_failures_stay_here(logged_errors: LoggedErrors) -> None:
    """A filter that raises is logged, and the queue hears nothing of it."""

    def fail() -> Verdict:
        raise SystemExit

    hooks(Watches(fail)).queued(MAIL)
    assert len(logged_errors.flush(SystemExit)) == 1


@pytest_twisted.ensureDeferred
async def test_conditions_and_reports() -> None:
    """Who is for other mail is not asked; readers of reports see all."""
    one, reports = Watches(), Reports()
    rule = Rule(one, condition=Condition(sender_domains=frozenset({"elsewhere.example"})))
    queue = QueueHooks([rule], Clock(), reports=reports, now=lambda: 9.0)
    reader = reports.subscribe()
    queue.queued(MAIL)
    await queue.attempt(MAIL)
    queue.settled(MAIL, {ALICE: answers.Delivered("INBOX")})
    assert one.seen == []
    found = [(report.event, report.at, report.queue_id) for report in await reader.read()]
    assert found == [("queued", 9.0, "q1"), ("attempt", 9.0, "q1"), ("delivered", 9.0, "q1")]
