r"""A daemon that is asked by a protocol of its own: one connection a talk, bounded all round.

For scanners, milters, policy servers and what else listens on a socket beside the mail server::

    async with daemon.talk(seconds=25) as talk:
        await talk.send(b"PING\n")
        answer = await talk.until(b"\n")

Invariants:

- A talk ends within its seconds, waiting for a place and connecting included; then its connection
  is closed, and whoever waits gets `Unavailable`.
- No more than so many talks are under way at once; others wait for a place.
- What is not read yet is bounded; a daemon that sends more is cut off.
- Sending waits until the daemon took what was sent before.
- Every error is `Unavailable`, and its reason begins with the daemon's endpoint.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import send_fds
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, IUNIXTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.room import Room

__all__ = ["Daemon", "Talk"]


class Daemon:
    """Where a daemon listens, and how many may talk to it.

    Attributes:
        where: Its endpoint, for log lines.

    Args:
        reactor: Opens connections and tells the time.
        where: A client endpoint of Twisted's: ``unix:/run/clamav/clamd.ctl``,
            ``tcp:127.0.0.1:783``, ``tls:scanner.example.org:3311``.
        connections: Talks at once.
        connect: Seconds that connecting may take.
        most: Bytes that may have come and not been read.

    Raises:
        ConfigurationFault: It is no endpoint.
    """

    def __init__(
        self,
        reactor: Any,
        where: str,
        *,
        connections: int = 50,
        connect: float = 5.0,
        most: int = 65536,
    ) -> None:
        try:
            self._endpoint = clientFromString(reactor, where)
        except Exception as error:
            raise ConfigurationFault(
                f"{where!r} names no daemon: expected unix:PATH or tcp:HOST:PORT"
            ) from error
        self.where = where
        self._reactor = reactor
        self._places = DeferredSemaphore(connections)
        self._connect = connect
        self._most = most

    @asynccontextmanager
    async def talk(self, seconds: float) -> AsyncIterator[Talk]:
        """Connect; the connection is closed at the end, whatever happened.

        Args:
            seconds: How long it may take in all.

        Raises:
            Unavailable: There is no connection, no place for one, or the talk failed.
        """
        ends = self._reactor.seconds() + seconds
        try:
            await self._places.acquire().addTimeout(seconds, self._reactor)
        except TimeoutError:
            raise Unavailable(f"{self.where}: no connection was free in {seconds:g} s") from None
        talk = Talk(self.where, self._reactor, self._most)
        try:
            left = max(0.0, min(self._connect, ends - self._reactor.seconds()))
            try:
                factory = Factory.forProtocol(lambda: talk)
                factory.noisy = False
                await self._endpoint.connect(factory).addTimeout(left, self._reactor)
            except CancelledError:
                raise
            except Exception as error:
                late = isinstance(error, TimeoutError)
                said = f"not connected in {left:g} s" if late else str(error)
                raise Unavailable(f"{self.where}: {said}") from None
            talk.end_at(ends, seconds)
            yield talk
        finally:
            try:
                await talk.close()
            finally:
                self._places.release()


@implementer(IPushProducer)
class Talk(Protocol):
    """One connection to a daemon.

    Args:
        where: The daemon, for errors.
        reactor: Tells the time, and has threads.
        most: Bytes that may have come and not been read.
    """

    def __init__(self, where: str, reactor: Any, most: int) -> None:
        self._where = where
        self._reactor = reactor
        self._most = most
        self._room = Room()
        self._data = bytearray()
        self._over: BaseException | None = None
        self._waiting: Deferred[None] | None = None
        self._timer: Any = None
        self._connected = False
        self._lost: Deferred[None] = Deferred()

    # What the daemon says.

    @property
    def heard(self) -> bool:
        """Whether there is something to read, or never will be."""
        return bool(self._data) or self._over is not None

    async def until(self, end: bytes) -> bytes:
        """Read up to these bytes, and drop them."""
        looked = 0
        while (at := self._data.find(end, looked)) < 0:
            looked = max(0, len(self._data) - len(end) + 1)
            await self._more()
        return self._take(at + len(end))[:at]

    async def exactly(self, size: int) -> bytes:
        """Read so many bytes; no more than may wait unread."""
        while len(self._data) < size:
            await self._more()
        return self._take(size)

    async def rest(self) -> bytes:
        """Read all that comes until the daemon closes the connection in good order."""
        while self._over is None:
            await self._wait()
        if not isinstance(self._over, ConnectionDone):
            self._fail()
        return self._take(len(self._data))

    # What is said to it.

    async def send(self, data: bytes) -> None:
        """Send; waits while the daemon has not taken what was sent before."""
        while self._room.full and self._over is None:
            try:
                await self._room.wait()
            except ConnectionLost:
                self._fail()
        if self._over is not None:
            self._fail()
        wire: Any = self.transport
        wire.write(data)

    async def send_all(self, blocks: AsyncIterator[bytes]) -> bool:
        """Send blocks until there are no more, or until the daemon speaks or closes.

        Returns:
            Whether all of them were sent before the daemon said anything.
        """
        async for block in blocks:
            if self.heard:
                return False
            try:
                await self.send(block)
            except Unavailable:
                return False  # what it said before is still to be read
        return not self.heard

    def send_file(self, descriptor: int, data: bytes) -> None:
        """Send a few bytes and an open file in one packet; nothing else may have been sent yet.

        The descriptor may be closed afterwards.

        Raises:
            Unavailable: This is no Unix socket, or it does not take them.
        """
        if self._over is not None:
            self._fail()
        wire: Any = self.transport
        if not IUNIXTransport.providedBy(self.transport):
            raise Unavailable(f"{self._where}: files can be handed over by a Unix socket only")
        try:
            # the transport's own way would tear the file from all but the first of the bytes
            sent = send_fds(wire.getHandle(), [data], [descriptor])
        except OSError as error:
            raise Unavailable(f"{self._where}: {error}") from None
        if sent != len(data):
            raise Unavailable(f"{self._where}: it took {sent} bytes of {len(data)}")

    # How it ends.

    def end_at(self, when: float, seconds: float) -> None:
        """Fail at this moment of the reactor's clock, which are so many seconds in all."""
        late = Unavailable(f"no answer in {seconds:g} s")
        delay = max(0.0, when - self._reactor.seconds())
        self._timer = self._reactor.callLater(delay, self._end, late)

    async def close(self) -> None:
        """Have done with it: the socket is closed when this returns."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._end(ConnectionLost())
        if self._connected:
            await self._lost

    def _end(self, why: BaseException) -> None:
        if self._over is None:
            self._over = why
        wire: Any = self.transport
        if wire is not None:
            wire.abortConnection()
        self._room.lose()
        self._wake()

    def _fail(self) -> None:
        assert self._over is not None
        said = str(self._over)
        if isinstance(self._over, ConnectionDone):
            said = f"it closed the connection after {len(self._data)} bytes of an answer"
        raise Unavailable(f"{self._where}: {said}")

    async def _more(self) -> None:
        """Wait for more bytes."""
        if self._over is not None:
            self._fail()
        await self._wait()

    async def _wait(self) -> None:
        self._waiting = Deferred()  # cancelled, it takes its result in silence
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    # From the transport.

    def connectionMade(self) -> None:
        """Ask to be told when the buffer is full."""
        self._connected = True
        wire: Any = self.transport
        wire.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Keep what came."""
        if self._over is not None:
            return
        if len(self._data) + len(data) > self._most:
            self._end(Unavailable(f"it sends more than {self._most} bytes"))
            return
        self._data += data
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more comes, and nothing more goes."""
        if self._over is None:
            self._over = reason.value or ConnectionLost()
        self._room.lose()
        self._wake()
        self._lost.callback(None)

    def pauseProducing(self) -> None:
        """The buffer is full."""
        self._room.full = True

    def resumeProducing(self) -> None:
        """There is room in the buffer."""
        self._room.free()

    def stopProducing(self) -> None:
        """The connection is going: `connectionLost` says so."""
