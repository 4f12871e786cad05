"""A whole queue over a real spool, with agents that a test scripts and a clock that it turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Later
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.routes import Destination, IRoutes, Local, Refused, Remote
from mailplat.interfaces.spool import NewMail, Selection, Spooled
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.outcome import Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.queue.bounces import Bounces
from mailplat.queue.results import Results
from mailplat.queue.runner import QueueLimits, Runner
from mailplat.queue.schedule import Schedule
from mailplat.spool.spool import Spool
from mailplat.testing.agents import StringBody
from mailplat.testing.spools import NOON, body_of
from mailplat.testing.turns import turn, until, wait_for

HEADER = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\n"


@implementer(IDeliveryAgent)
class Scripted:
    """An agent that answers as a test wants.

    Attributes:
        answers: What to answer for an address: an outcome, an exception, or a function of the
            attempt that gives one of these or a Deferred; others are delivered.
        tried: Queue id and addresses of each attempt.
        bodies: What each attempt's mail was.
        together: Attempts under way, and the most there ever were.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.tried: list[tuple[str, list[str]]] = []
        self.bodies: list[bytes] = []
        self.together = self.most = 0

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        self.tried.append((attempt.queue_id, [str(one.address) for one in attempt.recipients]))
        self.bodies.append(attempt.body.read(0, attempt.body.size))
        self.together += 1
        self.most = max(self.most, self.together)
        try:
            return {one: await self._answer(attempt, one) for one in attempt.recipients}
        finally:
            self.together -= 1

    async def _answer(self, attempt: Attempt, one: Recipient) -> Any:
        answer = self.answers.get(str(one.address), Delivered("mx.example.net"))
        if callable(answer):
            answer = answer(attempt)
        if isinstance(answer, Later):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


@implementer(IRoutes)
class TwoDomains:
    """example.org is here, with everybody but ``nobody``; all else is elsewhere."""

    async def route(
        self, address: Address, sender: Address | None = None
    ) -> tuple[Destination, ...]:
        """See `IRoutes.route`."""
        if not self.is_local_domain(address.domain):
            return (Remote(address),)
        if address.local == "nobody":
            return (Refused(Reply.of(550, "no such user", "5.1.1")),)
        return (Local(Account(str(address))),)

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoutes.is_local_domain`."""
        return domain == "example.org"


class Yard:
    """A queue, its spool, and its agents.

    Attributes:
        clock: Seconds since the test began.
        relay: The agent for other servers.
        mailbox: The agent for mailboxes here.
        schedule: May be changed before `start`.
        limits: May be changed before `start`.
    """

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.relay, self.mailbox = Scripted(), Scripted()
        self.agents: dict[str, IDeliveryAgent] = {"": self.relay, "mailbox": self.mailbox}
        self.schedule = Schedule(jitter=0.0)
        self.limits = QueueLimits()
        self.spool = Spool(reactor, directory / "spool", self.now, inline=50_000)
        self.runner: Runner | None = None
        self._count = 0

    def now(self) -> float:
        """Tell the time."""
        return NOON + self.clock.seconds()

    def name(self) -> str:
        """Name a mail."""
        self._count += 1
        return f"r{self._count:04}"

    def bounces(self) -> Bounces:
        """Make what writes reports."""
        return Bounces(self.spool, TwoDomains(), "mail.example.org", self.name, self.now)

    async def start(self) -> None:
        """Start the runner."""
        results = Results(
            self.bounces(), TwoDomains(), self.schedule, self.now, lambda: 0.5, depth=3
        )
        self.runner = Runner(
            self.spool,
            self.agents,
            results,
            self.schedule,
            self.clock,
            self.now,
            lambda: 0.5,
            self.limits,
        )
        await self.runner.open()

    async def stop(self) -> None:
        """Stop the runner."""
        if self.runner is not None:
            runner, self.runner = self.runner, None
            await runner.close()

    async def accept(
        self,
        queue_id: str,
        *recipients: Recipient,
        sender: Sender | None = None,
        agent: str = "",
        body: bytes = HEADER + b"hello\r\n",
    ) -> None:
        """Hand a mail in."""
        path = sender or Sender(Address("alice", "example.org"))
        agents = dict.fromkeys(recipients, agent)
        envelope = Envelope(path, recipients)
        await self.spool.accept([NewMail(queue_id, envelope, agents, StringBody(body))])

    async def rest(self) -> None:
        """Wait until nothing is going on any more, but what waits for the clock."""
        still, end = 0, reactor.seconds() + 20
        while still < 3:
            assert reactor.seconds() < end, "it never rests"
            await turn()
            runner = self.runner
            busy = runner is not None and runner.busy
            still = 0 if busy else still + 1

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock on, stopping wherever something was to be done."""
        end = self.clock.seconds() + seconds
        await self.rest()
        while calls := [one for one in self.clock.getDelayedCalls() if one.getTime() <= end]:
            first = min(one.getTime() for one in calls)
            self.clock.advance(max(0.0, first - self.clock.seconds()))
            await self.rest()
        self.clock.advance(end - self.clock.seconds())
        await self.rest()

    async def found(self) -> dict[str, Spooled]:
        """Give all that is in the spool."""
        return {one.queue_id: one for one in await self.spool.select(Selection(), 10_000)}

    async def body(self, queue_id: str) -> bytes:
        """Give a mail's bytes."""
        return await body_of(self.spool, queue_id)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something."""
        await until(holds)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """A queue with an open spool; a test starts its runner."""
    yard = Yard(tmp_path)
    wait_for(yard.spool.open())
    yield yard
    wait_for(yard.stop())
    wait_for(yard.spool.close())
    assert not yard.clock.getDelayedCalls()
