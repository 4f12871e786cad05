"""Tests for `mailplat.queue.schedule`: a week of retries in no time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.interfaces.spool import Pending, Spooled
from mailplat.model.address import Address
from mailplat.model.envelope import ByMode, DeliverBy, Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.queue.schedule import Schedule

ARRIVED = 1_767_268_800
DAY = 86400
HOUR = 3600
LATER = Deferred(Reply.of(451, "later", "4.7.1"), "mx.example.net")


def rcpt(name: str) -> Recipient:
    """Make a recipient."""
    return Recipient(Address(name, "example.net"))


def mail(*pending: Pending, deadline: int = ARRIVED + 4 * HOUR) -> Spooled:
    """Make a mail."""
    return Spooled("q1", Sender(None), ARRIVED, 10, pending, deadline=deadline)


def test_waits_grow_from_minutes_to_an_hour() -> None:
    """Without chance, the waits are these."""
    schedule = Schedule()
    waits = [schedule.wait(n, lambda: 0.5) for n in range(1, 9)]
    assert waits == [300, 480, 768, 1229, 1966, 3146, 3600, 3600]
    assert schedule.wait(10**9, lambda: 0.5) == 3600


@settings(max_examples=60)
@given(
    st.floats(0, 1),
    st.floats(1, 10_000),
    st.floats(1, 4),
    st.floats(0, 0.9),
    st.integers(0, 12 * DAY),
    st.integers(1, 500),
)
def test_there_is_always_a_next_attempt(
    chance: float, first: float, growth: float, jitter: float, age: int, attempts: int
) -> None:
    """It is later than now, and never after the mail's time is up but for the very last one."""
    schedule = Schedule(first=first, growth=growth, jitter=jitter, longest=10_000)
    now = ARRIVED + age
    due = schedule.next_attempt(mail(), attempts, now, lambda: chance)
    assert due > now
    assert due <= max(now + 1, ARRIVED + 5 * DAY)


def test_a_week_of_retries() -> None:
    """A mail that never gets through is tried about 130 times, last when its time is up."""
    schedule, now, attempts = Schedule(), ARRIVED, 0
    times: list[int] = []
    while True:
        times.append(now - ARRIVED)
        attempts += 1
        judged = schedule.judge(mail(), {rcpt("a"): LATER}, now)
        if isinstance(judged[rcpt("a")], Bounced):
            break
        now = schedule.next_attempt(mail(), attempts, now, lambda: 0.5)
    assert times[-1] == 5 * DAY
    assert 120 < len(times) < 140
    assert sum(time < HOUR for time in times) >= 3  # RFC 5321 §4.5.4.1: two in the first hour


def test_judging_changes_deferrals_alone_and_only_at_the_end() -> None:
    """Deliveries stay what they are; before its time a mail is deferred again."""
    outcomes: dict[Recipient, Outcome] = {
        rcpt("a"): LATER,
        rcpt("b"): Delivered("there"),
        rcpt("c"): Bounced(Reply.of(550, "no", "5.1.1")),
    }
    schedule = Schedule()
    assert schedule.judge(mail(), outcomes, ARRIVED + 5 * DAY - 1) == outcomes
    assert schedule.judge(mail(), outcomes, ARRIVED + 5 * DAY) == {
        **outcomes,
        rcpt("a"): Bounced(LATER.reply, LATER.where),
    }


def test_warns_once() -> None:
    """After four hours, those are told of that were tried; the next deadline is the end."""
    schedule, now = Schedule(), ARRIVED + 4 * HOUR
    tried = Pending(rcpt("a"), attempts=9, last=LATER, due=now + 100)
    fresh = Pending(rcpt("b"), due=now)
    todo = schedule.overdue(mail(tried, fresh), now)
    assert (todo.bounced, todo.late, todo.deadline) == ({}, (tried,), ARRIVED + 5 * DAY)
    again = schedule.overdue(mail(tried, deadline=todo.deadline), now)
    assert (again.bounced, again.late) == ({}, ())
    waiting = schedule.overdue(mail(fresh), now)
    assert (waiting.late, waiting.deadline) == ((), now + HOUR)  # nothing to tell yet


def test_gives_up_what_is_not_about_to_be_tried() -> None:
    """At the end, what waits is bounced; what is due is tried once more, but not for ever."""
    schedule, now = Schedule(), ARRIVED + 5 * DAY
    waits = Pending(rcpt("a"), attempts=9, last=LATER, due=now + 1)
    is_due = Pending(rcpt("b"), attempts=9, last=LATER, due=now - 1)
    never = Pending(rcpt("c"), due=now - 1)
    one = mail(waits, is_due, never, deadline=now)
    todo = schedule.overdue(one, now)
    assert todo.bounced == {rcpt("a"): Bounced(LATER.reply, LATER.where)}
    assert todo.deadline == now + HOUR
    later = schedule.overdue(replace(one, deadline=now + HOUR), now + HOUR)
    assert set(later.bounced) == {rcpt("a"), rcpt("b")}  # never untried


def asked(by: DeliverBy | None = None, **sender: Any) -> Spooled:
    """Make a mail whose sender asked for something."""
    path = Sender(Address("alice", "example.org"), deliver_by=by, **sender)
    tried = Pending(rcpt("a"), attempts=1, last=LATER, due=ARRIVED + 10 * HOUR)
    fresh = Pending(rcpt("b"), due=ARRIVED)
    return Spooled("q1", path, ARRIVED, 10, (tried, fresh), deadline=ARRIVED + 60)


def test_mail_is_asked_back_when_its_time_is_over() -> None:
    """BY with R bounces, tried or not, and nothing is tried after that time (RFC 2852)."""
    schedule, late = Schedule(), asked(DeliverBy(60, ByMode.RETURN))
    assert schedule.expires(late) == ARRIVED + 60
    assert schedule.next_attempt(late, 1, ARRIVED + 5, lambda: 0.5) == ARRIVED + 60
    assert schedule.judge(late, {rcpt("a"): LATER}, ARRIVED + 59) == {rcpt("a"): LATER}
    (judged,) = schedule.judge(late, {rcpt("a"): LATER}, ARRIVED + 60).values()
    assert isinstance(judged, Bounced)
    assert judged.reply.status == "5.4.7"
    done = {rcpt("a"): Delivered("x")}
    assert schedule.judge(late, done, ARRIVED + 99) == done
    bounced = schedule.overdue(late, ARRIVED + 60).bounced
    assert [one.reply.status for one in bounced.values()] == ["5.4.7"] * 2


def test_its_sender_is_told_when_its_time_is_over() -> None:
    """BY with N tells of a delay once, and goes on; then the usual warning comes."""
    schedule, late = Schedule(), asked(DeliverBy(60, ByMode.NOTIFY))
    todo = schedule.overdue(late, ARRIVED + 61)
    assert todo.bounced == {}
    assert [one.last.reply.status for one in todo.late if one.last] == ["4.7.1", "4.4.7"]
    assert todo.deadline == ARRIVED + 4 * HOUR
    todo = schedule.overdue(replace(late, deadline=todo.deadline), ARRIVED + 4 * HOUR)
    assert [one.recipient for one in todo.late] == [rcpt("a")]
    assert todo.deadline == ARRIVED + 5 * DAY
    beyond = asked(DeliverBy(10 * HOUR, ByMode.NOTIFY))
    todo = schedule.overdue(replace(beyond, deadline=ARRIVED + 4 * HOUR), ARRIVED + 4 * HOUR)
    assert todo.deadline == ARRIVED + 10 * HOUR
    assert asked(DeliverBy(-60, ByMode.NOTIFY)).sender.wanted_by(ARRIVED) is None


def test_times_count_from_the_release() -> None:
    """Mail that was held has all of its time after it (RFC 4865)."""
    schedule, held = Schedule(), asked(hold_for=DAY)
    assert schedule.expires(held) == ARRIVED + 6 * DAY
    held = asked(DeliverBy(60, ByMode.RETURN), hold_until=ARRIVED + DAY)
    assert schedule.expires(held) == ARRIVED + DAY + 60


def test_what_is_asked_of_the_next_step() -> None:
    """What is left of the time goes on; what was waited for does not."""
    sender = asked(DeliverBy(60, ByMode.RETURN, True), hold_for=100).sender
    onward = sender.onward(ARRIVED, ARRIVED + 130)
    assert onward.deliver_by == DeliverBy(30, ByMode.RETURN, True)
    assert onward.hold_for == 0
    assert sender.onward(ARRIVED, ARRIVED + 10**10).deliver_by == DeliverBy(
        -999_999_999, ByMode.RETURN, True
    )
    plain = asked().sender
    assert plain.onward(ARRIVED, ARRIVED + 5) is plain
