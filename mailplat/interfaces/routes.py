"""What mailplat asks of routing: where does a recipient's mail lead?"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from zope.interface import Interface

from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.reply import Reply

__all__ = ["Destination", "IRoutes", "Local", "Refused", "Remote"]


@dataclass(frozen=True, slots=True)
class Local:
    """Into a mailbox here.

    Attributes:
        account: Whose.
        mailbox: Which; made if it is not there.
        detail: What followed the subaddress delimiter; ``""`` if nothing (RFC 5233).
    """

    account: Account
    mailbox: str = "INBOX"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """To a delivery agent, by way of the spool.

    Attributes:
        address: Whom the agent brings it to.
        agent: The agent's name in the configuration; ``""`` is the relay to the
            recipient's own mail exchangers.
    """

    address: Address
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nowhere.

    Attributes:
        reply: What the client is told.
    """

    reply: Reply


Destination = Local | Remote | Refused


class IRoutes(Interface):
    """Finds where mail leads.

    Conformance: `mailplat.testing.routes.RoutesContract`.
    """

    def route(address: Address) -> Awaitable[tuple[Destination, ...]]:
        """Follow aliases to their ends; never empty, no destination twice.

        A `Refused` among several leaves the others standing only if the address is a list;
        for a plain address it stands alone.
        """

    def is_local_domain(domain: str) -> bool:
        """Whether mail for this domain is ours to accept, whoever sends it."""
