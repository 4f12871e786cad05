"""Tests for `mailplat.net.smtp_client` and `mailplat.net.smtp_pool`, in memory."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.envelope import Recipient, Sender
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.smtp_client import (
    PeerLost,
    SmtpChannel,
    TLSFailed,
    open_channel,
)
from mailplat.net.smtp_pool import ChannelPool, PoolOptions
from mailplat.proto.smtp.transfer import Contents, Result, Transfer
from mailplat.testing.agents import StringBody
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import started, turn
from mailplat.testing.wire import MemoryWire

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
ANN, BEN = (Recipient(Address(name, "example.org")) for name in ("ann", "ben"))
OPTIONS = ChannelOptions("me.example", idle=5.0)


@implementer(IStreamClientEndpoint)
class Server:
    """A server in memory: the test says its words."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wire = MemoryWire()
        self.protocol: Protocol | None = None
        self.channel: SmtpChannel | None = None

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect the client to this wire."""
        factory.doStart()
        protocol = self.protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 25))
        assert protocol is not None
        self.wire.carry(protocol)
        connected: Deferred[Any] = Deferred()
        connected.callback(protocol)
        return connected

    def say(self, *lines: str) -> bytes:
        """Say lines, and take what is said to them."""
        data = "".join(line + "\r\n" for line in lines).encode()
        assert self.protocol is not None
        self.protocol.dataReceived(data)
        return self.wire.take()

    def hang_up(self, why: type[Exception] = ConnectionDone) -> None:
        """End the connection."""
        assert self.protocol is not None
        self.protocol.connectionLost(Failure(why()))

    def opening(self, **options: Any) -> Deferred[SmtpChannel]:
        """Begin to open a channel."""
        return started(open_channel(self, OPTIONS, clock=self.clock, session_id="c-1", **options))

    async def open(self, *offers: str) -> SmtpChannel:
        """Open a channel to a server that offers these."""
        opening = self.opening()
        assert self.say("220 mx") == b"EHLO me.example\r\n"
        self.say(*[f"250-{line}" for line in ["mx", *offers]], "250 HELP")
        self.channel = await opening
        return self.channel

    def send(self, channel: SmtpChannel, body: IBody | None = None) -> Deferred[tuple[Result, ...]]:
        """Begin to hand a mail over."""
        one = body or StringBody(MESSAGE)
        transfer = Transfer(Sender(Address("me", "example.net")), (ANN, BEN), Contents(one.size))
        return started(channel.send(transfer, one))


async def lost(waiting: Deferred[Any]) -> PeerLost:
    """Expect that the server is lost."""
    with pytest.raises(PeerLost) as raised:
        await waiting
    return raised.value


@pytest_twisted.ensureDeferred
async def test_hands_mail_over() -> None:
    """A connection brings one mail after the other, and says goodbye."""
    server = Server()
    channel = await server.open("PIPELINING", "SIZE 1000")
    assert channel.usable
    assert channel.offers.size == 1000
    for _ in range(2):
        sending = server.send(channel)
        assert server.wire.take().startswith(b"MAIL FROM:<me@example.net> SIZE=21\r\nRCPT TO")
        assert not channel.usable
        assert server.say("250 k", "250 k", "550 no", "354 go") == MESSAGE + b".\r\n"
        server.say("250 done")
        assert [one.reply.code for one in await sending] == [250, 550]
    assert channel.transfers == 2
    channel.quit()
    channel.quit()
    assert server.wire.take() == b"QUIT\r\n"
    assert not channel.usable
    server.say("221 bye")
    assert server.wire.closing
    server.hang_up()


class FileBody(StringBody):
    """A body that is read in threads."""

    in_memory = False


@pytest_twisted.ensureDeferred
async def test_large_bodies_go_in_blocks() -> None:
    """A body in a file is read in a thread, a block at a time, at the server's pace."""
    server = Server()
    channel = await server.open()
    body = FileBody(b"x" * 99 + b"\n" + b".y\r\n" * 40_000)
    sending = server.send(channel, body)
    server.wire.room = 70_000
    server.say("250 k")
    server.say("250 k")
    server.say("250 k")
    server.say("354 go")
    written = b""
    while not written.endswith(b"\r\n.\r\n"):
        if server.wire.room < 0:
            assert len(server.wire.written()) < 140_000
            written += server.wire.take()
            server.wire.drain(70_000)
        await turn()
        written += server.wire.take() if server.wire.room >= 0 else b""
    assert written == b"x" * 99 + b"\r\n" + b"..y\r\n" * 40_000 + b".\r\n"
    server.say("250 done")
    assert [one.reply.code for one in await sending] == [250, 250]
    channel.abort()
    server.hang_up()


@pytest_twisted.ensureDeferred
async def test_a_body_that_ends_too_early(logged_errors: LoggedErrors) -> None:
    """A message that cannot be read to its end is never ended on the wire."""
    server = Server()
    channel = await server.open()
    body = StringBody(MESSAGE)
    body.size += 5
    sending = server.send(channel, body)
    for reply in ("250 k", "250 k", "250 k", "354 go"):
        server.say(reply)
    assert server.wire.aborted
    server.hang_up(ConnectionLost)
    results = await sending
    assert [(one.reply.status, one.unsure) for one in results] == [("4.3.0", False)] * 2


@pytest_twisted.ensureDeferred
async def test_cannot_connect() -> None:
    """Nobody there is a temporary failure."""

    @implementer(IStreamClientEndpoint)
    class Nobody:
        def connect(self, factory: Any) -> Deferred[Any]:
            return fail(ConnectionRefusedError())

    error = await lost(started(open_channel(Nobody(), OPTIONS, clock=Clock(), session_id="c-1")))
    assert (error.reply.code, error.reply.status) == (451, "4.4.1")


@pytest_twisted.ensureDeferred
async def test_cancelled_while_it_connects() -> None:
    """Who gives up before there is a connection leaves none behind."""

    @implementer(IStreamClientEndpoint)
    class Slow:
        def connect(self, factory: Any) -> Deferred[Any]:
            return Deferred()

    pool = ChannelPool()
    opening = started(
        open_channel(Slow(), OPTIONS, clock=Clock(), session_id="c-1", begun=pool.add)
    )
    assert pool.open == 1
    opening.cancel()
    with pytest.raises(CancelledError):
        await opening
    assert pool.open == 0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [([], 300), (["220 mx"], 300), (["220 mx", "250 mx"], None)],
)
@pytest_twisted.ensureDeferred
async def test_silence_at_the_beginning(said: list[str], seconds: float | None) -> None:
    """A server that does not greet is left after its time (RFC 5321 §4.5.3.2.1)."""
    server = Server()
    opening = server.opening()
    for line in said:
        server.say(line)
    if seconds is None:
        channel = await opening
        server.clock.advance(OPTIONS.idle)
        assert server.wire.take() == b"QUIT\r\n"  # ours is the time that is over
        assert not channel.usable
    else:
        server.clock.advance(seconds - 1)
        assert not server.wire.closing
        server.clock.advance(1)
    assert server.wire.closing
    server.hang_up()
    if seconds is not None:
        assert "Timed out" in (await lost(opening)).reply.text


# What the server says in a mail, and how long it may take for each (RFC 5321 §4.5.3.2).
STEPS = [("250 k", 300), ("250 k", 300), ("250 k", 300), ("354 go", 120), ("250 k", 600)]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", range(len(STEPS)))
@pytest_twisted.ensureDeferred
async def test_silence_at_every_step(step: int, pipelining: bool) -> None:
    """Who is silent for too long is left; every reply gives him time anew."""
    server = Server()
    channel = await server.open(*(["PIPELINING"] if pipelining else []))
    sending = server.send(channel)
    for line, seconds in STEPS[:step]:
        server.clock.advance(seconds - 1)
        server.say(line)
    server.clock.advance(STEPS[step][1] - 1)
    assert not server.wire.closing
    server.clock.advance(1)
    assert server.wire.closing
    server.hang_up()
    results = await sending
    assert [(one.reply.status, one.unsure) for one in results] == [("4.4.2", step == 4)] * 2
    assert "Timed out waiting for the answer to" in results[0].reply.text


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", range(len(STEPS)))
@pytest_twisted.ensureDeferred
async def test_connection_lost_at_every_step(step: int, pipelining: bool) -> None:
    """A connection may be cut anywhere: one result for each, unsure only behind the dot."""
    server = Server()
    channel = await server.open(*(["PIPELINING"] if pipelining else []))
    sending = server.send(channel)
    for line, _ in STEPS[:step]:
        server.say(line)
    server.hang_up(ConnectionLost)
    results = await sending
    assert [(one.reply.status, one.unsure) for one in results] == [("4.4.2", step == 4)] * 2
    assert not channel.usable


@pytest_twisted.ensureDeferred
async def test_a_reader_that_stalls() -> None:
    """A server that reads no further is left after three minutes (RFC 5321 §4.5.3.2.5)."""
    server = Server()
    channel = await server.open("PIPELINING")
    sending = server.send(channel, StringBody(b"x\r\n" * 100_000))
    server.wire.room = 1000
    server.say("250 k", "250 k", "250 k", "354 go")
    server.clock.advance(179)
    assert not server.wire.aborted
    server.clock.advance(1)
    assert server.wire.aborted
    server.hang_up(ConnectionLost)
    assert [one.unsure for one in await sending] == [False, False]


@pytest_twisted.ensureDeferred
async def test_cancelled() -> None:
    """Who gives up waiting loses the connection."""
    server = Server()
    channel = await server.open()
    sending = server.send(channel)
    sending.addErrback(lambda _: None)
    sending.cancel()
    assert server.wire.aborted
    server.hang_up(ConnectionLost)
    assert not channel.usable


@pytest_twisted.ensureDeferred
async def test_login_and_its_end() -> None:
    """A log-in is answered; a connection that is gone is found out at the next step."""
    server = Server()
    channel = await server.open("AUTH PLAIN")
    waiting = started(channel.login(PasswordCredentials("me", "secret"), clear=True))
    assert server.wire.take() == b"AUTH PLAIN AG1lAHNlY3JldA==\r\n"
    server.say("535 5.7.8 no")
    reply = await waiting
    assert reply is not None
    assert reply.code == 535
    waiting = started(channel.login(PasswordCredentials("me", "secret"), clear=True))
    server.say("421 4.7.0 enough")
    assert (await lost(waiting)).reply.code == 421
    server.hang_up()


@pytest_twisted.ensureDeferred
async def test_tls() -> None:
    """STARTTLS: refused, taken, and lost in the handshake."""
    contexts = ClientContexts()
    server = Server()
    channel = await server.open("STARTTLS")
    securing = started(channel.secure(contexts.begin("mx.example", verified=False)))
    assert server.wire.take() == b"STARTTLS\r\n"
    server.say("454 4.7.0 no")
    assert not await securing
    assert channel.usable
    tls = contexts.begin("mx.example", verified=False)
    securing = started(channel.secure(tls))
    server.wire.take()
    assert server.say("220 go", "250 injected") == b""
    assert server.wire.tls is tls
    connection: Any = server.protocol
    connection.connectionLost(Failure(ConnectionLost()))
    with pytest.raises(TLSFailed) as raised:
        await securing
    assert raised.value.reply.status == "4.7.5"


@pytest_twisted.ensureDeferred
async def test_tls_handshake_takes_too_long() -> None:
    """A server that hangs in TLS is left."""
    server = Server()
    channel = await server.open("STARTTLS")
    securing = started(channel.secure(ClientContexts().begin("mx", verified=False)))
    server.say("220 go")
    server.clock.advance(OPTIONS.handshake)
    assert server.wire.aborted
    server.hang_up(ConnectionLost)
    assert isinstance(await lost(securing), TLSFailed)


@pytest_twisted.ensureDeferred
async def test_pool() -> None:
    """Connections wait for the next mail; they leave in time, in order and at the end."""
    pool = ChannelPool(PoolOptions(per_server=2, total=3, transfers=1))
    servers = [Server() for _ in range(6)]
    for server in servers:
        pool.add(await server.open())
    one, two, three, four, five, six = servers
    channels = [server.channel for server in servers]
    assert pool.take("a") is None
    for server in (one, two, three):
        pool.give("a", server.channel)  # type: ignore[arg-type]
    assert one.wire.take() == b"QUIT\r\n"  # two for one server
    assert pool.take("a") is channels[2]
    pool.give("a", channels[2])  # type: ignore[arg-type]
    pool.give("b", channels[3])  # type: ignore[arg-type]
    pool.give("c", channels[4])  # type: ignore[arg-type]
    assert two.wire.take() == b"QUIT\r\n"  # three in all
    assert len(pool) == 3
    three.clock.advance(5)  # it waited for too long
    assert three.wire.take() == b"QUIT\r\n"
    assert pool.take("a") is None
    four.say("421 4.4.2 too slow")  # the server's own patience
    assert pool.take("b") is None
    sending = six.send(six.channel)  # type: ignore[arg-type]
    for line, _ in STEPS:
        six.say(line)
    await sending
    six.wire.take()
    pool.give("d", six.channel)  # type: ignore[arg-type]
    assert six.wire.take() == b"QUIT\r\n"  # it brought enough mails
    assert pool.open == 6
    closing = started(pool.close())
    assert five.wire.take() == b"QUIT\r\n"
    for server in servers:
        assert not closing.called
        server.hang_up()
    await closing
    assert (pool.open, len(pool)) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_pool_that_closes_takes_nothing_back() -> None:
    """A connection that is given back after the end says goodbye; one that broke is let go."""
    pool = ChannelPool()
    server, broken = Server(), Server()
    pool.add(await server.open())
    pool.add(await broken.open())
    pool.give("b", broken.channel)  # type: ignore[arg-type]
    broken.hang_up(ConnectionLost)
    assert len(pool) == 0
    closing = started(pool.close())
    pool.give("a", server.channel)  # type: ignore[arg-type]
    assert server.wire.take() == b"QUIT\r\n"
    server.say("221 bye")
    server.hang_up()
    await closing
