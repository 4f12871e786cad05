"""Tests for `mailplat.agents.lmtp` and the plugins of agents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from mailplat import plugins
from mailplat.agents.lmtp import LmtpAgent
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.net.channel_options import ChannelOptions
from mailplat.proto.smtp.offers import Dialect
from mailplat.testing import agents
from mailplat.testing.scripted_server import HANG_UP, ScriptedServer
from mailplat.testing.turns import wait_for

ANN, BEN, CAT = (Recipient(Address(name, "one.example")) for name in ("ann", "ben", "cat"))
DAN = Recipient(Address("dan", "two.example"))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """An LMTP server."""
    made = ScriptedServer("PIPELINING", "8BITMIME", "CHUNKING", "DSN", lmtp=True)
    wait_for(made.listen())
    yield made
    wait_for(made.stop())


@pytest.fixture
def agent(server: ScriptedServer) -> Iterator[LmtpAgent]:
    """An agent for it."""
    made = LmtpAgent(
        reactor,
        TCP4ClientEndpoint(reactor, "127.0.0.1", server.port),
        "lmtp:here",
        ChannelOptions("me.example", dialect=Dialect.LMTP),
    )
    yield made
    wait_for(made.close())


class TestContract(agents.AgentContract):
    """The agent keeps the contract of delivery agents."""

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Whom the server takes."""
        return [ANN, DAN]


@pytest_twisted.ensureDeferred
async def test_each_has_an_answer(server: ScriptedServer, agent: LmtpAgent) -> None:
    """One transaction, an answer for each: at RCPT or after the message (RFC 2033 §4.2)."""
    server.script["RCPT"] = ["250 ok", "550 5.1.1 who", "250 ok"]
    server.script["END"] = ["250 kept", "452 4.2.2 full", "552 5.2.2 never"]
    outcomes = await agent.deliver(agents.attempt([ANN, BEN, CAT, DAN]))
    assert [type(outcomes[one]) for one in (ANN, BEN, CAT, DAN)] == [
        Delivered,
        Bounced,
        Deferred,
        Bounced,
    ]
    ann = outcomes[ANN]
    assert isinstance(ann, Delivered)
    assert (ann.where, ann.reports) == ("lmtp:here", True)
    assert server.messages == [(("ann@one.example",), b"Subject: hello\r\n\r\nhello\r\n")]
    assert server.commands[0] == "LHLO me.example"


@pytest_twisted.ensureDeferred
async def test_lost_between_the_answers(server: ScriptedServer, agent: LmtpAgent) -> None:
    """Who has an answer keeps it; the others wait for another attempt."""
    server.script["END"] = ["250 kept", HANG_UP]
    outcomes = await agent.deliver(agents.attempt([ANN, BEN]))
    kinds = {type(outcomes[ANN]), type(outcomes[BEN])}
    assert kinds <= {Delivered, Deferred}
    assert isinstance(outcomes[BEN], Deferred)


@pytest_twisted.ensureDeferred
async def test_nobody_there() -> None:
    """No server is a temporary failure for everybody."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", 1)
    options = ChannelOptions("me.example", dialect=Dialect.LMTP)
    outcomes = await LmtpAgent(reactor, endpoint, "x", options).deliver(agents.attempt([ANN, DAN]))
    assert [type(one) for one in outcomes.values()] == [Deferred, Deferred]


def plugin(prefix: str) -> Any:
    """Find a plugin."""
    return next(one for one in getPlugins(IAgentPlugin, plugins) if one.prefix == prefix)


@pytest_twisted.ensureDeferred
async def test_lmtp_plugin(server: ScriptedServer) -> None:
    """A description makes an agent that delivers."""
    found = plugin("lmtp")
    verifyObject(IAgentPlugin, found)
    made: Any = found.agent(
        ["tcp", "127.0.0.1", str(server.port)], {"name": "me"}, AgentSettings(reactor)
    )
    verifyObject(IDeliveryAgent, made)
    assert isinstance((await made.deliver(agents.attempt([ANN])))[ANN], Delivered)
    assert server.commands[0] == "LHLO me"
    await made.close()


@pytest.mark.parametrize(
    ("prefix", "arguments", "options", "words"),
    [
        ("lmtp", ["carrier", "pigeon"], {}, "lmtp:unix:PATH"),
        ("lmtp", [], {}, "lmtp:unix:PATH"),
        ("lmtp", ["tcp", "h", "24"], {"nmae": "x"}, "no option 'nmae'; known: name"),
        ("pipe", [], {}, "pipe:/PATH"),
        ("pipe", ["cat"], {}, "pipe:/PATH"),
        ("pipe", ["/bin/cat"], {"timeout": "soon"}, "timeout=SECONDS"),
        ("pipe", ["/bin/cat"], {"timeout": "-1"}, "timeout=SECONDS"),
        ("pipe", ["/bin/cat"], {"newlines": "cr"}, "neither lf nor crlf"),
        ("pipe", ["/bin/cat"], {"user": "nobody-has-this-name"}, "no user"),
    ],
)
def test_faults_say_what_is_expected(
    prefix: str, arguments: list[str], options: dict[str, str], words: str
) -> None:
    """A description that cannot be read is told with what is expected."""
    with pytest.raises(ConfigurationFault, match=words):
        plugin(prefix).agent(arguments, options, AgentSettings(reactor))


def test_pipe_plugin(tmp_path: Path) -> None:
    """A description makes a pipe with its options."""
    made = plugin("pipe").agent(
        ["/bin/cat", "-v"], {"timeout": "5", "newlines": "crlf"}, AgentSettings(reactor)
    )
    verifyObject(IDeliveryAgent, made)
