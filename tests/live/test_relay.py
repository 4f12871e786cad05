"""The relay against real servers: a twistd process of ours, and Postfix's smtp-sink."""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThread
from twisted.names import dns

from mailplat.agents.lmtp import LmtpAgent
from mailplat.agents.smtp import RelayAgent, RelayOptions, Smarthost
from mailplat.agents.tls_demands import TLSPolicy
from mailplat.interfaces.agents import Attempt
from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.envelope import BodyType, Recipient, Sender
from mailplat.model.outcome import Bounced, Delivered
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.smtp_client import (
    PeerLost,
    Unreachable,
    open_channel,
)
from mailplat.net.smtp_pool import ChannelPool
from mailplat.proto.smtp.offers import Dialect
from mailplat.testing.agents import StringBody
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import all_of, turn, until
from mailplat.testing.twistd import Installation, TwistdServer, find_port_offset

LARGE = b"Subject: large\r\n\r\n" + b".line with a dot\r\n" * 40_000
ODD = b"Subject: odd\r\n\r\n.first\r\n..\r\n\xe4 bare\nfeed\r\nno end"


def attempt(*whom: str, body: bytes, sender: str = "someone@elsewhere.example") -> Attempt:
    """Make an attempt for these addresses."""
    local, _, domain = sender.partition("@")
    given = Sender(Address(local, domain), body=BodyType.EIGHT_BIT)
    recipients = tuple(Recipient(Address(*one.split("@"))) for one in whom)
    return Attempt("q1", given, recipients, StringBody(body), None, 0)


def relay(port: int, contexts: ClientContexts | None = None, **options: Any) -> RelayAgent:
    """Make a relay whose every exchanger is a port of this machine."""
    options.setdefault("channel", ChannelOptions("client.example.net"))
    return RelayAgent(
        reactor,
        KnownNames(mx={"example.org": [(1, "localhost")]}, hosts={"localhost": ["127.0.0.1"]}),
        contexts or ClientContexts(),
        RelayOptions(**options),
        endpoint=lambda address, _: TCP4ClientEndpoint(reactor, address, port),
    )


@pytest.mark.parametrize("chunking", [True, False])
@pytest_twisted.ensureDeferred
async def test_to_our_own_server(
    server: TwistdServer, user: str, other_user: str, chunking: bool
) -> None:
    """Mail arrives whole, by BDAT and by DATA, over TLS of a certificate that nobody knows."""
    channel = ChannelOptions("client.example.net", chunking=chunking)
    agent = relay(server.installation.port("smtp"), channel=channel)
    stranger = "nobody-has-this@example.org"
    bodies = [ODD, LARGE, b"Subject: small\r\n\r\n"]
    for body in bodies:
        outcomes = await agent.deliver(attempt(user, stranger, other_user, body=body))
        kinds = [type(one) for one in outcomes.values()]
        assert kinds == [Delivered, Bounced, Delivered]
    assert agent.connections == 1
    await agent.close()
    mended = ODD.replace(b"bare\nfeed", b"bare\r\nfeed") + b"\r\n"
    for one in (user, other_user):
        arrived = server.bodies(one)
        assert all(b"with ESMTPS" in body for body in arrived)
        assert {len(body) > len(LARGE) for body in arrived} == {True, False}
        for sent in (mended, LARGE, bodies[2]):
            assert sum(body.endswith(b"\r\n" + sent) for body in arrived) == 1


@pytest.mark.parametrize("way", ["submission", "submissions"])
@pytest_twisted.ensureDeferred
async def test_as_a_smarthost(server: TwistdServer, user: str, other_user: str, way: str) -> None:
    """The submission ports take mail as a smarthost does: verified, and logged in."""
    installation = server.installation
    smarthost = Smarthost(
        "localhost",
        implicit_tls=way == "submissions",
        credentials=PasswordCredentials(user, installation.password),
    )
    contexts = ClientContexts(authorities=installation.certificate)
    agent = relay(installation.port(way), contexts, smarthost=smarthost, tls=TLSPolicy.VERIFIED)
    given = attempt(other_user, body=b"Subject: x\r\n\r\nhello\r\n", sender=user)
    (outcome,) = (await agent.deliver(given)).values()
    assert isinstance(outcome, Delivered)
    await agent.close()
    (mail,) = server.bodies(other_user)
    assert b"with ESMTPSA" in mail


class Sink:
    """Postfix's smtp-sink on a port of this machine."""

    def __init__(self, program: str, directory: Path, *arguments: str) -> None:
        self.port = 25 + find_port_offset()
        where = f"127.0.0.1:{self.port}"
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self._pool = ChannelPool()
        self.dump = directory / "dump"
        self._process = subprocess.Popen(
            [program, *user, *arguments, "-D", str(self.dump), where, "100"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
        )

    async def ready(self) -> None:
        """Wait until it listens."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        for _ in range(1000):
            try:
                channel = await open_channel(
                    endpoint,
                    ChannelOptions("me"),
                    clock=reactor,
                    session_id="probe",
                    begun=self._pool.add,
                )
            except Unreachable:
                await turn()
            except PeerLost:
                break
            else:
                channel.quit()
                break
        await self._pool.close()

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


StartSink = Callable[..., Awaitable[Sink]]


@pytest.fixture
def sink(needs: Callable[[str], str], tmp_path: Path) -> Iterator[StartSink]:
    """Starts smtp-sinks, and ends them."""
    started: list[Sink] = []

    program = "/usr/sbin/smtp-sink"
    if not os.path.exists(program):
        program = needs("smtp-sink")

    async def start(*arguments: str) -> Sink:
        made = Sink(program, tmp_path, *arguments)
        started.append(made)
        await made.ready()
        return made

    yield start
    for one in started:
        one.end()


@pytest.mark.parametrize("options", [[], ["-p"], ["-8"], ["-e"]])
@pytest_twisted.ensureDeferred
async def test_to_smtp_sink(sink: StartSink, options: list[str]) -> None:
    """Postfix's sink takes our mail byte for byte: with ESMTP, without, and not pipelined."""
    server = await sink(*options)
    agent = relay(server.port, channel=ChannelOptions("client.example.net", idle=0.5))
    given = attempt("ann@example.org", "ben@example.org", body=b"A: b\r\n\r\n..x\r\n.\r\n.y\r\n")
    for _ in range(3):
        outcomes = await agent.deliver(given)
        assert [type(one) for one in outcomes.values()] == [Delivered, Delivered], outcomes
    await agent.close()
    kept = server.dump.read_bytes().replace(b"\r\n", b"\n")
    assert kept.count(b"A: b\n\n..x\n.\n.y\n") == 3
    assert kept.count(b"X-Rcpt-Args: <ben@example.org>") == 3


@pytest_twisted.ensureDeferred
async def test_to_smtp_sink_by_lmtp(sink: StartSink) -> None:
    """The sink speaks LMTP too, with an answer for each."""
    server = await sink("-L")
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port)
    options = ChannelOptions("client.example.net", dialect=Dialect.LMTP)
    agent = LmtpAgent(reactor, endpoint, "lmtp:sink", options)
    for _ in range(2):
        outcomes = await agent.deliver(attempt("ann@a.example", "ben@b.example", body=b"A: b\r\n"))
        assert [type(one) for one in outcomes.values()] == [Delivered, Delivered]
    await agent.close()


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "."])
@pytest_twisted.ensureDeferred
async def test_sink_that_refuses(sink: StartSink, stage: str) -> None:
    """Where the sink drops the connection or refuses, nothing is taken for delivered."""
    server = await sink("-q" if stage in {"ehlo", "data"} else "-r", stage)
    agent = relay(server.port)
    (outcome,) = (await agent.deliver(attempt("ann@example.org", body=b"A: b\r\n"))).values()
    assert not isinstance(outcome, Delivered)
    await agent.close()


@pytest_twisted.ensureDeferred
async def test_many_at_once(sink: StartSink) -> None:
    """Two hundred mails side by side share a few connections, and each arrives once."""
    server = await sink()
    agent = relay(server.port, channel=ChannelOptions("client.example.net", idle=0.5))
    for _ in range(10):
        given = [attempt(f"u{n}@example.org", body=b"Subject: %d\r\n\r\n" % n) for n in range(20)]
        for outcomes in await all_of([agent.deliver(one) for one in given]):
            assert [type(one) for one in outcomes.values()] == [Delivered]
    assert agent.connections <= 20
    await agent.close()
    assert server.dump.read_bytes().count(b"X-Rcpt-Args: ") == 200


class NameServer(DatagramProtocol):
    """DNS for example.net, whose exchanger is this machine, and for nothing else."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer a question."""
        message: Any = dns.Message()
        message.fromStr(datagram)
        (question,) = message.queries
        name = str(question.name)
        known: dict[tuple[str, int], Any] = {
            ("example.net", dns.MX): dns.Record_MX(10, b"mx.example.net", ttl=60),
            ("mx.example.net", dns.A): dns.Record_A("127.0.0.1", ttl=60),
        }
        record = known.get((name, question.type))
        exists = any(name == one for one, _ in known)
        answer = dns.Message(message.id, answer=1, rCode=dns.OK if exists else dns.ENAME)
        answer.queries = message.queries
        if record is not None:
            answer.answers.append(dns.RRHeader(name.encode(), question.type, dns.IN, 60, record))
        wire: Any = self.transport
        wire.write(answer.toStr(), addr)


@pytest.mark.parametrize("by_name", [True, False])
@pytest_twisted.ensureDeferred
async def test_from_a_user_to_the_world(sink: StartSink, tmp_path: Path, by_name: bool) -> None:
    """What a user submits goes through the queue to the exchanger that DNS names, or a smarthost.

    A domain that does not exist is reported to the user.
    """
    world = await sink()
    listen: Any = reactor
    names = listen.listenUDP(0, NameServer(), interface="127.0.0.1")
    port = names.getHost().port
    options = {
        "resolver": f'servers = ["127.0.0.1"]\nport = {port}\n',
        "relay": f'port = {world.port}\ntls = "opportunistic"\n',
    }
    if not by_name:
        options["smarthost"] = f'host = "127.0.0.1"\nport = {world.port}\n'
    folder = tmp_path / "server"
    folder.mkdir()
    server = TwistdServer(Installation.make(folder, "sql:sqlite:///mail.db", options=options))
    user = server.installation.users[0]

    def submit() -> None:
        trust = ssl.create_default_context(cafile=str(server.installation.certificate))
        number = server.installation.port("submissions")
        with smtplib.SMTP_SSL("localhost", number, context=trust, timeout=20) as client:
            client.login(user, server.installation.password)
            text = f"From: {user}\r\nSubject: out\r\n\r\n.hello\r\n"
            client.sendmail(user, ["ann@example.net", "ben@example.net"], text)
            if by_name:
                client.sendmail(user, ["eve@missing.example"], text)

    try:
        await deferToThread(server.start)
        await deferToThread(submit)
        await until(lambda: b"hello" in read(world.dump), 20)
        kept = read(world.dump)
        assert kept.count(b"X-Rcpt-Args: ") == 2
        assert b"X-Rcpt-Args: <ann@example.net>" in kept
        assert b"\n.hello" in kept
        if by_name:
            await until(lambda: b"5.1.2" in b"".join(server.bodies(user)), 20)
        await deferToThread(server.stop)
    finally:
        server.end()
        await names.stopListening()
    assert not server.complaints(), server.complaints()


def read(path: Path) -> bytes:
    """Read a file that may not be there yet."""
    return path.read_bytes() if path.exists() else b""
