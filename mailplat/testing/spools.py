"""What every spool must do, as tests that any spool can run::

    from mailplat.testing import spools

    class TestAcmeSpool(spools.SpoolContract):
        @pytest.fixture
        def make_spool(self, tmp_path):
            return lambda now: AcmeSpool(tmp_path, now)

``make_spool`` makes a spool that is not open, out of a function that tells the time; all that it
makes are on the same storage.  It is empty at first, and its mails' first deadline is `WARN_AFTER`
seconds after their arrival.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.interfaces.spool import (
    IOperatedSpool,
    IQueueSpool,
    Lane,
    NewMail,
    Pending,
    Selection,
    Settlement,
    Spooled,
)
from mailplat.interfaces.store import Target
from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, Envelope, Notify, Recipient, Return, Sender
from mailplat.model.errors import MailError, NoSuchMail
from mailplat.model.outcome import Expanded, Outcome
from mailplat.testing.agents import StringBody
from mailplat.testing.bodies import read_all
from mailplat.testing.spooled_mails import (
    BOX,
    COM,
    DONE,
    LATER,
    NET,
    NEVER,
    NOON,
    WARN_AFTER,
    MakeSpool,
    Times,
    WorkedSpool,
    accept,
    body_of,
    names,
    new_mail,
    recipients,
    to,
)
from mailplat.testing.spools_operated import OperatedSpoolContract
from mailplat.testing.turns import all_of, outcomes_of, wait_for

__all__ = [
    "NOON",
    "WARN_AFTER",
    "MakeSpool",
    "SpoolContract",
    "Times",
    "WorkedSpool",
    "accept",
    "body_of",
    "new_mail",
    "to",
]


class SpoolContract(OperatedSpoolContract):
    """The contract of `ISpool`, `IQueueSpool` and `IOperatedSpool`."""

    @pytest.fixture
    def times(self) -> Times:
        """The spool's clock."""
        return Times()

    @pytest.fixture
    def spool(self, make_spool: MakeSpool, times: Times) -> Iterator[WorkedSpool]:
        """An open spool with nothing in it."""
        spool = make_spool(times)
        wait_for(spool.open())
        yield spool
        wait_for(spool.close())

    def test_provides(self, spool: WorkedSpool) -> None:
        """A spool has every member of its interfaces."""
        verifyObject(IQueueSpool, spool)
        verifyObject(IOperatedSpool, spool)

    # taking in

    @pytest_twisted.ensureDeferred
    async def test_keeps_everything(
        self, spool: WorkedSpool, make_spool: MakeSpool, times: Times
    ) -> None:
        """What was accepted is there after a restart: parameters, recipients, bytes."""
        sender = Sender(
            Address('odd"one', "exämple.org"),
            size=7,
            body=BodyType.EIGHT_BIT,
            smtputf8=True,
            returned=Return.FULL,
            envid="e n v",
            require_tls=True,
            auth="",
        )
        first = to("a b@example.net", Notify.SUCCESS, Notify.FAILURE, original="rfc822;x@y")
        second = to("Ünï@Example.COM", Notify.NEVER)
        agents = {first: "", second: "mailbox"}
        targets = {second: (Target("ünï@example.com", "Quarantine/Ä"), Target("x", "INBOX"))}
        envelope = Envelope(sender, (first, second))
        await spool.accept([NewMail("q1", envelope, agents, StringBody(b"\0\xff\r"), targets)])
        await spool.close()
        times.seconds += 100
        again = make_spool(times)
        await again.open()
        try:
            found = await again.find("q1")
            assert found is not None
            assert found == Spooled(
                "q1",
                sender,
                NOON,
                3,
                (
                    Pending(first, "", due=NOON),
                    Pending(second, "mailbox", due=NOON, targets=targets[second]),
                ),
                deadline=NOON + WARN_AFTER,
            )
            assert await body_of(again, "q1") == b"\0\xff\r"
        finally:
            await again.close()

    @pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
    @pytest_twisted.ensureDeferred
    async def test_bodies(
        self, make_spool: MakeSpool, spool: WorkedSpool, times: Times, size: int
    ) -> None:
        """Small and large bodies come out as they went in, also after a restart."""
        data = (bytes(range(256)) * (size // 256 + 1))[:size]
        await accept(spool, new_mail("q1", to("a@example.net"), body=data))
        assert await body_of(spool, "q1") == data
        await spool.close()
        again = make_spool(times)
        await again.open()
        try:
            assert await body_of(again, "q1") == data
            body = await again.open_body("q1")
            await again.settle("q1", Settlement({to("a@example.net"): DONE}))
            assert await read_all(body) == data  # who reads it goes on reading
            body.close()
            with pytest.raises(NoSuchMail):
                await again.open_body("q1")
        finally:
            await again.close()

    @pytest_twisted.ensureDeferred
    async def test_accepts_many_at_once(self, spool: WorkedSpool) -> None:
        """Mails that come together are all there, each with its own bytes."""
        mails = [
            new_mail(f"q{n:03}", to(f"u{n}@example.net"), body=b"%d" % n * 10) for n in range(200)
        ]
        await all_of(accept(spool, mail) for mail in mails)
        assert len(await spool.select(Selection(), 1000)) == 200
        assert await body_of(spool, "q123") == b"123" * 10

    @pytest_twisted.ensureDeferred
    async def test_never_takes_a_name_twice(self, spool: WorkedSpool) -> None:
        """A name that is taken fails alone, and leaves the first mail as it is."""
        big = b"x" * 200_000
        await accept(spool, new_mail("q1", to("a@example.net"), body=big))
        outcomes = await outcomes_of(
            accept(spool, new_mail(name, to("b@example.net"), body=b"second"))
            for name in ("q0", "q1", "q2")
        )
        assert [isinstance(one, MailError) for one in outcomes] == [False, True, False]
        with pytest.raises(MailError):
            await accept(spool, new_mail("q1", to("c@example.net"), body=big[1:]))
        assert recipients(await spool.find("q1")) == ["a@example.net"]
        assert await body_of(spool, "q1") == big

    @pytest_twisted.ensureDeferred
    async def test_tells_watchers_of_new_mail(self, spool: WorkedSpool) -> None:
        """Lanes that got mail are told after it is there; held mail is not told of."""
        told: list[Collection[Lane]] = []
        spool.watch(lambda lanes, special: told.append(lanes))
        await accept(spool, new_mail("q1", to("a@example.net"), to("b@EXAMPLE.com")))
        await accept(spool, new_mail("q2", to("a@example.net")), held=True)
        assert list(map(set, told)) == [{NET, COM}]
        assert names(await spool.due(NET, NOON, 10, ())) == ["q1"]

    @pytest_twisted.ensureDeferred
    async def test_accepts_all_or_none(self, spool: WorkedSpool) -> None:
        """The copies of one message are there together, or none of them is."""
        big = b"x" * 200_000
        who = to("a@example.net")
        told: list[Collection[Lane]] = []
        spool.watch(lambda lanes, special: told.append(lanes))
        await spool.accept(
            [
                new_mail("q1", who, body=big),
                new_mail("q1-1", to("b@example.com"), sender="owner@example.org"),
                replace(new_mail("q1-2", who), held=True),
            ]
        )
        assert list(map(set, told)) == [{NET, COM}]
        assert names(await spool.select(Selection(), 10)) == ["q1", "q1-1", "q1-2"]
        assert names(await spool.select(Selection(held=True), 10)) == ["q1-2"]
        with pytest.raises(MailError):
            await spool.accept([new_mail("q2", who, body=big), new_mail("q1-1", who)])
        assert names(await spool.select(Selection(), 10)) == ["q1", "q1-1", "q1-2"]
        with pytest.raises(NoSuchMail):
            await spool.open_body("q2")

    # lanes

    @pytest_twisted.ensureDeferred
    async def test_lanes(self, spool: WorkedSpool, times: Times) -> None:
        """Recipients wait by agent and destination, those of other agents in one lane each."""
        await accept(spool, new_mail("q1", to("a@example.net"), to("b@Example.NET")))
        times.seconds += 5
        await accept(spool, new_mail("q2", to("c@example.com")))
        await accept(spool, new_mail("q3", to("d@one.example"), agent="mailbox"))
        await accept(spool, new_mail("q4", to("e@two.example"), agent="mailbox"))
        assert await spool.ready(NOON - 1, 10) == []
        found = await spool.ready(NOON + 5, 10)
        assert {one.lane for one in found} == {NET, COM, BOX}
        assert found[0].lane == NET  # the longest waiting
        assert [one.lane for one in await spool.ready(NOON, 10)] == [NET]
        assert [one.lane for one in await spool.ready(NOON + 5, 1)] == [NET]
        (mail,) = await spool.due(NET, NOON, 10, ())
        assert recipients(mail) == ["a@example.net", "b@Example.NET"]
        assert names(await spool.due(BOX, NOON + 5, 10, ())) == ["q3", "q4"]
        assert await spool.due(BOX, NOON, 10, ()) == []
        assert await spool.due(Lane("", "nowhere.example"), NOON, 10, ()) == []

    @pytest_twisted.ensureDeferred
    async def test_due_leaves_out_and_stops(self, spool: WorkedSpool, times: Times) -> None:
        """Mails under way are left out; the limit counts recipients; the oldest come first."""
        for n in range(5):
            await accept(spool, new_mail(f"q{n}", to("a@example.net"), to("b@example.net")))
            times.seconds += 1
        assert names(await spool.due(NET, NOON + 9, 100, ())) == ["q0", "q1", "q2", "q3", "q4"]
        assert names(await spool.due(NET, NOON + 9, 100, ["q0", "q3", "gone"])) == [
            "q1",
            "q2",
            "q4",
        ]
        assert names(await spool.due(NET, NOON + 9, 4, ["q0"])) == ["q1", "q2"]
        assert names(await spool.due(NET, NOON + 1, 100, ())) == ["q0", "q1"]

    @pytest_twisted.ensureDeferred
    async def test_blocked_lanes_rest(self, spool: WorkedSpool) -> None:
        """A blocked lane is not ready before its time; why is told with its recipients."""
        await accept(spool, new_mail("q1", to("a@example.net")))
        await accept(spool, new_mail("q2", to("a@example.com")))
        await spool.block(NET, NOON + 60, 3, LATER)
        assert [one.lane for one in await spool.ready(NOON + 59, 10)] == [COM]
        (state,) = [one for one in await spool.ready(NOON + 60, 10) if one.lane == NET]
        assert (state.blocked, state.failures, state.last) == (NOON + 60, 3, LATER)
        found = await spool.find("q1")
        assert found is not None
        assert (found.pending[0].last, found.pending[0].attempts) == (LATER, 0)
        await spool.block(NET, 0, 0, None)
        assert {one.lane for one in await spool.ready(NOON, 10)} == {NET, COM}
        await spool.block(Lane("", "nowhere.example"), 7, 7, None)
        assert len(await spool.lanes(10)) == 2

    # settling

    @pytest_twisted.ensureDeferred
    async def test_settles_each_recipient(
        self, spool: WorkedSpool, make_spool: MakeSpool, times: Times
    ) -> None:
        """Those done with go, those deferred come again, those not asked stay: durably."""
        four = [to(f"{name}@example.net") for name in "abcd"]
        await accept(spool, new_mail("q1", *four))
        outcomes: dict[Recipient, Outcome] = {four[0]: DONE, four[1]: LATER, four[2]: NEVER}
        await spool.settle("q1", Settlement(outcomes, NOON + 300))
        await spool.close()
        spool = make_spool(times)
        await spool.open()
        try:
            found = await spool.find("q1")
            assert found is not None
            assert found.pending == (
                Pending(four[1], "", 1, LATER, NOON + 300),
                Pending(four[3], "", 0, None, NOON),
            )
            await spool.settle("q1", Settlement({four[3]: DONE}))
            assert await spool.ready(NOON + 299, 10) == []
            assert names(await spool.due(NET, NOON + 300, 10, ())) == ["q1"]
            await spool.settle("q1", Settlement({four[1]: DONE}))
            assert await spool.find("q1") is None
            assert await spool.ready(NOON + 10**6, 10) == []
            assert await spool.next_time(NOON) is None
        finally:
            await spool.close()

    @pytest_twisted.ensureDeferred
    async def test_reports_come_with_their_outcome(self, spool: WorkedSpool) -> None:
        """A report is a mail of its own, and its lane is told; large ones too."""
        told: list[Collection[Lane]] = []
        for size in (100, 200_000):
            who, sender = to("a@example.net"), to("sender@example.com")
            await accept(spool, new_mail("q1", who))
            told.clear()
            spool.watch(lambda lanes, special: told.append(lanes))
            report = new_mail("r1", sender, sender="", body=b"r" * size)
            await spool.settle("q1", Settlement({who: NEVER}, reports=(report,)))
            assert await spool.find("q1") is None
            found = await spool.find("r1")
            assert found is not None
            assert found.sender == Sender(None)
            assert [set(lanes) for lanes in told] == [{COM}]
            assert await body_of(spool, "r1") == b"r" * size
            await spool.settle("r1", Settlement({sender: DONE}))

    @pytest_twisted.ensureDeferred
    async def test_settling_twice_is_settling_once(self, spool: WorkedSpool) -> None:
        """Recipients that are gone bring no second report; a mail that is gone is no error."""
        one, other = to("a@example.net"), to("b@example.net")
        await accept(spool, new_mail("q1", one, other))
        report = new_mail("r1", to("sender@example.com"), sender="")
        await spool.settle("q1", Settlement({one: NEVER}, reports=(report,)))
        await spool.settle("r1", Settlement({to("sender@example.com"): DONE}))
        await spool.settle("q1", Settlement({one: NEVER}, reports=(report,)))
        assert await spool.find("r1") is None
        assert recipients(await spool.find("q1")) == ["b@example.net"]
        await spool.settle("gone", Settlement({one: NEVER}, reports=(report,)))
        assert names(await spool.select(Selection(), 10)) == ["q1"]

    @pytest_twisted.ensureDeferred
    async def test_expanded_recipients_take_the_place(self, spool: WorkedSpool) -> None:
        """Those that a recipient stands for are pending; an address that is there comes once."""
        team, there = to("team@example.org"), to("a@example.net")
        await accept(spool, new_mail("q1", team, there))
        added = [
            Pending(to("a@example.net"), "", due=NOON, depth=1),
            Pending(to("bob@example.org"), "mailbox", due=NOON, depth=1),
        ]
        expanded = Expanded(tuple(one.recipient.address for one in added))
        await spool.settle("q1", Settlement({team: expanded}, added=added))
        found = await spool.find("q1")
        assert recipients(found) == ["a@example.net", "bob@example.org"]
        assert found is not None
        assert [one.depth for one in found.pending] == [0, 1]
        assert names(await spool.due(BOX, NOON, 10, ())) == ["q1"]

    @pytest_twisted.ensureDeferred
    async def test_deadlines(self, spool: WorkedSpool) -> None:
        """Mails past their deadline are told, whatever their lanes do; a new one can be set."""
        who = to("a@example.net")
        await accept(spool, new_mail("q1", who))
        await accept(spool, new_mail("q2", who), held=True)
        await spool.block(NET, NOON + 10**6, 1, LATER)
        deadline = NOON + WARN_AFTER
        assert await spool.next_time(NOON) == deadline
        assert await spool.overdue(deadline - 1, 10) == []
        assert names(await spool.overdue(deadline, 10)) == ["q1"]
        await spool.settle("q1", Settlement({}, deadline=deadline + 50))
        assert await spool.overdue(deadline, 10) == []
        assert await spool.next_time(deadline) == deadline + 50
        assert names(await spool.overdue(deadline + 50, 10)) == ["q1"]

    @pytest_twisted.ensureDeferred
    async def test_held_with_a_reason(self, spool: WorkedSpool) -> None:
        """What is held shows why, whether from the start or by a settlement that holds it."""
        who, other = to("a@example.net"), to("b@example.com")
        await spool.accept([replace(new_mail("q1", who), held=True, why=LATER)])
        await accept(spool, new_mail("q2", who, other))
        await spool.settle("q2", Settlement({who: LATER}, NOON, held=True))
        assert await spool.due(NET, NOON, 10, ()) == []
        first, second = await spool.find("q1"), await spool.find("q2")
        assert first is not None
        assert second is not None
        assert first.held
        assert second.held
        assert [(one.last, one.due) for one in first.pending] == [(LATER, None)]
        assert [(one.last, one.due) for one in second.pending] == [(LATER, None), (None, None)]

    @pytest_twisted.ensureDeferred
    async def test_next_time(self, spool: WorkedSpool) -> None:
        """The next time is exact: when a lane becomes ready, its rest included."""
        who = to("a@example.net")
        assert await spool.next_time(NOON) is None
        await accept(spool, new_mail("q1", who))
        await spool.settle("q1", Settlement({who: LATER}, NOON + 300))
        assert await spool.next_time(NOON) == NOON + 300
        await spool.block(NET, NOON + 400, 1, LATER)
        assert await spool.next_time(NOON) == NOON + 400
        assert await spool.next_time(NOON + 400) == NOON + WARN_AFTER

    @pytest_twisted.ensureDeferred
    async def test_closed(self, spool: WorkedSpool) -> None:
        """A closed spool takes nothing, and says so."""
        await spool.close()
        with pytest.raises(MailError):
            await accept(spool, new_mail("q1", to("a@example.net")))
        with pytest.raises(MailError):
            await spool.find("q1")
