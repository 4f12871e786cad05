"""Tests for `mailplat.net.pop3`, in memory."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from mailplat.interfaces.net import ILink
from mailplat.model.errors import Corrupt
from mailplat.net.factory import SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.pop3 import pop3_factory
from mailplat.net.serving import Wiring
from mailplat.proto.pop3.events import Event, Login, Retrieve
from mailplat.proto.pop3.maildrop import Maildrop
from mailplat.proto.pop3.offers import Offers
from mailplat.proto.pop3.server import ServerConversation
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.wire import MemoryWire

ALICE = IPv4Address("TCP", "192.0.2.1", 1)


class Stub:
    """Logs everybody in, and breaks in several ways."""

    def __init__(self, conversation: ServerConversation, link: ILink) -> None:
        self._conversation = conversation
        self._link = link

    async def opened(self) -> None:
        """Greet."""
        self._conversation.greet()

    async def answer(self, event: Event) -> None:
        """Message 1 is damaged, message 2 breaks in the middle, the rest is a bug."""
        match event:
            case Login():
                self._link.authenticated()
                self._conversation.accept_login(Maildrop(1, [1, 2, 3], [1, 1, 1]))
            case Retrieve(1):
                raise Corrupt("checksum of 1")
            case Retrieve(2):
                self._conversation.begin("1 octets")
                raise Corrupt("checksum of 2")
            case _:
                raise ZeroDivisionError("secret")

    async def closed(self) -> None:
        """Nothing to let go of."""


class Bench:
    """A port in memory, and one client at it."""

    def __init__(self, per_network: int = 1, implicit_tls: bool = False) -> None:
        self.clock = Clock()
        self.factory = pop3_factory(
            Stub,
            Offers("h", clear_passwords=True),
            Wiring(
                clock=self.clock,
                ids=SessionIds(),
                connections=ConnectionLimits(per_network=per_network),
                implicit_tls=implicit_tls,
            ),
        )
        self.connection = self.factory.buildProtocol(ALICE)
        self.wire = MemoryWire()
        if not implicit_tls:
            assert self.wire.carry(self.connection) == b"+OK h ready\r\n"

    def say(self, data: bytes) -> bytes:
        """Say something; give the answer."""
        self.connection.dataReceived(data)
        return self.wire.take()

    def lose(self) -> None:
        """Lose the connection, and see that nothing is left."""
        self.connection.connectionLost()
        assert len(self.factory) == 0
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def bench() -> Bench:
    """A port with one client."""
    return Bench()


def test_errors_are_answered(bench: Bench, logged_errors: LoggedErrors) -> None:
    """What fails is answered by its code, a bug by a temporary failure, and life goes on."""
    bench.say(b"USER a\r\nPASS b\r\n")
    answer = bench.say(b"RETR 1\r\nRETR 3\r\nNOOP\r\n").splitlines()
    assert answer[0].startswith(b"-ERR [SYS/PERM] ")
    assert answer[1].startswith(b"-ERR [SYS/TEMP] ")
    assert answer[2] == b"+OK"
    assert b"secret" not in b"".join(answer)
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    bench.lose()


def test_a_broken_answer_ends_the_connection(bench: Bench) -> None:
    """An answer that cannot be finished is not finished: no client takes it for a message."""
    bench.say(b"USER a\r\nPASS b\r\n")
    assert not bench.say(b"RETR 2\r\nNOOP\r\n").endswith(b".\r\n")
    assert bench.wire.aborted
    bench.lose()


def test_silence_ends_without_a_word(bench: Bench) -> None:
    """Ten silent minutes close the connection, and nothing is sent (RFC 1939 §3)."""
    bench.say(b"USER a\r\nPASS b\r\n")
    bench.clock.advance(599)
    assert not bench.wire.closing
    bench.clock.advance(1)
    assert bench.wire.closing
    assert bench.wire.take() == b""
    bench.lose()


def test_the_login_has_three_minutes(bench: Bench) -> None:
    """Who does not log in has to go, however much they say."""
    for _ in range(3):
        bench.clock.advance(59)
        bench.say(b"CAPA\r\n")
    bench.clock.advance(3)
    assert bench.wire.closing
    bench.lose()


def test_too_many_connections_are_refused(bench: Bench) -> None:
    """A peer over the limit reads why, or nothing where TLS comes first."""
    refused = MemoryWire()
    assert refused.carry(bench.factory.buildProtocol(ALICE)).startswith(b"-ERR [SYS/TEMP] Too many")
    bench.lose()
    secure, refused = Bench(implicit_tls=True), MemoryWire()
    assert refused.carry(secure.factory.buildProtocol(ALICE)) == b""
    assert refused.aborted


def test_shutdown_says_goodbye(bench: Bench) -> None:
    """A server that stops tells its clients to come again."""
    bench.say(b"USER a\r\nPASS b\r\n")
    bench.connection.shut_down()  # type: ignore[attr-defined]
    assert bench.wire.take().startswith(b"-ERR [SYS/TEMP] The server shuts down")
    assert bench.wire.closing
    bench.lose()
