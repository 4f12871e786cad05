"""Tests for `mailplat.queue.runner`: attempts, retries, destinations, deadlines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred as Later

from mailplat.interfaces.agents import Attempt
from mailplat.interfaces.spool import Lane, Selection
from mailplat.model.address import Address
from mailplat.model.envelope import ByMode, DeliverBy, Notify, Sender
from mailplat.model.errors import StorageFull
from mailplat.model.outcome import Bounced, Deferred, Delivered, Expanded
from mailplat.model.reply import Reply
from mailplat.queue.runner import QueueLimits
from mailplat.testing.spools import NOON, to
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import turn

ANN, BOB = to("ann@example.net"), to("bob@example.com")
NULL = Sender(None)
LATER = Deferred(Reply.of(451, "Come back", "4.7.1"), "mx.example.net")
AWAY = Deferred(Reply.of(451, "No answer", "4.4.1"), "mx.example.net")
DONE = Delivered("mx.example.net")
NEVER = Bounced(Reply.of(550, "No such user", "5.1.1"), "mx.example.net")


@pytest_twisted.ensureDeferred
async def test_delivers_what_is_there_and_what_comes(yard: Any) -> None:
    """Mail of a former run and new mail go out at once, a lane at a time, and are gone."""
    await yard.accept("q1", ANN, to("zoe@example.net"), BOB)
    await yard.start()
    await yard.rest()
    await yard.accept("q2", ANN, body=b"x" * 100_000)
    await yard.accept("q3", to("alice@example.org"), agent="mailbox")
    await yard.rest()
    assert sorted(yard.relay.tried) == [
        ("q1", ["ann@example.net", "zoe@example.net"]),
        ("q1", ["bob@example.com"]),
        ("q2", ["ann@example.net"]),
    ]
    assert yard.mailbox.tried == [("q3", ["alice@example.org"])]
    assert b"x" * 100_000 in yard.relay.bodies
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_retries_exactly_when_it_is_time(yard: Any) -> None:
    """What is deferred is tried at its time, alone; the runner sleeps until then."""
    yard.relay.answers = {"ann@example.net": LATER}
    await yard.start()
    await yard.accept("q1", ANN, to("zoe@example.net"))
    await yard.pass_time(299)
    assert len(yard.relay.tried) == 1
    ((pending,),) = [mail.pending for mail in (await yard.found()).values()]
    assert (pending.due, pending.attempts, pending.last) == (NOON + 300, 1, LATER)
    await yard.pass_time(1)
    assert yard.relay.tried[1:] == [("q1", ["ann@example.net"])]
    yard.relay.answers = {}
    await yard.pass_time(480)
    assert len(yard.relay.tried) == 3
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_gives_up_after_five_days(yard: Any) -> None:
    """A mail that never gets through warns once, is bounced at its end, and the report goes out."""
    yard.relay.answers = {"ann@example.net": LATER}
    await yard.start()
    await yard.accept("q1", ANN)
    await yard.pass_time(4 * 3600 - 1)
    assert yard.mailbox.tried == []
    await yard.pass_time(1)
    assert yard.mailbox.tried == [("r0001", ["alice@example.org"])]
    assert b"Action: delayed" in yard.mailbox.bodies[0]
    assert b"Will-Retry-Until: Tue, 06 Jan 2026 12:00:00 +0000" in yard.mailbox.bodies[0]
    await yard.pass_time(5 * 86400 - 4 * 3600)
    assert [name for name, _ in yard.mailbox.tried] == ["r0001", "r0002"]
    assert b"Action: failed" in yard.mailbox.bodies[1]
    assert await yard.found() == {}
    assert len(yard.relay.tried) > 100


@pytest_twisted.ensureDeferred
async def test_a_dead_destination_is_left_alone(yard: Any) -> None:
    """After a window of failures nothing more is tried there; one attempt a rest finds out."""
    yard.relay.answers = {f"u{n}@example.net": AWAY for n in range(50)}
    await yard.start()
    for n in range(50):
        await yard.accept(f"q{n}", to(f"u{n}@example.net"), sender=NULL)
    await yard.rest()
    assert 4 <= len(yard.relay.tried) <= 8
    before = len(yard.relay.tried)
    await yard.accept("other", BOB)
    await yard.accept("late", to("u1@example.net"), sender=NULL)
    await yard.pass_time(299)
    assert yard.relay.tried[before:] == [("other", ["bob@example.com"])]
    await yard.pass_time(2)
    assert len(yard.relay.tried) == before + 2  # one attempt
    (state,) = await yard.spool.lanes(10)
    assert (state.failures, state.blocked, state.last) == (2, NOON + 300 + 480, AWAY)
    yard.relay.answers = {}
    await yard.pass_time(480)
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_waits_in_a_dead_lane_are_warned_of_and_bounced(yard: Any) -> None:
    """Deadlines hold for mail that was never tried itself, because its destination is dead."""
    yard.relay.answers = {f"u{n}@example.net": AWAY for n in range(30)}
    yard.schedule = replace(yard.schedule, longest=50_000.0, growth=10.0)
    await yard.start()
    for n in range(30):
        await yard.accept(f"q{n:02}", to(f"u{n}@example.net"))
    await yard.pass_time(4 * 3600)
    tried = {name for name, _ in yard.relay.tried}
    assert len(tried) < 10
    assert len(yard.mailbox.tried) == 30
    await yard.pass_time(5 * 86400)
    assert len(yard.mailbox.tried) == 60
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_concurrency(yard: Any) -> None:
    """A destination gets so much at once and no more, growing with success; all share a limit."""
    yard.limits = QueueLimits(attempts=12, per_destination=8, first=3)
    waiting: list[Later[Any]] = []

    def hang(attempt: Any) -> Later[Any]:
        waiting.append(Later())
        return waiting[-1]

    await yard.start()
    for n in range(20):
        yard.relay.answers[f"n{n}@example.net"] = hang
        await yard.accept(f"n{n:02}", to(f"n{n}@example.net"))
    await yard.until(lambda: len(waiting) == 3)
    for n in range(20):
        yard.relay.answers[f"c{n}@d{n}.example"] = hang
        await yard.accept(f"c{n:02}", to(f"c{n}@d{n}.example"))
    await yard.until(lambda: len(waiting) == 12)
    while await yard.found():
        if waiting:
            waiting.pop(0).callback(Delivered("x"))
    await yard.rest()
    assert yard.relay.most == 12
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_large_mails_go_in_pieces(yard: Any) -> None:
    """An attempt has so many recipients and no more; the others follow."""
    yard.limits = QueueLimits(recipients=50, waiting=60)
    everybody = [to(f"u{n:03}@example.net") for n in range(220)]
    await yard.start()
    await yard.accept("q1", *everybody)
    await yard.rest()
    assert sum(len(names) for _, names in yard.relay.tried) == 220
    assert len({name for _, names in yard.relay.tried for name in names}) == 220
    assert max(len(names) for _, names in yard.relay.tried) == 50
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_many_lanes_and_many_mails_with_little_memory(yard: Any) -> None:
    """What does not fit into memory waits its turn in the spool."""
    yard.limits = QueueLimits(attempts=4, lanes=3, waiting=4)
    for n in range(150):
        await yard.accept(f"q{n:03}", to(f"u@d{n % 15}.example"))
    await yard.start()
    await yard.rest()
    assert len(yard.relay.tried) == 150
    assert len({name for name, _ in yard.relay.tried}) == 150
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_agents_that_misbehave(yard: Any, logged_errors: LoggedErrors) -> None:
    """An exception, a missing answer, nonsense, no agent at all: deferred, each for itself."""
    yard.relay.answers = {"ann@example.net": ValueError("oops"), "bob@example.com": "nonsense"}
    await yard.start()
    await yard.accept("q1", ANN)
    await yard.accept("q2", BOB)
    await yard.accept("q3", ANN, agent="gone")
    await yard.rest()
    found = await yard.found()
    said = {name: mail.pending[0].last.reply.status for name, mail in found.items()}
    assert said == {"q1": "4.3.0", "q2": "4.3.0", "q3": "4.3.5"}
    assert len(logged_errors.flush()) == 2


@pytest_twisted.ensureDeferred
async def test_settling_is_tried_until_it_works(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the outcome cannot be written down, the attempt is not repeated: writing is."""
    right = yard.spool.settle
    left = [3]

    async def settle(*args: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise StorageFull("no room")
        await right(*args)

    monkeypatch.setattr(yard.spool, "settle", settle)
    await yard.start()
    await yard.accept("q1", ANN)
    await yard.rest()
    assert len(await yard.found()) == 1
    await yard.accept("q1b", ANN)  # the lane is not held up
    await yard.pass_time(31)
    assert await yard.found() == {}
    assert [name for name, _ in yard.relay.tried] == ["q1", "q1b"]


@pytest_twisted.ensureDeferred
async def test_others_are_tried_while_outcomes_are_written(
    yard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt's place is free when it has ended; what is not written down yet is bounded."""
    right, gates = yard.spool.settle, [Later[None]() for _ in range(12)]
    waiting = iter(gates)

    async def settle(*args: Any) -> None:
        await next(waiting)
        await right(*args)

    monkeypatch.setattr(yard.spool, "settle", settle)
    yard.limits = QueueLimits(per_destination=4, first=4)
    for number in range(12):
        await yard.accept(f"q{number:02}", ANN)
    try:
        await yard.start()
        await yard.until(lambda: len(yard.relay.tried) >= 4)
        for _ in range(20):
            await turn()
        tried = len(yard.relay.tried)
    finally:
        for gate in gates:
            gate.callback(None)
    assert 4 <= tried <= 8
    await yard.rest()
    assert sorted(name for name, _ in yard.relay.tried) == [f"q{n:02}" for n in range(12)]
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_the_late_do_not_hold_up_the_due(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long time off there are many deadlines: they are looked at between attempts."""
    yard.relay.answers = {"ann@example.net": Deferred(Reply.of(451, "later", "4.2.0"))}
    await yard.start()
    for number in range(250):
        await yard.accept(f"q{number:03}", ANN)
    await yard.rest()
    await yard.stop()
    yard.clock.advance(yard.schedule.lifetime + 86400)
    await yard.accept("new", BOB)
    looks, right = [], yard.spool.overdue

    async def overdue(now: int, limit: int) -> Any:
        looks.append("new" in [name for name, _ in yard.relay.tried])
        return await right(now, limit)

    monkeypatch.setattr(yard.spool, "overdue", overdue)
    await yard.start()
    await yard.rest()
    assert len(looks) >= 3
    assert looks[-1]
    assert len(await yard.found()) < 250


@pytest_twisted.ensureDeferred
async def test_what_the_operator_does_is_obeyed(yard: Any) -> None:
    """Held mail is not tried though it was in memory; what is released or retried goes on."""
    yard.limits = QueueLimits(attempts=1)
    hang: Later[Any] = Later()
    yard.relay.answers = {"ann@example.net": lambda attempt: hang}
    await yard.start()
    await yard.accept("q1", ANN)
    await yard.until(lambda: yard.relay.together == 1)
    for n in range(5):
        await yard.accept(f"h{n}", BOB)
    for _ in range(30):
        await turn()
    await yard.spool.hold(Selection(queue_ids=("h0", "h1")), True)
    await yard.spool.remove(Selection(queue_ids=("h2",)))
    yard.runner.changed()
    hang.callback(LATER)
    await yard.rest()
    assert [name for name, _ in yard.relay.tried] == ["q1", "h3", "h4"]
    await yard.spool.hold(Selection(), False)
    yard.relay.answers = {}
    await yard.spool.retry(Selection())
    yard.runner.changed()
    await yard.rest()
    assert {name for name, _ in yard.relay.tried[3:]} == {"h0", "h1", "q1"}
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_stops_in_time(yard: Any) -> None:
    """At the end, attempts may finish; what hangs is cut off, and tried again by the next run."""
    yard.limits = QueueLimits(grace=30)
    good: Later[Any] = Later()
    hung: Later[Any] = Later()
    yard.relay.answers = {"ann@example.net": lambda _: good, "bob@example.com": lambda _: hung}
    await yard.start()
    await yard.accept("q1", ANN)
    await yard.accept("q2", BOB)
    await yard.until(lambda: yard.relay.together == 2)
    runner, yard.runner = yard.runner, None
    closing = Later.fromCoroutine(runner.close())
    good.callback(Delivered("x"))
    await yard.until(lambda: yard.relay.together == 1)
    await yard.accept("q3", ANN)
    yard.clock.advance(30)
    await closing
    assert set(await yard.found()) == {"q2", "q3"}
    yard.relay.answers = {}
    await yard.start()
    await yard.rest()
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_expands(yard: Any) -> None:
    """Those whom a recipient stands for take its place, by their own agents; circles end."""
    lists: dict[str, Callable[[Any], Expanded]] = {
        "team@example.org": lambda _: Expanded(
            (Address("ann", "example.net"), Address("bob", "example.org"))
        ),
        "ring@example.org": lambda _: Expanded((Address("Ring", "example.org"),)),
        "Ring@example.org": lambda _: Expanded((Address("ring", "example.org"),)),
        "void@example.org": lambda _: Expanded((Address("nobody", "example.org"),)),
    }
    yard.mailbox.answers = lists
    await yard.start()
    await yard.accept("q1", to("team@example.org"), agent="mailbox")
    await yard.rest()
    assert yard.relay.tried == [("q1", ["ann@example.net"])]
    assert yard.mailbox.tried[1] == ("q1", ["bob@example.org"])
    assert len(yard.mailbox.tried) == 2
    await yard.accept("q2", to("ring@example.org"), to("void@example.org"), agent="mailbox")
    await yard.rest()
    assert await yard.found() == {}
    reports = b"".join(body for body in yard.mailbox.bodies if b"delivery-status" in body)
    assert reports.count(b"Status: 5.4.6") == 1
    assert reports.count(b"Status: 5.1.1") == 1


@pytest_twisted.ensureDeferred
async def test_lanes_of_agents(yard: Any) -> None:
    """An agent that is one place has one lane, whatever the domains are."""
    yard.agents["smarthost"] = yard.relay
    yard.relay.answers = {"ann@example.net": AWAY, "bob@example.com": AWAY}
    await yard.start()
    await yard.accept("q1", ANN, BOB, agent="smarthost", sender=NULL)
    await yard.rest()
    assert yard.relay.tried == [("q1", ["ann@example.net", "bob@example.com"])]
    assert [one.lane for one in await yard.spool.lanes(9)] == [Lane("smarthost", "")]


@pytest_twisted.ensureDeferred
async def test_null_sender_and_never(yard: Any) -> None:
    """Nobody is told of what the null sender sent, nor of what NOTIFY=NEVER was said for."""
    yard.relay.answers = {"ann@example.net": NEVER}
    await yard.start()
    await yard.accept("q1", ANN, sender=NULL)
    await yard.accept("q2", to("ann@example.net", Notify.NEVER))
    await yard.rest()
    assert yard.mailbox.tried == []
    assert await yard.found() == {}


@pytest_twisted.ensureDeferred
async def test_held_and_timed_mail(yard: Any) -> None:
    """Held mail goes out at its release, to the second; what is late goes back."""
    left: list[int] = []

    def defer(attempt: Attempt) -> Deferred:
        assert attempt.sender.deliver_by is not None
        left.append(attempt.sender.deliver_by.seconds)
        return LATER

    alice = Address("alice", "example.org")
    await yard.start()
    await yard.accept("held", ANN, sender=Sender(alice, hold_for=1000))
    await yard.pass_time(999)
    assert yard.relay.tried == []
    await yard.pass_time(2)
    assert [name for name, _ in yard.relay.tried] == ["held"]
    yard.relay.answers = {"ann@example.net": defer}
    by = DeliverBy(500, ByMode.RETURN)
    await yard.accept("late", ANN, sender=Sender(alice, deliver_by=by))
    await yard.pass_time(499)
    assert "late" in await yard.found()
    await yard.pass_time(2)
    assert "late" not in await yard.found()
    assert left[:2] == [500, 200]
    assert yard.mailbox.tried[-1][1] == ["alice@example.org"]  # is told


@pytest_twisted.ensureDeferred
async def test_urgent_mail_goes_before_what_waits(yard: Any) -> None:
    """Also before what was read already (RFC 6710 §5.1)."""
    gate: Later[Delivered] = Later()
    yard.limits = QueueLimits(attempts=1, first=1)
    yard.relay.answers = {"first@example.net": lambda attempt: gate}
    await yard.start()
    await yard.accept("q0", to("first@example.net"), sender=NULL)
    for number in range(1, 6):
        await yard.accept(f"q{number}", ANN, sender=NULL)
    await yard.accept("other", BOB, sender=NULL)
    for _ in range(50):
        await turn()
    await yard.accept("urgent", BOB, sender=Sender(None, priority=5))
    await yard.accept("more", ANN, sender=Sender(None, priority=6))
    for _ in range(50):
        await turn()
    gate.callback(DONE)
    await yard.rest()
    names = [name for name, _ in yard.relay.tried]
    assert set(names[1:3]) == {"urgent", "more"}
    assert len(names) == 9
