"""What every spool must do for the people who look after it: the second half of its contract.

It is a part of `mailplat.testing.spools.SpoolContract`, which has its fixtures.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytest_twisted

from mailplat.interfaces.spool import Lane, Selection, Settlement
from mailplat.interfaces.store import Target
from mailplat.model.errors import NoSuchMail
from mailplat.model.outcome import Deferred
from mailplat.model.reply import Reply
from mailplat.testing.spooled_mails import (
    COM,
    LATER,
    NET,
    NOON,
    Times,
    WorkedSpool,
    accept,
    names,
    new_mail,
    to,
)
from mailplat.testing.turns import all_of

__all__ = ["OperatedSpoolContract"]


class OperatedSpoolContract:
    """The contract of `IOperatedSpool`."""

    @pytest_twisted.ensureDeferred
    async def test_hold_and_release(self, spool: WorkedSpool, times: Times) -> None:
        """A held mail is never due, not even by an attempt under way; released, it is at once."""
        who = [to("a@example.net"), to("b@example.com")]
        await accept(spool, new_mail("q1", *who))
        await accept(spool, new_mail("q2", *who), held=True)
        assert await spool.hold(Selection(), True) == 1
        assert await spool.ready(NOON + 10**7, 10) == []
        await spool.settle("q1", Settlement({who[0]: LATER}, NOON + 5))
        assert await spool.ready(NOON + 10**7, 10) == []
        found = await spool.find("q1")
        assert found is not None
        assert found.held
        assert await spool.overdue(NOON + 10**7, 10) == []
        times.seconds += 50
        assert await spool.hold(Selection(), False) == 2
        assert await spool.hold(Selection(), False) == 0
        assert names(await spool.due(NET, NOON + 50, 10, ())) == ["q1", "q2"]

    @pytest_twisted.ensureDeferred
    async def test_retry(self, spool: WorkedSpool) -> None:
        """What waits is due at once, and its lane is open; what is held stays held."""
        who = to("a@example.net")
        await accept(spool, new_mail("q1", who))
        await accept(spool, new_mail("q2", who), held=True)
        await spool.settle("q1", Settlement({who: LATER}, NOON + 300))
        await spool.block(NET, NOON + 600, 2, LATER)
        assert await spool.retry(Selection()) == 1
        (state,) = await spool.ready(NOON, 10)
        assert (state.lane, state.blocked, state.failures) == (NET, 0, 0)

    @pytest_twisted.ensureDeferred
    async def test_remove(self, spool: WorkedSpool) -> None:
        """What is removed leaves nothing behind, thousands at once."""
        mails = [new_mail(f"q{n}", to(f"a@d{n % 7}.example")) for n in range(2500)]
        await all_of(accept(spool, mail) for mail in mails)
        await accept(spool, new_mail("big", to("a@example.net"), body=b"x" * 200_000))
        await accept(spool, new_mail("keep", to("a@example.com")))
        assert await spool.remove(Selection(domain="*.example")) == 2500
        assert await spool.remove(Selection(queue_ids=("big",))) == 1
        assert names(await spool.select(Selection(), 10)) == ["keep"]
        assert [one.lane for one in await spool.lanes(10)] == [COM]
        with pytest.raises(NoSuchMail):
            await spool.open_body("big")

    @pytest_twisted.ensureDeferred
    async def test_reroute(self, spool: WorkedSpool) -> None:
        """Recipients change over to another agent, and are due."""
        who = to("a@example.net")
        await accept(spool, new_mail("q1", who))
        await accept(spool, new_mail("q2", who), held=True)
        await spool.settle("q1", Settlement({who: LATER}, NOON + 300))
        assert await spool.reroute(Selection(agent=""), "smarthost") == 2
        assert [one.lane for one in await spool.lanes(10)] == [Lane("smarthost", "")]
        assert names(await spool.due(Lane("smarthost", ""), NOON, 10, ())) == ["q1"]
        assert await spool.reroute(Selection(), "") == 2
        assert names(await spool.due(NET, NOON, 10, ())) == ["q1"]

    @pytest_twisted.ensureDeferred
    async def test_selects(self, spool: WorkedSpool, times: Times) -> None:
        """Each filter finds its mails, in any case and with wildcards, and all have to hold."""
        net, com = to("ann@example.net"), to("Bob@Example.COM")
        await accept(spool, new_mail("q1", net, sender="List-1@example.org"))
        await accept(spool, new_mail("q2", com, sender=""))
        times.seconds += 100
        await accept(spool, new_mail("q3", net, com, agent="mailbox"), held=True)
        await spool.settle("q1", Settlement({net: LATER}, NOON + 300))
        await spool.block(COM, NOON + 5, 1, Deferred(Reply.of(421, "Try [later]", "4.4.1")))

        async def found(selection: Selection) -> str:
            return " ".join(names(await spool.select(selection, 10)))

        assert await found(Selection()) == "q1 q2 q3"
        assert await found(Selection(queue_ids=("q3", "q1", "q9"))) == "q1 q3"
        assert await found(Selection(queue_ids=())) == ""
        assert await found(Selection(sender="LIST-1@example.org")) == "q1"
        assert await found(Selection(sender="list-*")) == "q1"
        assert await found(Selection(sender="<>")) == "q2"
        assert await found(Selection(recipient="ANN@*")) == "q1 q3"
        assert await found(Selection(recipient="ann")) == ""
        assert await found(Selection(domain="example.com")) == "q2 q3"
        assert await found(Selection(reason="greylisted")) == "q1"
        assert await found(Selection(reason="[LATER]")) == "q2"
        assert await found(Selection(agent="mailbox")) == "q3"
        assert await found(Selection(before=NOON + 100)) == "q1 q2"
        assert await found(Selection(after=NOON + 100)) == "q3"
        assert await found(Selection(held=True)) == "q3"
        assert await found(Selection(held=False, domain="example.net")) == "q1"
        assert names(await spool.select(Selection(), 2)) == ["q1", "q2"]
        assert names(await spool.select(Selection(), 2, behind="q2")) == ["q3"]

    @pytest_twisted.ensureDeferred
    async def test_counts_lanes(self, spool: WorkedSpool) -> None:
        """The fullest lanes come first, held mail counted."""
        for n in range(3):
            await accept(spool, new_mail(f"q{n}", to("a@example.com"), to("b@example.com")))
        await accept(spool, new_mail("q9", to("a@example.net")), held=True)
        found = await spool.lanes(10)
        assert [(one.lane, one.recipients) for one in found] == [(COM, 6), (NET, 1)]
        assert replace(found[1], recipients=0).due is None
        assert len(await spool.lanes(1)) == 1

    @pytest_twisted.ensureDeferred
    async def test_names(self, spool: WorkedSpool) -> None:
        """The queue ids of a selection are told in the order of arrival, without a limit."""
        for n in range(5):
            await accept(spool, new_mail(f"q{n}", to(f"a@d{n % 2}.example")))
        assert list(await spool.names(Selection())) == ["q0", "q1", "q2", "q3", "q4"]
        assert list(await spool.names(Selection(domain="d1.example"))) == ["q1", "q3"]

    @pytest_twisted.ensureDeferred
    async def test_rerouted_mail_is_decided_again(self, spool: WorkedSpool) -> None:
        """Mailboxes that were decided are forgotten with another agent."""
        who = to("a@example.org")
        mail = new_mail("q1", who, agent="mailbox")
        await spool.accept([replace(mail, targets={who: (Target("a", "Junk"),)})])
        assert await spool.reroute(Selection(), "mailbox") == 1
        found = await spool.find("q1")
        assert found is not None
        assert found.pending[0].targets == ()
