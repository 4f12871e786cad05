"""Asking the next server about a recipient: `RelayAgent.verify`, and the whole way to it."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.app.remembering import NextServers
from mailplat.interfaces.agents import IVerifyingAgent
from mailplat.interfaces.routes import Local, Remote
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.testing.scripted_server import HANG_UP

ANN = Recipient(Address("ann", "dest.example"))


@pytest.mark.parametrize("offers", [("PIPELINING",), ("8BITMIME",), ("PIPELINING", "CHUNKING")])
@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({}, "Delivered"),
        ({"RCPT": ["550 5.1.1 nobody"]}, "Bounced"),
        ({"RCPT": ["450 4.2.1 later"]}, "Deferred"),
        ({"MAIL": ["550 5.7.1 not you"]}, "Bounced"),
        ({"MAIL": [HANG_UP]}, "Deferred"),
        ({"RCPT": [HANG_UP]}, "Deferred"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_asks(
    relayed: Any, offers: tuple[str, ...], script: dict[str, list[str]], outcome: str
) -> None:
    """The null sender is said, the recipient, and never a message."""
    server = await relayed.server(None)
    server.offers = offers
    server.script.update(script)
    agent = relayed.relay()
    assert verifyObject(IVerifyingAgent, agent)
    assert type(await agent.verify(ANN)).__name__ == outcome
    assert server.messages == []
    said = " ".join(server.commands)
    assert "MAIL FROM:<>" in said
    assert "DATA" not in said
    assert "BDAT" not in said


@pytest_twisted.ensureDeferred
async def test_the_connection_is_used_again(relayed: Any) -> None:
    """A question leaves the connection ready for mail."""
    server = await relayed.server(None)
    agent = relayed.relay()
    for _ in range(3):
        assert type(await agent.verify(ANN)).__name__ == "Delivered"
    assert (await relayed.send(agent=agent))[0] == "Delivered"
    assert server.connections == 1
    assert len(server.messages) == 1


class Routes:
    """Lead somewhere."""

    def __init__(self, *found: Any) -> None:
        self.found = found

    async def route(self, address: Address, sender: Address | None = None) -> Any:
        """See `IRoutes.route`."""
        return self.found

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoutes.is_local_domain`."""
        return True


@pytest_twisted.ensureDeferred
async def test_next_servers(relayed: Any) -> None:
    """Who leads to one agent that can ask is asked about; all others are not."""
    server = await relayed.server(None)
    server.script["RCPT"] = ["550 5.1.1 nobody"]
    agents: Any = {"": relayed.relay(), "pipe": object()}
    there, here = Remote(ANN.address), Local(Account("ann"))
    for found, code in [
        ((there,), 550),
        ((here,), None),
        ((there, here), None),
        ((Remote(ANN.address, "pipe"),), None),
        ((Remote(ANN.address, "gone"),), None),
    ]:
        routes: Any = Routes(*found)
        reply = await NextServers(routes, agents).verify(ANN.address)
        assert (reply.code if reply else None) == code
    server.script["RCPT"] = ["250 ok"]
    one: Any = Routes(there)
    told = await NextServers(one, agents).verify(ANN.address)
    assert told is not None
    assert told.positive
