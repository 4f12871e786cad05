"""Tests for `mailplat.filters.reports`: who reads holds nothing up."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, ensureDeferred
from zope.interface.verify import verifyObject

from mailplat.filters.reports import Reports, report_of, report_of_queue
from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.hooks import Denial, IReportReader, IReports, QueuedMail, Report
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Deferred as Later
from mailplat.model.outcome import Expanded
from mailplat.model.peer import Peer
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Verdict

ALICE = Recipient(Address("alice", "example.org"))


async def read(reader: IReportReader) -> tuple[Report, ...]:
    """Wait for reports."""
    return await reader.read()


def test_provides() -> None:
    """Stream and reader keep their interfaces."""
    reports = Reports()
    assert not reports.wanted
    verifyObject(IReports, reports)
    verifyObject(IReportReader, reports.subscribe())
    assert reports.wanted


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_misses_some() -> None:
    """Its queue is bounded; what it missed is counted, and another reader misses nothing."""
    reports = Reports()
    slow, other = reports.subscribe(2), reports.subscribe()
    sent = [Report("connect", at) for at in range(5)]
    for one in sent:
        reports.publish(one)
    assert await slow.read() == tuple(sent[:2])
    assert slow.dropped == 3
    assert await other.read() == tuple(sent)
    assert other.dropped == 0


@pytest_twisted.ensureDeferred
async def test_waits_for_the_next() -> None:
    """Reading waits until there is something; a wait that was stopped loses nothing."""
    reports = Reports()
    reader = reports.subscribe()
    stopped = ensureDeferred(read(reader))
    stopped.cancel()
    with pytest.raises(CancelledError):
        await stopped
    reading = ensureDeferred(read(reader))
    reports.publish(Report("hello", 1))
    assert await reading == (Report("hello", 1),)


@pytest_twisted.ensureDeferred
async def test_closing_ends_a_wait() -> None:
    """A closed reader gets nothing more, and whoever waits for it is told."""
    reports = Reports()
    reader = reports.subscribe()
    reading = ensureDeferred(read(reader))
    reader.close()
    reader.close()
    reports.publish(Report("hello", 1))
    assert await reading == ()
    assert not reports.wanted


def test_what_is_told() -> None:
    """A report says who, about whom, and what was decided by whom."""
    context = Context("s1", "mx", Peer("192.0.2.1", 1, "192.0.2.2", 25), account=Account("a"))
    context.tags.add("bulk")
    context.sender = Sender(None)
    denial = Denial("greylist", Reply.of(451, "Later", "4.7.1"), recipient=ALICE, queue_id="q")
    found = report_of(Stage.DENY, 7, context, (denial,), CONTINUE)
    assert (found.by, found.reply, found.action) == ("greylist", "451 4.7.1 Later", "deny")
    assert (found.sender, found.recipients) == ("", ("alice@example.org",))
    assert (found.account, found.peer, found.tags) == ("a", "192.0.2.1", ("bulk",))
    queued = QueuedMail("q", Sender(ALICE.address), (ALICE,), 0)
    later = {ALICE: Later(Reply.of(450, "Busy", "4.2.0"), "mx.example")}
    found = report_of_queue(Stage.DEFERRED, 7, queued, Verdict(), later)
    assert (found.action, found.reply, found.reason) == ("deferred", "450 4.2.0 Busy", "mx.example")
    expanded = {ALICE: Expanded(())}
    assert report_of_queue(Stage.DELIVERED, 7, queued, Verdict(), expanded).reply == ""
