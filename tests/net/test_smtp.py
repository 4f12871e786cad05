"""Tests for `mailplat.net.smtp`, in memory."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailplat.interfaces.net import ILink
from mailplat.model.errors import StorageFull
from mailplat.net.factory import SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.serving import Wiring
from mailplat.net.session import ConnectionOptions
from mailplat.net.smtp import SmtpConnection, smtp_factory
from mailplat.proto.smtp.commands import Block, Event, Mail, Rcpt, Verify
from mailplat.proto.smtp.offers import Offers
from mailplat.proto.smtp.server import ServerConversation
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.wire import MemoryWire

ALICE = IPv4Address("TCP", "192.0.2.1", 1)


class Stub:
    """Accepts everything, and breaks in several ways."""

    broken_greeting = False

    def __init__(self, conversation: ServerConversation, link: ILink) -> None:
        self._conversation = conversation

    async def opened(self) -> None:
        """Greet, if that is not what breaks."""
        if self.broken_greeting:
            raise ZeroDivisionError("secret")
        self._conversation.greet()

    async def answer(self, event: Event) -> None:
        """RCPT is a bug, a block finds the disk full, VRFY never ends, ``<late@x>`` breaks late."""
        match event:
            case Rcpt(recipient) if recipient.address.local == "bug":
                raise ZeroDivisionError("secret")
            case Block(data) if b"big" in data:
                raise StorageFull("/var is full")
            case Verify():
                await Deferred()
            case Mail(sender) if sender.address is not None and sender.address.local == "late":
                self._conversation.accept()
                raise ZeroDivisionError("secret")
            case _:
                self._conversation.accept()

    async def closed(self) -> None:
        """Nothing to let go of."""


class BrokenStub(Stub):
    """Cannot even greet."""

    broken_greeting = True


class Bench:
    """A port in memory, and one client at it."""

    def __init__(
        self,
        stub: type[Stub] = Stub,
        per_network: int = 1,
        options: ConnectionOptions | None = None,
    ) -> None:
        self.clock = Clock()
        self.factory = smtp_factory(
            stub,
            "h",
            Offers(),
            Wiring(
                clock=self.clock,
                ids=SessionIds(),
                connections=ConnectionLimits(per_network=per_network),
                options=options,
            ),
        )
        connection = self.factory.buildProtocol(ALICE)
        assert isinstance(connection, SmtpConnection)
        self.connection = connection
        self.wire = MemoryWire()
        self.greeting = self.wire.carry(self.connection)

    def say(self, data: bytes) -> bytes:
        """Say something; give the answer."""
        self.connection.dataReceived(data)
        return self.wire.take()

    def lose(self) -> None:
        """Lose the connection, and see that nothing is left."""
        self.connection.connectionLost()
        assert len(self.factory) == 0
        assert self.clock.getDelayedCalls() == []


def test_too_many_connections() -> None:
    """Whoever is one too many is told 421."""
    bench = Bench()
    wire = MemoryWire()
    refused = wire.carry(bench.factory.buildProtocol(ALICE))
    assert refused == b"421 4.7.0 Too many connections; please try again later\r\n"
    assert wire.closing
    bench.lose()


def test_failures(logged_errors: LoggedErrors) -> None:
    """What we did wrong is 451 and a traceback; what the world did has its own words."""
    bench = Bench()
    bench.say(b"EHLO c\r\nMAIL FROM:<>\r\n")
    assert bench.say(b"RCPT TO:<bug@x>\r\n").startswith(b"451 4.3.0 ")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    bench.say(b"RCPT TO:<a@x>\r\nDATA\r\n")
    assert bench.say(b"big\r\n") == b""
    assert bench.say(b"rest\r\n.\r\n").startswith(b"452 4.3.1 Insufficient")
    assert bench.say(b"MAIL FROM:<late@x>\r\nNOOP\r\n") == (
        b"250 2.1.0 Sender ok\r\n421 4.3.0 Something went wrong here; please try again later\r\n"
    )
    assert bench.wire.closing
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    bench.lose()


def test_broken_greeting(logged_errors: LoggedErrors) -> None:
    """Who cannot be greeted is told to come back."""
    bench = Bench(BrokenStub)
    assert bench.greeting.startswith(b"421 4.3.0 ")
    assert bench.wire.closing
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    bench.lose()


@pytest.mark.parametrize(
    "said", [b"", b"EHLO c\r\n", b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\nhalf"]
)
def test_silence(said: bytes) -> None:
    """After five minutes of silence the client is told, and left (RFC 5321 §4.5.3.2.7)."""
    bench = Bench()
    bench.say(said)
    bench.clock.advance(299)
    assert not bench.wire.closing
    bench.clock.advance(2)
    assert bench.wire.take().startswith(b"421 4.4.2 ")
    assert bench.wire.closing
    bench.lose()


def test_our_own_time_is_not_the_clients() -> None:
    """While we work, nobody is too slow; what is pipelined waits, and is bounded."""
    bench = Bench()
    bench.say(b"EHLO c\r\n")
    assert bench.say(b"VRFY x\r\nNOOP\r\n") == b""
    bench.clock.advance(10_000)
    assert not bench.wire.closing
    bench.say(b"NOOP\r\n" * 20_000)
    assert not bench.wire.reading
    bench.lose()


def test_shutdown() -> None:
    """When the server stops, clients are told 421."""
    bench = Bench()
    bench.say(b"EHLO c\r\n")
    bench.connection.shut_down()
    assert bench.wire.take() == b"421 4.3.2 Service shutting down; closing connection\r\n"
    assert bench.wire.closing
    bench.lose()


def test_shutdown_lets_a_mail_end() -> None:
    """A mail under way is brought to its end before the client is told."""
    bench = Bench()
    bench.say(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\n")
    bench.connection.shut_down()
    assert bench.say(b"DATA\r\n").startswith(b"354 ")
    assert bench.say(b"hello\r\n") == b""
    said = bench.say(b".\r\nMAIL FROM:<>\r\n").splitlines()
    assert [line[:9] for line in said] == [b"250 2.0.0", b"421 4.3.2"]
    assert bench.wire.closing
    bench.lose()


def test_half_closed() -> None:
    """Who sends no more is answered, and left."""
    bench = Bench()
    bench.connection.dataReceived(b"EHLO c\r\nMAIL FROM:<>\r\n")
    bench.wire.take()
    bench.connection.readConnectionLost()
    assert bench.wire.closing
    bench.lose()


def test_a_message_that_trickles() -> None:
    """A message's bytes have a time limit of their own, and a least rate over all."""
    options = ConnectionOptions(
        idle_timeout=300, block_timeout=100, least_rate=10, rate_grace=60, close_timeout=10
    )
    for pieces, alive in (([b"x" * 998 + b"\r\n"] * 30, True), ([b"x\r\n"] * 30, False)):
        bench = Bench(options=options)
        bench.say(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\n")
        for piece in pieces:
            bench.clock.advance(50)
            if bench.wire.closing:
                break
            assert bench.say(piece) == b""
        assert bench.wire.closing is not alive
        if alive:
            bench.clock.advance(99)
            assert not bench.wire.closing
            bench.clock.advance(1)
        assert bench.wire.take().startswith(b"421 4.4.2 ")
        bench.lose()
    bench = Bench(options=options)
    bench.say(b"EHLO c\r\n")
    bench.clock.advance(299)
    assert not bench.wire.closing
    bench.clock.advance(1)
    assert bench.wire.closing
    bench.lose()
