"""What mailplat asks of a delivery agent: bring mail one step further."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from zope.interface import Interface

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import Target
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Outcome
from mailplat.model.summary import Summary

__all__ = [
    "ALIAS_AGENT",
    "COMMAND_PREFIX",
    "LIST_AGENT",
    "MAILBOX_AGENT",
    "RELAY_AGENT",
    "RELAY_PREFIX",
    "Attempt",
    "IClosingAgent",
    "IDeliveryAgent",
    "IVerifyingAgent",
    "is_relay",
]

MAILBOX_AGENT = "mailbox"
"""The name of the agent that brings spooled mail to mailboxes here."""

RELAY_AGENT = ""
"""The name of the agent that brings mail to the recipients' own mail exchangers."""

RELAY_PREFIX = "relay:"
"""What the name of an agent begins with that brings mail to one host, which relays it."""

COMMAND_PREFIX = "|"
"""What the name of an agent begins with that runs a command of an alias; the rest is that."""

ALIAS_AGENT = "alias"
"""The name of the agent for an alias that several others took the place of: it reports that."""

LIST_AGENT = "list"
"""The name of the agent for a mailing list whose members got copies: it reports a delivery."""


def is_relay(agent: str) -> bool:
    """Tell whether an agent of this name hands mail on to a server that is not its last."""
    return agent == RELAY_AGENT or agent.startswith(RELAY_PREFIX)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mail to be brought to some of its recipients.

    Attributes:
        queue_id: For log lines, and to know a repeated attempt by.
        sender: The reverse path with its parameters; times count from this attempt on.
        recipients: Whom to bring it to.
        body: The message with its trace fields; the agent does not close it.
        summary: What is known about the message, where somebody worked it out; else None.
        arrived: When it was accepted, seconds since 1970 UTC.
        targets: The mailboxes here that were decided for a recipient when the mail was accepted.
    """

    queue_id: str
    sender: Sender
    recipients: tuple[Recipient, ...]
    body: IBody
    summary: Summary | None
    arrived: int
    targets: Mapping[Recipient, tuple[Target, ...]] = field(default_factory=dict)


class IDeliveryAgent(Interface):
    """Brings mail into a mailbox, to another server, to a program.

    An agent never bounces: it answers, and the queue reports.  It may be asked again for the
    same mail and recipient after a crash, so its own step is atomic.

    Conformance: `mailplat.testing.agents.AgentContract`.
    """

    def deliver(attempt: Attempt) -> Awaitable[Mapping[Recipient, Outcome]]:
        """Try once; answer for every recipient of the attempt and for no other.

        An exception counts as `Deferred` for all of them.
        """


class IClosingAgent(IDeliveryAgent):
    """An agent that holds something between attempts: connections, processes."""

    def close() -> Awaitable[None]:
        """Let go of it; no attempt is under way, and none follows."""


class IVerifyingAgent(IDeliveryAgent):
    """An agent that can ask the next server whether it takes mail for somebody."""

    def verify(recipient: Recipient) -> Awaitable[Outcome]:
        """Ask, as a report's sender does (the null sender), and send no message.

        Returns:
            `Delivered` if mail would be taken, else why it would not be, or cannot be now.
        """
