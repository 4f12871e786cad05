"""What mailplat asks of routing: where does a recipient's mail lead?

`IRoutes` is the whole, as sessions and the queue ask it; an `IRoute` is one of the parts that it is
composed of, in the order of the configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from zope.interface import Attribute, Interface

from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.reply import Reply

__all__ = [
    "Destination",
    "Expanded",
    "Explained",
    "Found",
    "IExplainedRoutes",
    "IOpenRoute",
    "IRoute",
    "IRoutes",
    "Local",
    "Onward",
    "Refused",
    "Remote",
    "Step",
]


@dataclass(frozen=True, slots=True)
class Onward:
    """How a copy goes on that came for another address.

    Attributes:
        via: The address that it came for, which stands for others.
        sender: The reverse path that it has from here on; None keeps the one it came with.
        mailing_list: Whether that address is a mailing list: what the sender asked to be told ends
            there (RFC 3461 §5.2.7.1); of an alias it goes on.
    """

    via: Address
    sender: Address | None = None
    mailing_list: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """Into a mailbox here.

    Attributes:
        account: Whose.
        mailbox: Which; made if it is not there.
        detail: What followed the subaddress delimiter; ``""`` if nothing (RFC 5233).
        address: The address that led here, behind all aliases; None for the one that was asked
            about.
        onward: How it goes on, where a mailing list led here.
    """

    account: Account
    mailbox: str = "INBOX"
    detail: str = ""
    address: Address | None = field(default=None, compare=False)
    onward: Onward | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """To a delivery agent, by way of the spool.

    Attributes:
        address: Whom the agent brings it to.
        agent: The agent's name in the configuration; ``""`` is the relay to the
            recipient's own mail exchangers.
        onward: How it goes on, where it was forwarded from here.
    """

    address: Address
    agent: str = ""
    onward: Onward | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nowhere.

    Attributes:
        reply: What the client is told.
        address: Who it is that gets nothing, where that is one of several that an address stands
            for: its sender is told by a report.
        onward: How its copy would have gone on, and so who is told.
    """

    reply: Reply
    address: Address | None = None
    onward: Onward | None = None


Destination = Local | Remote | Refused


class IRoutes(Interface):
    """Finds where mail leads.

    Conformance: `mailplat.testing.routes.RoutesContract`.
    """

    def route(
        address: Address, sender: Address | None = None
    ) -> Awaitable[tuple[Destination, ...]]:
        """Follow aliases to their ends; never empty, no destination twice.

        A `Refused` among several leaves the others standing only if the address is a list;
        for a plain address it stands alone.

        Args:
            address: Whose mail.
            sender: The reverse path of the mail; None is the null sender, or not known.

        Raises:
            Unavailable: It cannot be said now.
        """

    def is_local_domain(domain: str) -> bool:
        """Whether mail for this domain is ours to accept, whoever sends it."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """An address that stands for others, which are looked up in their turn.

    Attributes:
        addresses: At least one.  An address that stands for itself too goes on with the routes
            behind this one.
        owner: Where reports about a mailing list's members go; None for an alias.
        final: Those of the addresses that this route does not look at again.
        also: Destinations beside the addresses.
    """

    addresses: tuple[Address, ...]
    owner: Address | None = None
    final: frozenset[Address] = frozenset()
    also: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What one route says of an address.

    Attributes:
        result: Where mail for it leads: the end of the way, or other addresses.
        because: Which of its rules said so, for people: ``/etc/aliases:12``.
    """

    result: Destination | Expanded
    because: str = ""


class IRoute(Interface):
    """One part of the routes: a table of aliases, the accounts, a list of relay hosts.

    It is asked in its turn, after those in front of it had nothing to say.

    Conformance: `mailplat.testing.routes.RouteContract`.
    """

    name: str = Attribute("What explanations and the log call it.")

    def find(address: Address, sender: Address | None) -> Awaitable[Found | None]:
        """Say where mail for an address leads; None leaves it to the routes behind.

        Never blocks the reactor.  Addresses are compared without regard to case.

        Args:
            address: Whose mail; as the client gave it.
            sender: The reverse path of the mail; None is the null sender, or not known.

        Raises:
            Unavailable: It cannot be said now: the client, or the queue, tries again.
        """

    def is_local_domain(domain: str) -> bool:
        """Whether this route makes mail for a domain ours to accept, whoever sends it."""


class IOpenRoute(IRoute):
    """A route that holds something: a file, a database, a connection."""

    def open() -> Awaitable[None]:
        """Make ready, before the first question.

        Raises:
            ConfigurationFault: It cannot be; the reason says the remedy.
        """

    def close() -> Awaitable[None]:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way that an address's mail takes.

    Attributes:
        depth: How many expansions led to it.
        address: Which address was looked up.
        route: The route that knew it; ``""`` if none did.
        because: Which of its rules.
        result: What came of it.
        note: What was made of that, where it is not what the route said: a loop, a new sender.
    """

    depth: int
    address: Address
    route: str
    because: str
    result: Destination | Expanded
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """Where an address's mail leads, with the way there.

    Attributes:
        steps: In the order in which they were made.
        destinations: As `IRoutes.route` gives them.
    """

    steps: tuple[Step, ...]
    destinations: tuple[Destination, ...]


class IExplainedRoutes(IRoutes):
    """Routes that can say why."""

    def explain(address: Address, sender: Address | None = None) -> Awaitable[Explained]:
        """Do as `IRoutes.route` does, and tell how.

        Raises:
            Unavailable: It cannot be said now.
        """
