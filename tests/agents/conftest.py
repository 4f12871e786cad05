"""Shared by tests of the relay: servers with certificates, under names that a name server knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from mailplat.agents.smtp import RelayAgent, RelayOptions
from mailplat.agents.tls_notes import Applied
from mailplat.interfaces.agents import Attempt
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.resolver import Resolver
from mailplat.testing.agents import StringBody
from mailplat.testing.authority import Issued, MadeAuthority
from mailplat.testing.name_server import NameServer
from mailplat.testing.scripted_server import ScriptedServer
from mailplat.testing.turns import wait_for

QUICK = ChannelOptions(
    "me.example", greeting=0.5, command=0.5, data=0.5, end=0.5, block=0.5, handshake=0.5, idle=5.0
)


class Notes:
    """Takes note of what came of TLS."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.sources: list[str] = []

    def note(
        self,
        applied: Applied,
        result: str,
        *,
        host: str = "",
        address: str = "",
        source: str = "",
        why: str = "",
    ) -> None:
        """See `TLSNotes.note`."""
        self.taken.append((applied.kind.value, result, host))
        self.sources.append(source)


class Relayed:
    """dest.example with the exchanger mx.dest.example, all signed, and agents that relay there."""

    def __init__(self, authority: MadeAuthority) -> None:
        self.authority = authority
        self.names = NameServer()
        self.names.mx("dest.example", "mx.dest.example")
        self.names.a("mx.dest.example", "192.0.2.1")
        self.names.sign("dest.example", "mx.dest.example", "_25._tcp.mx.dest.example")
        self.resolver: Resolver = self.names.listen()
        self.servers: dict[str, ScriptedServer] = {}
        self.notes = Notes()
        self._agents: list[RelayAgent] = []

    async def server(self, issued: Issued | None, *, address: str = "192.0.2.1") -> ScriptedServer:
        """Put a server at an address, with TLS or without."""
        offers = ("PIPELINING",) if issued is None else ("PIPELINING", "STARTTLS", "REQUIRETLS")
        made = ScriptedServer(*offers, tls=None if issued is None else issued.tls)
        self.servers[address] = made
        await made.listen()
        return made

    def relay(self, policies: Any = None, **options: Any) -> RelayAgent:
        """Make an agent."""
        agent = RelayAgent(
            reactor,
            self.resolver,
            ClientContexts(authorities=self.authority.path),
            RelayOptions(channel=QUICK, **options),
            policies=policies,
            notes=self.notes,
            endpoint=self._endpoint,
        )
        self._agents.append(agent)
        return agent

    async def send(
        self,
        policies: Any = None,
        *,
        agent: RelayAgent | None = None,
        sender: Sender | None = None,
        body: bytes = b"Subject: x\r\n\r\nhello\r\n",
        domain: str = "dest.example",
        **options: Any,
    ) -> tuple[str, str]:
        """Relay a mail; tell the outcome's kind, and its status where there is one."""
        whom = Recipient(Address("ann", domain))
        given = sender or Sender(Address("me", "example.net"))
        attempt = Attempt("q1", given, (whom,), StringBody(body), None, 1_700_000_000)
        outcome: Any = (await (agent or self.relay(policies, **options)).deliver(attempt))[whom]
        return type(outcome).__name__, outcome.reply.status

    def _endpoint(self, address: str, port: int) -> TCP4ClientEndpoint:
        server = self.servers.get(address)
        return TCP4ClientEndpoint(reactor, "127.0.0.1", server.port if server else 1, timeout=5)

    async def stop(self) -> None:
        """End everything."""
        for agent in self._agents:
            await agent.close()
        for server in self.servers.values():
            await server.stop()
        await self.names.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    """Who makes the servers' certificates; also who the relay trusts."""
    return MadeAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def relayed(authority: MadeAuthority) -> Iterator[Relayed]:
    """Names, servers and agents."""
    made = Relayed(authority)
    yield made
    wait_for(made.stop())
