r"""A daemon that is asked by a protocol of its own: one connection a talk, bounded all round.

For scanners, milters, policy servers and what else listens on a socket beside the mail server::

    async with daemon.talk(seconds=25) as talk:
        await talk.send(b"PING\n")
        answer = await talk.until(b"\n")

Who has more to say later on than within one question, takes a talk and gives it back, maybe to be
kept for the next one who comes::

    talk = await daemon.take(seconds=5)
    talk.limit(25, "HELO")
    ...
    await daemon.give_back(talk, keep=True)

Invariants:

- A talk ends within its seconds, waiting for a place and connecting included; then its connection
  is closed, and whoever waits gets `Unavailable`.  A talk that was taken has a limit for
  each phase.
- What is kept holds no place, and is closed after a while; one that closed or said something
  meanwhile is never given to anybody.
- No more than so many talks are under way at once; others wait for a place.
- What is not read yet is bounded; a daemon that sends more is cut off.
- Sending waits until the daemon took what was sent before.
- Every error is `Unavailable`, and its reason begins with the daemon's endpoint, and the phase.
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
        where: What log lines call it.

    Args:
        reactor: Opens connections and tells the time.
        where: A client endpoint of Twisted's: ``unix:/run/clamav/clamd.ctl``,
            ``tcp:127.0.0.1:783``, ``tls:scanner.example.org:3311``.
        connections: Talks at once.
        connect: Seconds that connecting may take.
        most: Bytes that may have come and not been read.
        idle: Connections that are kept for the next one who comes.
        idle_seconds: How long they are.
        name: What log lines call it; ``""`` is its endpoint.

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
        idle: int = 0,
        idle_seconds: float = 60.0,
        name: str = "",
    ) -> None:
        try:
            self._endpoint = clientFromString(reactor, where)
        except Exception as error:
            raise ConfigurationFault(
                f"{where!r} names no daemon: expected unix:PATH or tcp:HOST:PORT"
            ) from error
        self.where = name or where
        self._reactor = reactor
        self._places = DeferredSemaphore(connections)
        self._connect = connect
        self._most = most
        self._kept: list[Talk] = []
        self._idle = idle
        self._idle_seconds = idle_seconds

    @asynccontextmanager
    async def talk(self, seconds: float) -> AsyncIterator[Talk]:
        """Connect; the connection is closed at the end, whatever happened.

        Args:
            seconds: How long it may take in all.

        Raises:
            Unavailable: There is no connection, no place for one, or the talk failed.
        """
        ends = self._reactor.seconds() + seconds
        talk = await self._connected(ends, seconds)
        try:
            talk.end_at(ends, f"no answer in {seconds:g} s")
            yield talk
        finally:
            await self.give_back(talk)

    async def take(self, seconds: float, *, new: bool = False) -> Talk:
        """Have a talk that lasts until it is given back; it has to be.

        Args:
            seconds: How long it may take to get one.
            new: Whether it must not be one that was kept.

        Raises:
            Unavailable: There is no connection, or no place for one.
        """
        ends = self._reactor.seconds() + seconds
        return await self._connected(ends, seconds, new=new)

    async def give_back(self, talk: Talk, *, keep: bool = False) -> None:
        """Have done with a talk.

        Args:
            talk: Which.
            keep: Whether somebody else may go on with it.
        """
        try:
            if keep and talk.quiet and len(self._kept) < self._idle:
                talk.reused, talk.phase = True, ""
                talk.limit(self._idle_seconds)
                self._kept.append(talk)
            else:
                await talk.close()
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close what is kept."""
        kept, self._kept = self._kept, []
        for talk in kept:
            await talk.close()

    async def _connected(self, ends: float, seconds: float, *, new: bool = True) -> Talk:
        """Get a place, and a connection that is kept or new."""
        try:
            await self._places.acquire().addTimeout(seconds, self._reactor)
        except TimeoutError:
            raise Unavailable(f"{self.where}: no connection was free in {seconds:g} s") from None
        talk = Talk(self.where, self._reactor, self._most)
        try:
            while self._kept and not new:
                kept = self._kept.pop()
                if kept.quiet:
                    return kept
                await kept.close()
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
                raise Unavailable(f"{self.where}: connect: {said}") from None
        except BaseException:
            await self.give_back(talk)
            raise
        return talk


@implementer(IPushProducer)
class Talk(Protocol):
    """One connection to a daemon.

    Args:
        where: The daemon, for errors.
        reactor: Tells the time, and has threads.
        most: Bytes that may have come and not been read.

    Attributes:
        phase: What is being asked, for errors.
        reused: Whether somebody else had it before.
        memory: Whatever has to stay with the connection.
    """

    def __init__(self, where: str, reactor: Any, most: int) -> None:
        self.phase = ""
        self.reused = False
        self.memory: Any = None
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

    @property
    def quiet(self) -> bool:
        """Whether the connection is there, and the daemon said nothing that was not read."""
        return self._connected and not self.heard

    @property
    def closed(self) -> bool:
        """Whether the daemon closed the connection, and all that it said before was read."""
        return isinstance(self._over, (ConnectionDone, ConnectionLost)) and not self._data

    async def some(self) -> bytes:
        """Read what there is; waits for at least one byte."""
        while not self._data:
            await self._more()
        return self._take(len(self._data))

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

    def limit(self, seconds: float, phase: str = "") -> None:
        """Begin a phase that may take so many seconds from now on."""
        self.phase = phase
        self.end_at(self._reactor.seconds() + seconds, f"no answer in {seconds:g} s")

    def unlimited(self) -> None:
        """Nothing is asked: no time is limited."""
        self._stop_timer()

    def end_at(self, when: float, why: str) -> None:
        """Fail at this moment of the reactor's clock, for this reason."""
        self._stop_timer()
        late = Unavailable(why)
        delay = max(0.0, when - self._reactor.seconds())
        self._timer = self._reactor.callLater(delay, self._end, late)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    async def hang_up(self, seconds: float) -> None:
        """Close in good order: what was sent arrives first, if it does within some seconds."""
        if self._over is None and self._connected:
            self.limit(seconds)
            wire: Any = self.transport
            wire.unregisterProducer()
            wire.loseConnection()
            await self._lost

    async def close(self) -> None:
        """Have done with it: the socket is closed when this returns."""
        self._stop_timer()
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
        phase = f"{self.phase}: " if self.phase else ""
        raise Unavailable(f"{self._where}: {phase}{said}")

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
