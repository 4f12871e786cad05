"""Tests for `mailplat.queue.bounces`: who is told what, as the sender asked (RFC 3461)."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.spool import NewMail, Pending, Spooled
from mailplat.interfaces.store import Target
from mailplat.model.address import Address
from mailplat.model.envelope import (
    BodyType,
    ByMode,
    DeliverBy,
    Notify,
    Recipient,
    Return,
    Sender,
)
from mailplat.model.outcome import Bounced, Deferred, Delivered, Expanded, Outcome
from mailplat.model.reply import Reply
from mailplat.testing.spools import NOON, to

ALICE = Address("alice", "example.org")
SENDER = Sender(ALICE)
NEVER = Bounced(Reply.of(550, "No such user", "5.1.1"), "mx.example.net [192.0.2.1]")
LATER = Deferred(Reply.of(451, "Later", "4.7.1"), "mx.example.net")
DONE = Delivered("mx.example.net", Reply.of(250, "ok", "2.0.0"))
REPORTED = Delivered("mx.example.net", Reply.of(250, "ok", "2.0.0"), reports=True)
TWO = Expanded((Address("a", "x.example"), Address("b", "x.example")))


def actions(reports: tuple[NewMail, ...]) -> list[str]:
    """Give the actions that reports tell, in order."""
    data = b"".join(one.body.read(0, one.body.size) for one in reports)
    return [found.decode() for found in re.findall(rb"\r\nAction: (\w+)\r\n", data)]


def mail(*pending: Pending, sender: Sender = SENDER, size: int = 100) -> Spooled:
    """Make a mail."""
    return Spooled("q1", sender, NOON, size, pending)


FAILURE, DELAY, SUCCESS = Notify.FAILURE, Notify.DELAY, Notify.SUCCESS


@pytest.mark.parametrize(
    ("notify", "outcome", "agent", "told"),
    [
        ((), NEVER, "", ["failed"]),
        ((FAILURE,), NEVER, "", ["failed"]),
        ((DELAY,), NEVER, "", []),
        ((SUCCESS,), NEVER, "", []),
        ((Notify.NEVER,), NEVER, "", []),
        ((), DONE, "", []),
        ((SUCCESS,), DONE, "", ["relayed"]),
        ((SUCCESS,), DONE, "mailbox", ["delivered"]),
        ((SUCCESS,), REPORTED, "", []),
        ((SUCCESS,), DONE, "relay:office", ["relayed"]),
        ((SUCCESS,), DONE, "alias", ["expanded"]),
        ((SUCCESS,), DONE, "list", ["delivered"]),
        ((FAILURE,), DONE, "alias", []),
        ((FAILURE,), DONE, "mailbox", []),
        ((SUCCESS,), TWO, "mailbox", ["expanded"]),
        ((SUCCESS,), Expanded((ALICE,)), "mailbox", []),
        ((), LATER, "", []),
    ],
)
@pytest_twisted.ensureDeferred
async def test_outcomes(
    yard: Any, notify: tuple[Notify, ...], outcome: Outcome, agent: str, told: list[str]
) -> None:
    """NOTIFY decides; without it failures are told, and success is not."""
    one = to("ann@example.net", *notify)
    await yard.accept("q1", one)
    reports = await yard.bounces().on_outcomes(mail(Pending(one, agent)), {one: outcome})
    assert actions(reports) == told


@pytest.mark.parametrize(
    ("notify", "told"), [((), ["delayed"]), ((DELAY,), ["delayed"]), ((FAILURE,), [])]
)
@pytest_twisted.ensureDeferred
async def test_delays(yard: Any, notify: tuple[Notify, ...], told: list[str]) -> None:
    """A warning is given unless NOTIFY leaves it out."""
    late = Pending(to("ann@example.net", *notify), "", 3, LATER)
    await yard.accept("q1", late.recipient)
    assert actions(await yard.bounces().on_delay(mail(late), (late,), NOON + 9)) == told


@pytest_twisted.ensureDeferred
async def test_one_report_for_all(yard: Any) -> None:
    """All fates of one attempt are in one report, from the null sender, never reported itself."""
    ann, bob = to("ann@example.net"), to("bob@example.net", Notify.SUCCESS)
    await yard.accept("q1", ann, bob)
    pending = (Pending(ann), Pending(bob))
    (report,) = await yard.bounces().on_outcomes(mail(*pending), {ann: NEVER, bob: DONE})
    assert actions((report,)) == ["failed", "relayed"]
    assert report.envelope.sender.address is None
    assert report.envelope.recipients == (Recipient(ALICE, frozenset({Notify.NEVER})),)
    assert list(report.agents.values()) == ["mailbox"]
    assert list(report.targets.values()) == [(Target("alice@example.org"),)]
    assert b"Remote-MTA: dns; mx.example.net\r\n" in report.body.read(0, 10_000)


@pytest_twisted.ensureDeferred
async def test_nobody_to_tell(yard: Any) -> None:
    """The null sender, and a sender that does not exist here, are told nothing."""
    one = to("ann@example.net")
    await yard.accept("q1", one)
    for sender in (Sender(None), Sender(Address("nobody", "example.org"))):
        reports = await yard.bounces().on_outcomes(mail(Pending(one), sender=sender), {one: NEVER})
        assert reports == ()


@pytest_twisted.ensureDeferred
async def test_reports_go_where_the_sender_is(yard: Any) -> None:
    """A sender elsewhere is told by the relay."""
    one = to("ann@example.net")
    await yard.accept("q1", one)
    sender = Sender(Address("x", "example.com"))
    (report,) = await yard.bounces().on_outcomes(mail(Pending(one), sender=sender), {one: NEVER})
    assert list(report.agents.values()) == [""]


HEADER = b"Subject: hello\r\n\r\n"


@pytest.mark.parametrize(
    ("returned", "size", "body_type", "outcome", "whole"),
    [
        (Return.FULL, 1000, BodyType.SEVEN_BIT, NEVER, True),
        (Return.HEADERS, 1000, BodyType.SEVEN_BIT, NEVER, False),
        (None, 1000, BodyType.SEVEN_BIT, NEVER, False),
        (Return.FULL, 300_000, BodyType.SEVEN_BIT, NEVER, False),
        (Return.FULL, 1000, BodyType.BINARY, NEVER, False),
        (Return.FULL, 1000, BodyType.EIGHT_BIT, DONE, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_returned(
    yard: Any,
    returned: Return | None,
    size: int,
    body_type: BodyType,
    outcome: Outcome,
    whole: bool,
) -> None:
    """All of the mail comes back where that was asked for, for failures, and if it is not large."""
    one = to("ann@example.net", Notify.SUCCESS, Notify.FAILURE)
    await yard.accept("q1", one, body=HEADER + b"\xe4" * size)
    sender = Sender(ALICE, returned=returned, body=body_type)
    spooled = mail(Pending(one), sender=sender, size=len(HEADER) + size)
    (report,) = await yard.bounces().on_outcomes(spooled, {one: outcome})
    data = report.body.read(0, report.body.size)
    assert HEADER in data
    assert (b"\xe4" * size in data) is whole
    assert b"\xe4" in data or not whole
    assert (report.envelope.sender.body is BodyType.EIGHT_BIT) is whole


@pytest_twisted.ensureDeferred
async def test_endless_headers_and_lost_mails(yard: Any) -> None:
    """Of a header without end whole lines come back; a mail that is gone brings a short report."""
    one = to("ann@example.net")
    await yard.accept("q1", one, body=b"X-Line: 3456789\r\n" * 20_000)
    spooled = mail(Pending(one), size=17 * 20_000)
    (report,) = await yard.bounces().on_outcomes(spooled, {one: NEVER})
    data = report.body.read(0, report.body.size)
    assert 60_000 < len(data) < 70_000
    assert b"X-Line: 3456789\r\n\r\n--" in data
    gone = Spooled("gone", SENDER, NOON, 10, (Pending(one),))
    (report,) = await yard.bounces().on_outcomes(gone, {one: NEVER})
    assert b"rfc822-headers" not in report.body.read(0, report.body.size)


BY_N, BY_RT = DeliverBy(60, ByMode.NOTIFY), DeliverBy(60, ByMode.RETURN, trace=True)
TIMED = Delivered("mx.example.net", Reply.of(250, "ok", "2.0.0"), reports=True, timed=True)


@pytest.mark.parametrize(
    ("by", "notify", "outcome", "agent", "told"),
    [
        (BY_N, (), DONE, "", ["relayed"]),  # nobody there knows the time
        (BY_N, (FAILURE,), REPORTED, "", ["relayed"]),
        (BY_N, (Notify.NEVER,), DONE, "", []),
        (BY_N, (), TIMED, "", []),
        (BY_RT, (), TIMED, "", ["relayed"]),
        (BY_RT, (), DONE, "mailbox", []),
        (BY_RT, (), NEVER, "", ["failed"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_mail_with_a_time_for_delivery(
    yard: Any,
    by: DeliverBy,
    notify: tuple[Notify, ...],
    outcome: Outcome,
    agent: str,
    told: list[str],
) -> None:
    """That it was relayed is told as RFC 2852 wants it."""
    one = to("bob@example.net", *notify)
    sender = Sender(ALICE, deliver_by=by)
    reports = await yard.bounces().on_outcomes(
        mail(Pending(one, agent), sender=sender), {one: outcome}
    )
    assert actions(reports) == told


@pytest_twisted.ensureDeferred
async def test_reports_are_as_urgent_and_as_well_protected(yard: Any) -> None:
    """REQUIRETLS and MT-PRIORITY hold for reports, which then bring no body back (RFC 8689 §5)."""
    one = to("bob@example.net")
    sender = Sender(ALICE, returned=Return.FULL, require_tls=True, priority=3)
    await yard.accept("q1", one, sender=sender)
    (report,) = await yard.bounces().on_outcomes(mail(Pending(one), sender=sender), {one: NEVER})
    assert report.envelope.sender.require_tls
    assert report.envelope.sender.priority == 3
    assert b"text/rfc822-headers" in report.body.read(0, report.body.size)
