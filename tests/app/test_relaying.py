"""Tests for `mailplat.app.relaying`: options become parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.agents.expansion import ExpansionAgent
from mailplat.agents.tls_demands import TLSPolicy
from mailplat.app.relaying import make_relay, make_relay_hosts, make_resolver
from mailplat.app.routing import CommandAgents
from mailplat.config.load import parse
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.resolver import IResolver
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Delivered
from mailplat.testing.agents import attempt
from mailplat.testing.fakes import KnownNames
from mailplat.testing.scripted_server import ScriptedServer


def relay(text: str) -> Any:
    """Make a relay out of a configuration's text."""
    configuration = parse(text, "mailplat.toml", Path("/here"), {})
    return make_relay(configuration, reactor, "mail.example.org", KnownNames())


def test_defaults() -> None:
    """Without a word in the file, mail goes to exchangers, over TLS where there is TLS."""
    made = relay("")
    verifyObject(IDeliveryAgent, made)
    assert made._options.tls is TLSPolicy.OPPORTUNISTIC
    assert made._options.smarthost is None
    assert made._options.channel.end == 600.0


def test_smarthost() -> None:
    """A smarthost has to prove its name, unless the file says otherwise."""
    text = '[smarthost]\nhost = "Smtp.Example.net"\nuser = "me"\npassword = "secret"\n'
    options = relay(text)._options
    assert options.tls is TLSPolicy.VERIFIED
    assert (options.smarthost.host, options.smarthost.port) == ("smtp.example.net", 587)
    assert options.smarthost.credentials.password == "secret"
    assert "secret" not in repr(options)
    assert relay(text + '[relay]\ntls = "required"\n')._options.tls is TLSPolicy.REQUIRED
    with pytest.raises(ConfigurationFault, match=r"smarthost\.password belong together"):
        relay('[smarthost]\nhost = "smtp.example.net"\nuser = "me"\n')


def test_relay_hosts(tmp_path: Path) -> None:
    """Each is an agent of its own, with its own credentials; their names have to be proved."""
    (tmp_path / "office.password").write_text("secret\n")
    text = (
        '[[relay_host]]\nname = "office"\nhost = "Smtp.Example.net."\nport = 465\n'
        'implicit_tls = true\nuser = "me"\npassword = { file = "office.password" }\n'
        '[[relay_host]]\nname = "other"\nhost = "192.0.2.1"\n[smarthost]\nhost = "h.example"\n'
    )
    configuration = parse(text, "mailplat.toml", tmp_path, {})
    made: dict[str, Any] = dict(
        make_relay_hosts(configuration, reactor, "mail.example.org", KnownNames())
    )
    assert list(made) == ["relay:office", "relay:other"]
    office = made["relay:office"]._options
    assert (office.smarthost.host, office.smarthost.port) == ("smtp.example.net", 465)
    assert office.smarthost.implicit_tls
    assert office.smarthost.credentials.password == "secret"
    assert office.tls is TLSPolicy.VERIFIED
    assert made["relay:other"]._options.smarthost.credentials is None


def test_commands() -> None:
    """A command is an agent where it is one of a whole path; other names are what they were."""
    agents = CommandAgents({"mailbox": ExpansionAgent("x")}, reactor)
    assert "|/bin/cat 'a b'" in agents
    assert agents["|/bin/cat 'a b'"] is agents["|/bin/cat 'a b'"]
    verifyObject(IDeliveryAgent, agents["|/bin/cat"])
    assert list(agents) == ["mailbox"]
    assert len(agents) == 1
    for name in ("|cat", "|", "|/bin/cat 'a", "other"):
        assert agents.get(name) is None


def test_authorities_that_cannot_be_read() -> None:
    """A file of authorities that is none is told."""
    with pytest.raises(ConfigurationFault, match="has to be PEM"):
        relay('[relay]\nauthorities = "/no/such"\n')


def test_resolver() -> None:
    """The name servers are those of the file, or the system's."""
    text = '[resolver]\nservers = ["192.0.2.53", "::1"]\nport = 5353\nhosts_file = false\n'
    made = make_resolver(parse(text, "mailplat.toml", Path("/here"), {}), reactor)
    verifyObject(IResolver, made)
    assert made._options.servers == (("192.0.2.53", 5353), ("::1", 5353))
    assert not made._options.validating
    text += 'validators = ["127.0.0.1"]\n'
    made = make_resolver(parse(text, "mailplat.toml", Path("/here"), {}), reactor)
    assert made._options.servers == (("127.0.0.1", 5353),)
    assert made._options.validating
    assert make_resolver(parse("", "mailplat.toml", Path("/here"), {}), reactor)._options.servers


@pytest_twisted.ensureDeferred
async def test_relays_to_a_smarthost() -> None:
    """What is made of options delivers: over real sockets, by the address that is written."""
    server = ScriptedServer()
    port = await server.listen()
    made = relay(
        f'[smarthost]\nhost = "127.0.0.1"\nport = {port}\n'
        '[relay]\ntls = "opportunistic"\nidle_timeout = "100ms"\n'
    )
    whom = Recipient(Address("ann", "example.net"))
    outcome = (await made.deliver(attempt([whom])))[whom]
    assert isinstance(outcome, Delivered)
    assert outcome.where == f"127.0.0.1:{port}"
    await made.close()
    await server.stop()
