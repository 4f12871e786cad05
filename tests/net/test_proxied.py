"""Tests for `mailplat.net.proxied`, in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock

from mailplat.net.networks import Networks
from mailplat.net.proxied import ProxiedFactory
from mailplat.testing.wire import MemoryWire

PROXY = IPv4Address("TCP", "192.0.2.1", 1)
HEADER = b"PROXY TCP4 203.0.113.9 198.51.100.5 51000 25\r\n"


class Noting(Protocol):
    """Notes what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.data += data


class Behind(ServerFactory):
    """Makes `Noting`, and notes for whom."""

    def __init__(self) -> None:
        self.asked: list[IAddress] = []
        self.made: list[Noting] = []

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make one; nobody from 203.0.113.13 is welcome."""
        assert addr is not None
        self.asked.append(addr)
        if getattr(addr, "host", "") == "203.0.113.13":
            return None
        self.made.append(Noting())
        return self.made[-1]


class Bench:
    """A port behind a proxy."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.behind = Behind()
        trusted = Networks(["192.0.2.0/24"])
        self.factory = ProxiedFactory(self.behind, self.clock, trusted, timeout=5, limit=100)

    def connect(self, address: IPv4Address = PROXY) -> tuple[Any, MemoryWire]:
        """Connect; give the protocol and its wire."""
        protocol, wire = self.factory.buildProtocol(address), MemoryWire()
        wire.carry(protocol)
        return protocol, wire


def test_the_client_is_known_from_the_header_on() -> None:
    """The factory is asked with the client's address, and the transport tells the client's ends."""
    for cut in range(len(HEADER) + 1):
        bench = Bench()
        reader, wire = bench.connect()
        reader.dataReceived(HEADER[:cut])
        assert bool(bench.behind.made) is (cut == len(HEADER))
        if cut < len(HEADER):
            reader.dataReceived(HEADER[cut:] + b"EHLO c\r\n")
            assert bench.behind.made[0].data == b"EHLO c\r\n"
        (asked,) = bench.behind.asked
        assert asked == IPv4Address("TCP", "203.0.113.9", 51000)
        assert bench.behind.made[0].transport is wire
        assert wire.getPeer() == asked
        assert wire.getHost() == IPv4Address("TCP", "198.51.100.5", 25)
        assert vars(wire)["protocol"] is bench.behind.made[0]
        assert bench.clock.getDelayedCalls() == []


def test_a_proxy_that_speaks_for_itself() -> None:
    """LOCAL and UNKNOWN leave the connection's own ends."""
    bench = Bench()
    reader, wire = bench.connect()
    reader.dataReceived(b"PROXY UNKNOWN\r\n")
    assert bench.behind.asked == [wire.getPeer()]
    assert wire.getPeer().host == "192.0.2.1"


def test_strangers_and_nonsense_are_cut() -> None:
    """Nobody else may come; who brings no header, too slow a one or too long a one is cut."""
    bench = Bench()
    _, wire = bench.connect(IPv4Address("TCP", "203.0.113.1", 1))
    assert wire.aborted
    for wrong in (b"EHLO c\r\n", b"PROXY " + b"x" * 200, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"):
        reader, wire = bench.connect()
        reader.dataReceived(wrong)
        assert wire.aborted
        assert wire.written() == b""
    reader, wire = bench.connect()
    reader.dataReceived(HEADER[:9])
    bench.clock.advance(5)
    assert wire.aborted
    reader, wire = bench.connect()
    reader.dataReceived(HEADER.replace(b"113.9 ", b"113.13 "))
    assert wire.aborted
    assert bench.behind.made == []
    assert bench.clock.getDelayedCalls() == []


def test_who_has_not_said_who_he_is_goes_with_the_port() -> None:
    """When the port closes, half a header is not waited for; nor when the connection is lost."""
    bench = Bench()
    _, wire = bench.connect()
    reader, _ = bench.connect()
    reader.connectionLost()
    assert len(bench.factory.waiting) == 1
    bench.factory.doStart()
    bench.factory.doStop()
    assert wire.aborted
    assert not bench.factory.waiting
    assert bench.clock.getDelayedCalls() == []
