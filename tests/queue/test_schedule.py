"""Tests for `mailplat.queue.schedule`: a week of retries in no time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.interfaces.spool import Pending, Spooled
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
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
