"""Tests for the agent ``smtp``: one server, named in the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.agents.smtp_options import ServerTLS, SmtpOptions
from mailplat.app.parts import make_agent
from mailplat.config.secrets import Secret
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Deferred, Delivered
from mailplat.testing import agents
from mailplat.testing.fakes import KnownNames
from mailplat.testing.scripted_server import ScriptedServer
from mailplat.testing.turns import wait_for

ANN, BEN = (Recipient(Address(name, "one.example")) for name in ("ann", "ben"))
CLEAR = SmtpOptions(tls=ServerTLS.OPPORTUNISTIC)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """An SMTP server."""
    made = ScriptedServer("PIPELINING", "8BITMIME", "AUTH PLAIN")
    wait_for(made.listen())
    yield made
    wait_for(made.stop())


def agent_for(server: ScriptedServer, options: SmtpOptions = CLEAR) -> Any:
    """Make an agent by its description."""
    settings = AgentSettings(reactor, "me.example", resolver=KnownNames(), options=options)
    return make_agent(f"smtp:127.0.0.1:{server.port}", settings)


class TestContract(agents.AgentContract):
    """The agent keeps the contract of delivery agents."""

    @pytest.fixture
    def agent(self, server: ScriptedServer) -> Iterator[IDeliveryAgent]:
        """One for the server."""
        made = agent_for(server)
        yield made
        wait_for(made.close())

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [ANN, BEN]


@pytest_twisted.ensureDeferred
async def test_all_domains_go_there(server: ScriptedServer) -> None:
    """Whatever the recipient's domain is, the server gets the mail, in one transaction."""
    agent = agent_for(server)
    outcomes = await agent.deliver(agents.attempt([ANN, Recipient(Address("dan", "two.example"))]))
    assert {type(one) for one in outcomes.values()} == {Delivered}
    assert server.commands[0] == "EHLO me.example"
    assert sum(line.startswith("MAIL") for line in server.commands) == 1
    await agent.close()


@pytest_twisted.ensureDeferred
async def test_tls_is_wanted(server: ScriptedServer) -> None:
    """By default nothing goes out in clear."""
    agent = agent_for(server, SmtpOptions())
    outcome = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(outcome, Deferred)
    assert "TLS" in outcome.reply.text
    await agent.close()


@pytest_twisted.ensureDeferred
async def test_log_in(server: ScriptedServer) -> None:
    """It logs in; without TLS only where the operator says so."""
    password = Secret("secret")
    careful = agent_for(
        server, SmtpOptions(tls=ServerTLS.OPPORTUNISTIC, user="me", password=password)
    )
    assert isinstance((await careful.deliver(agents.attempt([ANN])))[ANN], Deferred)
    assert not any(line.startswith("AUTH") for line in server.commands)
    await careful.close()
    bold = agent_for(
        server,
        SmtpOptions(tls=ServerTLS.OPPORTUNISTIC, user="me", password=password, clear_password=True),
    )
    assert isinstance((await bold.deliver(agents.attempt([ANN])))[ANN], Delivered)
    assert any(line.startswith("AUTH PLAIN") for line in server.commands)
    await bold.close()


@pytest.mark.parametrize("words", ["", "host:x", "host:0", "host:70000", "a:1:2"])
def test_faults(words: str) -> None:
    """What names no server is told with what is expected."""
    settings = AgentSettings(reactor, resolver=KnownNames())
    with pytest.raises(ConfigurationFault, match="smtp:HOST"):
        make_agent(f"smtp:{words}", settings)


def test_user_and_password() -> None:
    """One without the other is a mistake."""
    settings = AgentSettings(reactor, resolver=KnownNames(), options=SmtpOptions(user="me"))
    with pytest.raises(ConfigurationFault, match="belong together"):
        make_agent("smtp:host", settings)
