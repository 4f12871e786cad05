"""Tests for `mailplat.net.factory`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailplat.interfaces.net import ILink
from mailplat.net.connection import Connection
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.testing.wire import MemoryWire

ALICE = IPv4Address("TCP", "192.0.2.1", 1)


class Mute:
    """A conversation and a session that say nothing."""

    paused = closing = False

    def receive(self, data: bytes) -> None:
        """Ignore it."""

    def end_of_input(self) -> None:
        """Ignore it."""

    def next_event(self) -> None:
        """There is none."""

    def bytes_to_send(self) -> bytes:
        """There are none."""
        return b""

    def tls_started(self) -> None:
        """Ignore it."""

    async def opened(self) -> None:
        """Say nothing."""

    async def answer(self, event: object) -> None:
        """Say nothing."""

    async def closed(self) -> None:
        """Say nothing."""


def factory_for(clock: Clock, *, total: int = 100, per_network: int = 100) -> ConnectionFactory:
    """Make a factory of mute connections."""

    def build(session_id: str, released: Callable[[], None]) -> Connection[Any]:
        mute = Mute()

        def open_session(link: ILink) -> Mute:
            return mute

        return Connection(mute, open_session, clock=clock, session_id=session_id, released=released)

    return ConnectionFactory(
        build,
        limits=ConnectionLimits(total=total, per_network=per_network),
        refusal=b"too many\r\n",
        ids=SessionIds("p"),
    )


def test_names_are_unique() -> None:
    """Each session has a name of its own, and another process begins differently."""
    ids = SessionIds("p")
    names = [ids() for _ in range(100)]
    assert len(set(names)) == 100
    assert names[0] == "p-1"
    assert names[35:37] == ["p-10", "p-11"]
    assert SessionIds()() != SessionIds()()


def test_too_many_are_told_so() -> None:
    """Beyond the limit a peer reads why and is closed; a place that gets free is given again."""
    factory = factory_for(Clock(), per_network=1)
    wire, refused, again = MemoryWire(), MemoryWire(), MemoryWire()
    first = factory.buildProtocol(ALICE)
    wire.carry(first)
    assert refused.carry(factory.buildProtocol(ALICE)) == b"too many\r\n"
    assert refused.closing
    assert len(factory) == 1
    first.connectionLost()
    again.carry(factory.buildProtocol(ALICE))
    assert not again.closing
    assert len(factory) == 1


def test_refusal_without_words() -> None:
    """Without words a peer beyond the limit is cut at once."""
    factory = factory_for(Clock(), total=0)
    factory._refusal = b""
    wire = MemoryWire()
    assert wire.carry(factory.buildProtocol(ALICE)) == b""
    assert wire.aborted


@pytest_twisted.ensureDeferred
async def test_draining_waits_and_then_cuts() -> None:
    """Draining closes everybody, waits for them, and cuts those that stay."""
    clock = Clock()
    factory = factory_for(clock)
    await factory.drain(clock, 10)
    wires, connections = [MemoryWire(), MemoryWire()], []
    for wire in wires:
        connection = factory.buildProtocol(ALICE)
        wire.carry(connection)
        connections.append(connection)
    drained = Deferred.fromCoroutine(factory.drain(clock, 5))
    assert all(wire.closing for wire in wires)
    connections[0].connectionLost()
    assert not drained.called
    clock.advance(5)
    assert wires[1].aborted
    connections[1].connectionLost()
    await drained
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_emptied_tells_nobody_to_go() -> None:
    """Who waits for the last connection's end waits as long as its client stays."""
    factory, wire = factory_for(Clock()), MemoryWire()
    await factory.emptied()
    connection = factory.buildProtocol(ALICE)
    wire.carry(connection)
    emptied = Deferred.fromCoroutine(factory.emptied())
    assert not emptied.called
    assert not wire.closing
    connection.connectionLost()
    await emptied
