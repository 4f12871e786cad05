"""Carries a conversation between a transport and the coroutines of its session.

One loop a connection: the conversation's next event goes to the session, and when the session's
coroutine has ended, the next one does.  A coroutine that never waits costs no Deferred and no
reactor turn; everything that one read brought in is answered by one write.

Invariants:

- One event at a time; so replies leave in the order of the commands.
- No event is taken while the transport's buffer is full, and nothing is read while the
  conversation is paused: what a peer can make us keep is bounded.
- A peer that pipelines without end gives up its turn after ``turn_events`` or ``turn_seconds``.
- At any moment it is known what the connection waits for and how long it may: for the peer's
  next command, its handshake, its reading, its closing; for the session alone without limit.
- `Session.closed` is called exactly once for each session that was opened, after its last
  coroutine has ended.
- An error that nobody expected is logged once, with the session's id; the peer is told what
  the protocol's own `answer_failure` says.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.model.peer import Peer
from mailplat.net.deadline import Deadline
from mailplat.net.outbox import Outbox
from mailplat.net.peers import ends_of, tls_of
from mailplat.net.room import Room
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.conversation import Conversation

__all__ = ["Connection"]

E = TypeVar("E")


@implementer(ILink, IHandshakeListener, IHalfCloseableProtocol, IPushProducer)
class Connection(Protocol, Generic[E]):
    """One connection of either side of any protocol.

    A protocol's own subclass overrides `patience`, `answer_failure`, `say_timeout`,
    `say_shutdown` and `may_leave`, each of which asks something of its conversation.

    Args:
        conversation: The state machine, new.
        open_session: Makes the session once the peer is known; it binds the conversation.
        clock: For timeouts and for turns.
        session_id: Short and unique, for the log.
        options: Limits.
        tls: What Twisted's ``startTLS`` takes; None where TLS is not offered.
        released: Called once, when all is over.

    Attributes:
        peer: Both ends; known once connected.
        admit: Counts the connection under another address; False, if that has too many.
    """

    log = Logger()
    serves = True
    """Whether ours is the server's side."""

    def __init__(
        self,
        conversation: Conversation[E],
        open_session: Callable[[ILink], Session[E]],
        *,
        clock: IReactorTime,
        session_id: str,
        options: ConnectionOptions | None = None,
        tls: object | None = None,
        released: Callable[[], None] | None = None,
    ) -> None:
        self._conversation = conversation
        self._open_session = open_session
        self._clock = clock
        self.session_id = session_id
        self.peer = Peer("", 0, "", 0)
        self.admit: Callable[[str], bool] = lambda address: True
        self.options = options or ConnectionOptions()
        self._tls = tls
        self._released = released
        self._deadline = Deadline(clock, self._expired)

        self._wire: Any = None  # the transport, once connected
        self._session: Session[E] | None = None
        self._coroutine: Coroutine[Any, Any, None] | None = None  # not ended yet
        self._awaited: Deferred[Any] | None = None  # what it waits for
        self._later: IDelayedCall | None = None  # our next turn
        self._room = Room()  # in the transport's buffer
        self._outbox = Outbox()

        self._active = False  # this loop is on the stack
        self._securing = False  # a handshake is under way
        self._upgrade_wanted = False
        self._unread = False  # we told the transport to read no more
        self._ended = False  # the peer sends no more
        self._leaving = False  # we are shutting down
        self._closing = False
        self._lost = False
        self._cancelled = False

        self._since = 0.0  # when the present wait began
        self._login_by: float | None = None

    # What a protocol says for itself.

    def patience(self) -> float:
        """Tell how many seconds the peer may take for its next command, as things stand."""
        return self.options.idle_timeout

    def answer_failure(self, error: Exception) -> None:
        """Have the conversation answer what failed; an error not `MailError` is ours."""
        self.abort()

    def say_timeout(self) -> None:
        """Have the conversation say goodbye to a peer that was silent for too long."""

    def say_shutdown(self) -> None:
        """Have the conversation say goodbye because the server stops."""

    def may_leave(self) -> bool:
        """Tell whether the server may say goodbye now; what is under way may end first."""
        return True

    # From the transport.

    def connectionMade(self) -> None:
        """Begin; where the port begins with TLS, wait for its handshake."""
        wire: Any = self.transport
        self._wire = wire
        now = self._since = self._clock.seconds()
        if self.options.login_timeout is not None:
            self._login_by = now + self.options.login_timeout
        if ITCPTransport.providedBy(wire):
            wire.setTcpNoDelay(True)
        wire.registerProducer(self, True)
        self.peer = ends_of(wire, None)
        if ISSLTransport.providedBy(wire):
            self._securing = True
            self._outbox.open(wire, direct=False)
            self._deadline.move(self._expiry())
        else:
            self._outbox.open(wire, direct=True)
            self._open()

    def handshakeCompleted(self) -> None:
        """TLS is up: tell the session by a new `peer`, and go on."""
        if not self._securing:
            return
        self._securing = False
        self.peer = replace(self.peer, tls=tls_of(self._wire, server=self.serves))
        self._since = self._clock.seconds()
        if self._session is None:
            self._open()
        else:
            self._pump()

    def dataReceived(self, data: bytes) -> None:
        """Hand the peer's bytes on."""
        if self._closing or self._lost:
            return
        self._conversation.receive(data)
        self._pump(fed=True)

    def readConnectionLost(self) -> None:
        """The peer sends no more: answer what it asked, then close."""
        self._ended = True
        self._since = self._clock.seconds()
        self._conversation.end_of_input()
        self._pump()

    def writeConnectionLost(self) -> None:
        """Nobody reads our answers any more."""
        self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All is over: end the session's coroutine, then the session."""
        self._lost = True
        self._deadline.stop()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._outbox.clear()
        if self._coroutine is None:
            if not self._active:
                self._finish()
        elif self._awaited is not None:
            self._cancel(self._awaited)
        self._room.lose()

    # As the producer of what the transport sends.

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if not self._room.full:
            self._room.full = True
            self._since = self._clock.seconds()
            if not self._active:
                self._deadline.move(self._expiry())

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._since = self._clock.seconds()
        self._outbox.emptied()
        self._room.free()
        self._pump()

    def stopProducing(self) -> None:
        """The transport sends no more; `connectionLost` follows."""

    # For the session, and for the server that stops.

    def flush(self) -> None:
        """Send what the conversation has ready, and go on with what waits in it."""
        if not (self._active or self._lost):
            self._collect()
            self._pump()

    async def drained(self) -> None:
        """Send what the conversation has ready, and wait until there is room for more."""
        self._collect()
        if self._outbox.size >= self.options.cork or not self._active:
            self._send()
        while self._room.full and not self._closing:
            await self._room.wait()
        if self._lost:
            raise ConnectionLost

    async def write(self, data: bytes) -> None:
        """Send bytes behind what the conversation has ready, and wait as `drained` does."""
        self._collect()
        self._outbox.put(data)
        await self.drained()

    def start_tls(self) -> None:
        """Begin TLS as soon as the running coroutine has ended and its answer is sent."""
        if self._tls is None:
            raise RuntimeError("TLS was started where none is offered")
        self._upgrade_wanted = True
        self.flush()

    def speak_for(self, peer: Peer) -> bool:
        """Know the peer as another one from now on; False, if that has too many connections."""
        admitted = self.admit(peer.address)
        self.peer = peer if admitted else self.peer
        return admitted

    def authenticated(self) -> None:
        """The time to log in is no longer limited."""
        self._login_by = None

    def close(self) -> None:
        """End the connection once what is ready is sent."""
        if self._closing or self._lost:
            return
        self._collect()
        self._send()
        self._closing = True
        self._since = self._clock.seconds()
        self._wire.unregisterProducer()  # with a producer it would wait for more
        self._wire.loseConnection()
        self._room.free()
        if not self._lost:
            self._deadline.move(self._expiry())

    def abort(self) -> None:
        """End the connection now; nothing more is sent."""
        if not self._lost:
            self._closing = True
            self._outbox.clear()
            self._since = self._clock.seconds()
            self._wire.abortConnection()

    def shut_down(self) -> None:
        """Say goodbye and close, after the answer that is under way and once `may_leave` says."""
        self._leaving = True
        if self._securing:
            self.abort()
        else:
            self._pump()

    # The loop.

    def _open(self) -> None:
        self._session = self._open_session(self)
        self._coroutine = self._session.opened()
        self._active = True
        try:
            self._step(None)
        finally:
            self._active = False
        self._pump()

    def _pump(self, *, fed: bool = False) -> None:
        """Answer what can be answered now, write it, and see what to wait for."""
        if self._active:
            return
        self._active = True
        try:
            idle = self._turn(fed)
            self._collect()
            self._send()
            if not (self._room.full or self._closing or self._lost):
                self._outbox.push()
        except Exception:
            idle = False
            self.log.failure("{session}: unexpected error", session=self.session_id)
            self.abort()
        finally:
            self._active = False
        if self._lost:
            if self._coroutine is None:
                self._finish()
            return
        if idle and self._upgrade_wanted:
            self._upgrade()
        elif idle and (
            self._conversation.closing or self._ended or (self._leaving and self.may_leave())
        ):
            self.close()
        self._regulate()
        self._deadline.move(self._expiry())

    def _turn(self, fed: bool) -> bool:
        """Answer events; True if none is waiting and no answer is under way."""
        if self._session is None or self._later is not None:
            return False
        options, conversation, seconds = self.options, self._conversation, self._clock.seconds
        left, until, handled = options.turn_events, 0.0, False
        while self._coroutine is None and not (self._room.full or self._closing or self._lost):
            if self._securing:
                return False
            if self._upgrade_wanted or conversation.closing:
                return True
            if self._leaving and self.may_leave():
                self.say_shutdown()
                return True
            if not left or (handled and seconds() > until):
                self._later = self._clock.callLater(0, self._next_turn)
                return False
            event = conversation.next_event()
            if event is None:
                if handled or (fed and self._collect()):
                    self._since = seconds()
                return True
            if not handled:
                until, handled = seconds() + options.turn_seconds, True
            left -= 1
            self._coroutine = self._session.answer(event)
            self._step(None)
            self._collect()
            if self._outbox.size >= options.cork:
                self._send()
        return False

    def _next_turn(self) -> None:
        """Go on after others had their turn."""
        self._later = None
        self._pump()

    def _step(self, result: object) -> None:
        """Let the coroutine go on until it ends or waits."""
        coroutine = self._coroutine
        assert coroutine is not None
        try:
            if isinstance(result, Failure):
                awaited = result.throwExceptionIntoGenerator(coroutine)
            else:
                awaited = coroutine.send(result)
        except StopIteration:
            self._coroutine = None
        except Exception as error:
            self._coroutine = None
            self._failed(error)
        else:
            self._awaited = awaited
            awaited.addBoth(self._resume)
            # lost while it ran; a session that is being closed is let finish
            if self._lost and not self._cancelled and self._session is not None:
                self._cancel(awaited)

    def _resume(self, result: object) -> None:
        """What the coroutine waited for is there."""
        self._awaited = None
        self._active = True
        try:
            self._step(result)
        finally:
            self._active = False
        self._since = self._clock.seconds()
        self._pump()

    def _cancel(self, awaited: Deferred[Any]) -> None:
        """Let the coroutine see, once, that its connection is gone."""
        self._cancelled = True
        awaited.cancel()

    def _finish(self) -> None:
        """The connection is lost and no coroutine runs: close the session, then tell."""
        session, self._session = self._session, None
        if session is not None:
            self._coroutine = session.closed()
            self._active = True
            try:
                self._step(None)
            finally:
                self._active = False
        if self._coroutine is None:
            released, self._released = self._released, None
            if released is not None:
                released()

    def _failed(self, error: Exception) -> None:
        """A coroutine ended by an error."""
        if self._lost and isinstance(error, CancelledError | ConnectionClosed):
            return
        if isinstance(error, MailError):
            self.log.info("{session}: {error!r}", session=self.session_id, error=error)
        else:
            self.log.failure("{session}: unexpected error", session=self.session_id)
        if self._lost or self._closing:
            return
        try:
            self.answer_failure(error)
        except Exception:
            self.log.failure("{session}: cannot answer", session=self.session_id)
            self.abort()

    def _upgrade(self) -> None:
        """The answer is with the transport: everything after it is TLS (RFC 3207 §4.2)."""
        self._upgrade_wanted = False
        self._securing = True
        self._outbox.open(self._wire, direct=False)
        self._since = self._clock.seconds()
        self._conversation.tls_started()
        self._wire.startTLS(self._tls)

    def _collect(self) -> bool:
        """Take what the conversation has ready; True if there was something."""
        data = self._conversation.bytes_to_send()
        if not data:
            return False
        self._outbox.put(data)
        return True

    def _send(self) -> None:
        """Hand what is collected to the transport."""
        (self._outbox.clear if self._closing or self._lost else self._outbox.send)()

    def _regulate(self) -> None:
        """Read, or read no more, as the conversation wants it."""
        paused = self._conversation.paused
        if paused is self._unread or self._closing or self._ended:
            return
        self._unread = paused
        (self._wire.pauseProducing if paused else self._wire.resumeProducing)()

    # Time.

    def _expiry(self) -> float | None:
        """Tell when the present wait has lasted too long; None while it is ours alone."""
        options = self.options
        if self._closing:
            return self._since + options.close_timeout
        if self._room.full:
            return self._since + options.stall_timeout
        if self._securing:
            return self._since + options.handshake_timeout
        if self._coroutine is not None:
            return self._since + self.patience() if self._ended else None
        expiry = self._since + self.patience()
        return expiry if self._login_by is None else min(expiry, self._login_by)

    def _expired(self) -> None:
        if self._closing or self._room.full or self._securing or self._coroutine is not None:
            self.abort()
            return
        self.say_timeout()
        self.close()
