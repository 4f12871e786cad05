"""What every delivery agent must do, as tests that any agent can run::

from mailplat.testing import agents

class TestAcmeAgent(agents.AgentContract):
    @pytest.fixture
    def agent(self):
        return AcmeAgent()

    @pytest.fixture
    def recipients(self):
        return [Recipient(Address("alice", "example.org"))]
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest_twisted
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.bodies import IBody
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Delivered, Expanded

__all__ = ["AgentContract", "StringBody", "attempt"]


@implementer(IBody)
class StringBody:
    """A body that holds its bytes."""

    in_memory = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self._data[start:stop]

    def close(self) -> None:
        """Nothing to let go of."""


def attempt(
    recipients: Sequence[Recipient], body: bytes = b"Subject: hello\r\n\r\nhello\r\n"
) -> Attempt:
    """Make an attempt to deliver a small mail."""
    sender = Sender(Address("sender", "example.net"))
    return Attempt("q1", sender, tuple(recipients), StringBody(body), None, 1_700_000_000)


class AgentContract:
    """The contract of `IDeliveryAgent`.

    A subclass adds the fixtures ``agent`` and ``recipients``: at least one recipient that the
    agent can deliver to.
    """

    def test_provides(self, agent: IDeliveryAgent) -> None:
        """An agent has every member of the interface, with its signature."""
        verifyObject(IDeliveryAgent, agent)

    @pytest_twisted.ensureDeferred
    async def test_delivers(self, agent: IDeliveryAgent, recipients: Sequence[Recipient]) -> None:
        """What can be delivered is."""
        outcomes = await agent.deliver(attempt(recipients))
        assert {type(outcome) for outcome in outcomes.values()} <= {Delivered, Expanded}

    @pytest_twisted.ensureDeferred
    async def test_answers_for_everyone(
        self, agent: IDeliveryAgent, recipients: Sequence[Recipient]
    ) -> None:
        """There is an outcome for every recipient of the attempt, and for no other."""
        stranger = Recipient(Address("nobody-knows-this-one", "invalid.example"))
        asked = [*recipients, stranger]
        outcomes = await agent.deliver(attempt(asked))
        assert set(outcomes) == set(asked)
        assert all(
            isinstance(outcome, Delivered | Deferred | Bounced | Expanded)
            for outcome in outcomes.values()
        )

    @pytest_twisted.ensureDeferred
    async def test_does_not_close_the_body(
        self, agent: IDeliveryAgent, recipients: Sequence[Recipient]
    ) -> None:
        """The body is the caller's: the next agent reads it too."""
        closed: list[bool] = []
        one = attempt(recipients)
        one.body.close = lambda: closed.append(True)  # type: ignore[method-assign]
        await agent.deliver(one)
        assert closed == []
