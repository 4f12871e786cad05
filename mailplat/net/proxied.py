"""Connections that come through a proxy, which says by a PROXY header whom it brings.

The header is read before anything else: before TLS, before the peer is counted, before there is a
session.  From then on the transport itself names the client's ends, so that limits, filters, the
session and the log know no other; and the header's reader is out of the way.

Invariants:

- Only trusted addresses may connect, and each of them has to begin with a header: nobody else
  could say who he is, and nothing is guessed.
- A header that is late, too long or none ends the connection without a word.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.net.networks import Networks
from mailplat.net.peers import host_of
from mailplat.proto.proxy import ProxyFault, parse_proxy_header

__all__ = ["ProxiedFactory"]

_log = Logger()


@implementer(IProtocolFactory)
class ProxiedFactory:
    """Puts the reading of PROXY headers before another factory.

    Args:
        factory: Makes the connections; it is asked with the client's own address.
        clock: Counts the time that a header may take.
        trusted: The proxies' addresses.
        timeout: Seconds that a header may take.
        limit: Bytes that it may have.
    """

    def __init__(
        self,
        factory: IProtocolFactory,
        clock: IReactorTime,
        trusted: Networks,
        *,
        timeout: float = 5.0,
        limit: int = 4096,
    ) -> None:
        self.factory = factory
        self.clock = clock
        self.timeout = timeout
        self.limit = limit
        self.waiting: set[_HeaderReader] = set()
        self._trusted = trusted

    def buildProtocol(self, addr: IAddress) -> Protocol:
        """Read a trusted proxy's header; turn everybody else away."""
        if host_of(addr) in self._trusted:
            return _HeaderReader(self)
        _log.warn("refused {address}: it is no trusted proxy", address=host_of(addr))
        return _Stranger()

    def doStart(self) -> None:
        """See `IProtocolFactory.doStart`."""
        self.factory.doStart()

    def doStop(self) -> None:
        """The port is closed: nobody comes any more who did not say yet who he is."""
        for reader in list(self.waiting):
            reader.stop()
        self.factory.doStop()


class _Stranger(Protocol):
    """Ends at once."""

    def connectionMade(self) -> None:
        wire: Any = self.transport
        wire.abortConnection()


class _HeaderReader(Protocol):
    """Reads the header, then gives the transport to the protocol that it is for."""

    def __init__(self, owner: ProxiedFactory) -> None:
        self._owner = owner
        self._data = b""
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Wait for the header, but not for long."""
        self._owner.waiting.add(self)
        self._deadline = self._owner.clock.callLater(self._owner.timeout, self._late)

    def dataReceived(self, data: bytes) -> None:
        """Look whether the header is there."""
        self._data += data
        try:
            found = parse_proxy_header(self._data, self._owner.limit)
        except ProxyFault as fault:
            self._give_up(str(fault))
            return
        if found is None:
            return
        header, size = found
        self._stop()
        wire: Any = self.transport
        if header.client is not None and header.server is not None:
            client, server = _tcp(*header.client), _tcp(*header.server)
            wire.getPeer = lambda: client
            wire.getHost = lambda: server
        protocol: Any = self._owner.factory.buildProtocol(wire.getPeer())
        if protocol is None:
            wire.abortConnection()
            return
        rest, self._data = self._data[size:], b""
        wire.protocol = protocol  # as startTLS does it: from now on its bytes go there
        protocol.makeConnection(wire)
        if rest:
            protocol.dataReceived(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It ended before its header did."""
        self._stop()

    def stop(self) -> None:
        """End the connection now."""
        self._stop()
        wire: Any = self.transport
        wire.abortConnection()

    def _late(self) -> None:
        self._deadline = None
        self._give_up("its PROXY header takes too long")

    def _give_up(self, why: str) -> None:
        wire: Any = self.transport
        _log.warn("refused {address}: {why}", address=host_of(wire.getPeer()), why=why)
        self.stop()

    def _stop(self) -> None:
        self._owner.waiting.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _tcp(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
