"""A transport in memory, for tests of protocols: it says what was written, and obeys the test.

It knows a full buffer, TLS and Nagle's switch, and counts writes.  Loss is the test's to tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.protocol import Protocol
from zope.interface import implementer

__all__ = ["MemoryWire"]


@implementer(ITransport, IConsumer)
class MemoryWire:
    """What a protocol's ``makeConnection`` takes.

    Attributes:
        writes: How often ``write`` was called.
        room: Bytes until the buffer counts as full, and the producer is paused.
        reading: Whether the protocol wants to read.
        closing: ``loseConnection`` was called.
        aborted: ``abortConnection`` was called.
        producer: What is registered.
        no_delay: What ``setTcpNoDelay`` was told.
        tls: What ``startTLS`` was given; None in clear.
        clear_text: What had been written when TLS began.
    """

    def __init__(self, *, peer: str = "192.0.2.1", host: str = "198.51.100.1") -> None:
        self.writes = 0
        self.room = 1 << 30
        self.reading = True
        self.closing = False
        self.aborted = False
        self.producer: Any = None
        self.no_delay = False
        self.tls: object | None = None
        self.clear_text = b""
        self._peer = IPv4Address("TCP", peer, 54321)
        self._host = IPv4Address("TCP", host, 25)
        self._written = bytearray()

    # For the test.

    def written(self) -> bytes:
        """Tell what was written and not taken yet."""
        return bytes(self._written)

    def take(self) -> bytes:
        """Take what was written since the last time."""
        data = bytes(self._written)
        self._written.clear()
        return data

    def drain(self, room: int = 1 << 30) -> None:
        """Let the buffer run empty: the producer goes on."""
        self.room = room
        self.producer.resumeProducing()

    def carry(self, protocol: Protocol) -> bytes:
        """Connect a protocol; give what it writes at once."""
        protocol.makeConnection(self)
        return self.take()

    # For the protocol, as Twisted spells it.

    def write(self, data: bytes) -> None:
        """Keep the bytes; pause the producer when there is no more room."""
        self.writes += 1
        self._written += data
        self.room -= len(data)
        if self.room < 0 and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Keep the bytes."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Remember who writes."""
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget who writes."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        assert not self.closing
        self.reading = True

    def stopProducing(self) -> None:
        """Read no more, for good."""
        self.reading = False

    def loseConnection(self) -> None:
        """Close once all is written; the test says when by ``connectionLost``."""
        self.closing = True

    def abortConnection(self) -> None:
        """Close now; the test calls ``connectionLost``."""
        self.closing = self.aborted = True

    def startTLS(self, context: object) -> None:
        """Begin TLS; the test calls ``handshakeCompleted``."""
        self.tls = context
        self.clear_text = bytes(self._written)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remember Nagle's switch."""
        self.no_delay = enabled

    def getPeer(self) -> IPv4Address:
        """The other end."""
        return self._peer

    def getHost(self) -> IPv4Address:
        """Our end."""
        return self._host
