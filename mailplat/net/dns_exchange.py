"""One question to one name server: by UDP, and by TCP where the answer is too long for that.

Each question goes out from a new socket, whose port the system chooses at random, connected to
the server: nobody else's datagrams arrive there (RFC 5452 §4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol, Protocol, connectionDone
from twisted.python.failure import Failure

from mailplat.net.dns_messages import Question, Response, Said, make_query, read_response

__all__ = ["DnsExchange", "NoAnswer"]


class NoAnswer(Exception):
    """A server did not answer in time, or cannot be reached."""


class _Datagrams(DatagramProtocol):
    """Sends one query, waits for its response; anything else that arrives is passed over."""

    def __init__(self, server: tuple[str, int], query: bytes, read: Callable[[bytes], Response]):
        self._server = server
        self._query = query
        self._read = read
        self.done: Deferred[Response] = Deferred()

    def startProtocol(self) -> None:
        wire: Any = self.transport
        wire.connect(*self._server)
        wire.write(self._query)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        response = self._read(datagram)
        if response.said is not Said.NOT_OURS and not self.done.called:
            self.done.callback(response)

    def connectionRefused(self) -> None:
        if not self.done.called:
            self.done.errback(NoAnswer("refused"))


class _Stream(Protocol):
    """Sends one query on TCP, each message behind its length (RFC 1035 §4.2.2)."""

    def __init__(self, query: bytes, read: Callable[[bytes], Response]) -> None:
        self._query = query
        self._read = read
        self._data = b""
        self.done: Deferred[Response] = Deferred()

    def connectionMade(self) -> None:
        wire: Any = self.transport
        wire.write(len(self._query).to_bytes(2, "big") + self._query)

    def dataReceived(self, data: bytes) -> None:
        self._data += data  # two bytes say its length: 64 KiB at most
        size = int.from_bytes(self._data[:2], "big")
        if len(self._data) >= 2 + size and len(self._data) >= 2 and not self.done.called:
            self.done.callback(self._read(self._data[2 : 2 + size]))
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.errback(NoAnswer("connection lost"))

    def close(self) -> None:
        wire: Any = self.transport
        wire.abortConnection()


class DnsExchange:
    """Asks servers.

    Args:
        reactor: Opens sockets and tells the time.
        number: Gives an id of 16 bits that nobody can guess.
    """

    def __init__(self, reactor: Any, number: Callable[[], int]) -> None:
        self._reactor = reactor
        self._number = number

    async def ask(self, server: tuple[str, int], question: Question, timeout: float) -> Response:
        """Ask one server once; within ``timeout`` seconds for each of UDP and TCP.

        Raises:
            NoAnswer: It did not answer.
        """
        response = await self._by_udp(server, question, timeout, edns=True)
        if response.said is Said.NO_EDNS:
            response = await self._by_udp(server, question, timeout, edns=False)
        if response.said is Said.CUT:
            response = await self._by_tcp(server, question, timeout)
        return response

    async def _by_udp(
        self, server: tuple[str, int], question: Question, timeout: float, *, edns: bool
    ) -> Response:
        number = self._number()
        query = make_query(question, number, edns=edns)
        protocol = _Datagrams(server, query, lambda data: read_response(data, question, number))
        interface = "::" if ":" in server[0] else ""
        try:
            port = self._reactor.listenUDP(0, protocol, interface=interface)
        except Exception as error:  # no socket to be had, or no way there
            raise NoAnswer(str(error)) from error
        timer = self._limit(protocol.done, timeout)
        try:
            return await protocol.done
        finally:
            _stop(timer)
            port.stopListening()

    async def _by_tcp(
        self, server: tuple[str, int], question: Question, timeout: float
    ) -> Response:
        number = self._number()
        query = make_query(question, number)
        protocol = _Stream(query, lambda data: read_response(data, question, number))
        host, port = server
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        try:
            await connectProtocol(kind(self._reactor, host, port, timeout=timeout), protocol)
        except Exception as error:
            raise NoAnswer(str(error)) from error
        timer = self._limit(protocol.done, timeout)
        try:
            return await protocol.done
        finally:
            _stop(timer)
            protocol.close()

    def _limit(self, done: Deferred[Response], timeout: float) -> IDelayedCall:
        def expire() -> None:
            if not done.called:
                done.errback(NoAnswer("timed out"))

        call: IDelayedCall = self._reactor.callLater(timeout, expire)
        return call


def _stop(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()
