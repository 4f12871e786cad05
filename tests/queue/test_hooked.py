"""Tests for the queue's hooks: they see all, put off and hold, and lose nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest_twisted
from twisted.internet.defer import CancelledError
from twisted.internet.defer import Deferred as Later
from zope.interface import implementer

from mailplat.interfaces.hooks import IQueueHooks, QueuedMail
from mailplat.interfaces.spool import NewMail, Selection
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Expanded, Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Verdict
from mailplat.testing.agents import StringBody
from mailplat.testing.spools import NOON, to
from mailplat.testing.turns import turn


@implementer(IQueueHooks)
class Noting:
    """Hooks that note what they are told, and answer attempts as a test wants."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.answers: list[Any] = []

    def queued(self, mail: QueuedMail) -> None:
        """See `IQueueHooks.queued`."""
        self.told.append(("queued", mail.queue_id))

    def route(self, mail: QueuedMail) -> None:
        """See `IQueueHooks.route`."""
        self.told.append(("route", mail.queue_id, mail.agent, mail.destination))

    async def attempt(self, mail: QueuedMail) -> Verdict:
        """See `IQueueHooks.attempt`."""
        self.told.append(("attempt", mail.queue_id))
        answer = self.answers.pop(0) if self.answers else CONTINUE
        if isinstance(answer, Later):
            try:
                answer = await answer
            except CancelledError:
                answer = Verdict(Action.DEFER)
        return answer

    def settled(self, mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> None:
        """See `IQueueHooks.settled`."""
        names = {str(one.address): type(it).__name__ for one, it in outcomes.items()}
        self.told.append(("settled", mail.queue_id, names))


ANN, BOB = to("ann@example.net"), to("bob@example.com")


async def started(yard: Any) -> Noting:
    """Start a queue with hooks."""
    hooks = Noting()
    await yard.start()
    yard.runner.hooks = hooks
    return hooks


@pytest_twisted.ensureDeferred
async def test_tells_all_that_happens(yard: Any) -> None:
    """Attempts, outcomes, new ways and reports are told, when they are written down."""
    hooks = await started(yard)
    yard.relay.answers = {
        "ann@example.net": Bounced(Reply.of(550, "No", "5.1.1")),
        "bob@example.com": Expanded((Address("alice", "example.org"),)),
    }
    await yard.accept("q1", ANN, BOB)
    await yard.rest()
    assert {told for told in hooks.told if told[0] == "attempt"} == {
        ("attempt", "q1"),
        ("attempt", "r0001"),
    }
    assert ("settled", "q1", {"ann@example.net": "Bounced"}) in hooks.told
    assert ("settled", "q1", {"bob@example.com": "Expanded"}) in hooks.told
    assert ("settled", "q1", {"alice@example.org": "Delivered"}) in hooks.told
    assert ("route", "q1", "mailbox", "") in hooks.told
    # a lane that is being read may bring it before its commit is told of
    assert {("queued", "r0001"), ("attempt", "r0001")} <= {
        told for told in hooks.told if told[1:] == ("r0001",)
    }
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_puts_an_attempt_off(yard: Any) -> None:
    """A hook that says later has the mail tried at its next time; the agent hears nothing."""
    hooks = await started(yard)
    hooks.answers = [Verdict.defer("Too busy")]
    await yard.accept("q1", ANN)
    await yard.rest()
    assert yard.relay.tried == []
    ((pending,),) = [mail.pending for mail in (await yard.found()).values()]
    assert pending.due == NOON + 300
    assert pending.last == Deferred(Reply.of(451, "Too busy", "4.7.1"))
    await yard.pass_time(300)
    assert yard.relay.tried == [("q1", ["ann@example.net"])]
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_holds_a_mail(yard: Any) -> None:
    """A hook that says hold keeps the whole mail for the operator, who sees why."""
    hooks = await started(yard)
    hooks.answers = [Verdict(Action.HOLD, reason="looks odd", by="watch")] * 2
    await yard.accept("q1", ANN, BOB)
    await yard.rest()
    mail = (await yard.found())["q1"]
    assert mail.held
    assert [one.due for one in mail.pending] == [None, None]
    reasons = {one.last.reply.text for one in mail.pending if one.last is not None}
    assert reasons == {"Held by watch: looks odd"}
    await yard.pass_time(86400)
    assert yard.relay.tried == []
    hooks.answers = []
    await yard.spool.hold(Selection(), False)
    yard.runner.changed()
    await yard.rest()
    assert len(yard.relay.tried) == 2


@pytest_twisted.ensureDeferred
async def test_stopping_does_not_wait_for_hooks(yard: Any) -> None:
    """A hook that takes its time is cut off with the server, and the mail is there again."""
    hooks = await started(yard)
    hooks.answers = [Later()]
    await yard.accept("q1", ANN)
    while not hooks.told:
        await turn()
    runner, yard.runner = yard.runner, None
    closing = Later.fromCoroutine(runner.close())
    yard.clock.advance(yard.limits.grace)
    await closing
    ((pending,),) = [mail.pending for mail in (await yard.found()).values()]
    assert (pending.attempts, pending.due) == (0, NOON)


@pytest_twisted.ensureDeferred
async def test_a_held_mail_says_why(yard: Any) -> None:
    """What is held from the start shows its reason until it is tried."""
    why = Deferred(Reply.of(450, "Held by odd: strange", "4.7.1"))
    envelope = Envelope(Sender(None), (ANN,))
    await yard.spool.accept(
        [NewMail("q1", envelope, {ANN: ""}, StringBody(b"x"), held=True, why=why)]
    )
    ((pending,),) = [mail.pending for mail in (await yard.found()).values()]
    assert (pending.last, pending.due) == (why, None)
