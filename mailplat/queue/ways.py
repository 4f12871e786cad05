"""How mail that begins in the queue goes on: reports, and those that a recipient stands for.

What routes say is kept with the recipient, as it is for mail that came in: it is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailplat.interfaces.agents import MAILBOX_AGENT
from mailplat.interfaces.routes import IRoutes, Local, Remote
from mailplat.interfaces.store import Target
from mailplat.model.address import Address

__all__ = ["Way", "ways_for"]


@dataclass(frozen=True, slots=True)
class Way:
    """Where a recipient's mail goes.

    Attributes:
        agent: The agent that takes it on.
        targets: The mailboxes, if it is here.
    """

    agent: str
    targets: tuple[Target, ...] = ()


async def ways_for(
    routes: IRoutes, address: Address, sender: Address | None = None
) -> Mapping[Address, Way]:
    """Ask where mail for an address leads: to which addresses, and how; maybe nowhere.

    Args:
        routes: Know it.
        address: Whose mail.
        sender: The reverse path; None is the null sender.

    Raises:
        Unavailable: It cannot be said now.
    """
    found: dict[Address, Way] = {}
    for one in await routes.route(address, sender):
        if isinstance(one, Remote):
            found[one.address] = Way(one.agent)
        elif isinstance(one, Local):
            led = one.address or address
            there = found[led].targets if led in found else ()
            found[led] = Way(MAILBOX_AGENT, (*there, Target(one.account.name, one.mailbox)))
    return found
