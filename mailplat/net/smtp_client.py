"""One connection to a server that we bring mail to: SMTP or LMTP, as awaitables.

A `SmtpChannel` is opened, perhaps secured and logged in, and then hands over one mail after the
other.  The conversation of `mailplat.proto.smtp.client` says what goes over the wire, and
`mailplat.net.connection` carries it: this is the owner of the one and the session of the other.

Invariants:

- Each await ends: by an answer, by a time-out of its phase (RFC 5321 §4.5.3.2), or with the
  connection.
- `send` answers for each recipient whatever happens, and raises nothing for what a peer did.
- Who is cancelled while he waits loses the connection: nobody else could use it any more.
- Nothing is said over TLS before the handshake is done and, where that is asked, the server has
  proved who it is.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError, ConnectError, ConnectionClosed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.net import ILink
from mailplat.model.errors import Corrupt, MailError
from mailplat.model.reply import Reply
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientTLS
from mailplat.net.connection import Connection
from mailplat.net.session import ConnectionOptions
from mailplat.proto.sasl.client import ClientCredentials, choose
from mailplat.proto.smtp.client import ClientConversation
from mailplat.proto.smtp.client_events import (
    ClientEvent,
    ContentWanted,
    Gone,
    Handed,
    KeyWanted,
    LoginAnswered,
    Phase,
    Ready,
    TLSAnswered,
)
from mailplat.proto.smtp.peer_offers import PeerOffers
from mailplat.proto.smtp.transfer import Result, Transfer

__all__ = ["PeerLost", "SmtpChannel", "TLSFailed", "Unreachable", "open_channel"]

_BLOCK = 65536
"""Bytes of a message that are read and written at once."""


class PeerLost(Exception):
    """The server is gone, or was never there.

    Attributes:
        reply: Why: the server's own words, or ours.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class TLSFailed(PeerLost):
    """The connection was lost because there is no TLS with that server, or none to trust."""


class Unreachable(PeerLost):
    """Nobody is there, or says a word: other mail need not try for a while."""


class _ClientConnection(Connection[ClientEvent]):
    """Carries the conversation; time-outs go by what is waited for."""

    serves = False

    def __init__(
        self,
        channel: SmtpChannel,
        conversation: ClientConversation,
        options: ChannelOptions,
        *,
        clock: IReactorTime,
        session_id: str,
    ) -> None:
        super().__init__(
            conversation,
            channel.bind,
            clock=clock,
            session_id=session_id,
            options=ConnectionOptions(
                handshake_timeout=options.handshake,
                stall_timeout=options.block,
                close_timeout=options.farewell,
            ),
            released=channel.released,
        )
        self._channel = channel
        self._smtp = conversation
        self._patience = options.patience()

    def patience(self) -> float:
        """See `Connection.patience`."""
        return self._patience[self._smtp.phase]

    def dataReceived(self, data: bytes) -> None:
        """Hand the server's bytes on; each whole reply gives it time anew."""
        before = self._smtp.replies
        super().dataReceived(data)
        if self._smtp.replies != before and not self._lost:
            self._since = self._clock.seconds()
            self._deadline.move(self._expiry())

    def handshakeCompleted(self) -> None:
        """TLS is up: go on, unless the server is not who it should be."""
        fault = self._channel.tls.fault() if self._channel.tls is not None else ""
        if fault:
            self._channel.why_lost = Reply.of(451, f"No TLS to trust: {fault}", "4.7.5")
            self.abort()
        else:
            super().handshakeCompleted()

    def begin_tls(self, tls: ClientTLS) -> None:
        """Begin TLS as soon as what was said is sent."""
        self._tls = tls
        self.start_tls()

    def say_timeout(self) -> None:
        """Say goodbye where we had nothing to say; give up where the server had."""
        phase = self._smtp.phase
        if phase is Phase.IDLE:
            self._smtp.quit()
        else:
            self._smtp.abandon(Reply.of(451, f"Timed out waiting for {phase.value}", "4.4.2"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All is over: say why, as far as that is known."""
        self._channel.lost_by(reason, self._securing)
        super().connectionLost(reason)


class SmtpChannel:
    """A connection to a server, as its one user sees it; `open_channel` makes it.

    Attributes:
        tls: What protects the connection; None in clear.
        why_lost: Why the connection is gone; None while it is not.
        tls_failed: It is gone because TLS did not come to be.
        when_gone: Called once the connection is gone, if somebody wants to know.
        domains: Those of the recipients that were named so far, in lower case.
    """

    def __init__(self, conversation: ClientConversation, tls: ClientTLS | None) -> None:
        self.tls = tls
        self.why_lost: Reply | None = None
        self.tls_failed = False
        self.when_gone: Callable[[], None] | None = None
        self.domains: set[str] = set()
        self._conversation = conversation
        self._link: ILink | None = None
        self._connection: _ClientConnection | None = None
        self._events: deque[ClientEvent] = deque()
        self._waiting: Deferred[None] | None = None
        self._gone = False
        self._quitting = False
        self._body: IBody | None = None

    # For its user.

    @property
    def offers(self) -> PeerOffers:
        """What the server offers."""
        return self._conversation.offers

    @property
    def local_address(self) -> str:
        """Our own IP address on this connection; ``""`` before there is one."""
        return "" if self._link is None else self._link.peer.local_address

    @property
    def transfers(self) -> int:
        """How many mails were handed over, well or not."""
        return self._conversation.transfers

    @property
    def usable(self) -> bool:
        """Whether a mail can be handed over now, as far as is known."""
        return not (self._gone or self._quitting or self._conversation.over) and (
            self._conversation.phase in (Phase.IDLE, Phase.RESET)
        )

    @property
    def protected(self) -> bool:
        """Whether TLS protects the connection."""
        return self._conversation.tls

    async def secure(self, tls: ClientTLS) -> bool:
        """Begin TLS by STARTTLS (RFC 3207); False if the server refuses.

        Raises:
            PeerLost: The server is gone; `TLSFailed` where TLS is the reason.
        """
        self._conversation.start_tls()
        answered = await self._next()
        assert isinstance(answered, TLSAnswered)
        if not answered.reply.positive:
            return False
        assert self._connection is not None
        self.tls = tls
        self._connection.begin_tls(tls)
        ready = await self._next()
        assert isinstance(ready, Ready)
        return True

    async def login(self, credentials: ClientCredentials, *, clear: bool = False) -> Reply | None:
        """Log in by the strongest mechanism that the server offers.

        Args:
            credentials: What we have.
            clear: Whether a password or a token may be shown without TLS.

        Returns:
            What the server answered; None if there is no mechanism in common.

        Raises:
            PeerLost: The server is gone.
        """
        link = self._link
        assert link is not None
        bindings = {} if link.peer.tls is None else link.peer.tls.bindings
        chosen = choose(
            self.offers.mechanisms,
            credentials,
            partial(secrets.token_urlsafe, 24),
            bindings=bindings,
            show=clear or self.protected,
        )
        if chosen is None:
            return None
        self._conversation.login(*chosen)
        answered = await self._next()
        if isinstance(answered, KeyWanted):
            self._conversation.give_key(await deferToThread(answered.derivation.derive))
            answered = await self._next()
        assert isinstance(answered, LoginAnswered)
        return answered.reply

    async def send(self, transfer: Transfer, body: IBody) -> tuple[Result, ...]:
        """Hand a mail over: a result for each recipient, in their order.

        Args:
            transfer: Whom it is from and for.
            body: Its bytes; read while they are sent, not closed.
        """
        self._body = body
        self.domains.update(one.address.domain.lower() for one in transfer.recipients)
        self._conversation.send(transfer)
        try:
            handed = await self._next()
        finally:
            self._body = None
        assert isinstance(handed, Handed)
        return handed.results

    def quit(self) -> None:
        """Say goodbye; the connection ends by itself."""
        if not (self._gone or self._quitting):
            self._quitting = True
            assert self._connection is not None
            self._conversation.quit()
            self._connection.flush()

    def abort(self) -> None:
        """End the connection now."""
        if self._connection is not None and not self._gone:
            self._connection.abort()

    async def _next(self) -> ClientEvent:
        """Say what is to be said, and wait for the next event."""
        if self._link is not None:
            self._link.flush()
        while not self._events:
            if self._gone:  # what came before it was told
                assert self.why_lost is not None
                raise (TLSFailed if self.tls_failed else PeerLost)(self.why_lost)
            self._waiting = Deferred(lambda _: self.abort())
            await self._waiting
        return self._events.popleft()

    # For the connection: its session.

    async def connect(self, connection: _ClientConnection, endpoint: IStreamClientEndpoint) -> None:
        """Connect, and wait until the server has greeted; `open_channel` calls it.

        Raises:
            PeerLost: It turned us away; `Unreachable` if it said nothing, `TLSFailed` where TLS
                is the reason.
        """
        factory: Any = Factory.forProtocol(lambda: connection)
        factory.noisy = False
        try:
            if self.tls is not None:
                factory = TLSMemoryBIOFactory(self.tls, True, factory)
            await endpoint.connect(factory)
        except (ConnectError, ConnectBindError, ConnectionClosed) as error:
            self._tell_gone()
            raise Unreachable(_cannot_connect(error)) from error
        except BaseException:
            self._tell_gone()
            raise
        self._connection = connection
        try:
            ready = await self._next()
        except PeerLost as lost:
            if self._conversation.replies or isinstance(lost, TLSFailed):
                raise
            raise Unreachable(lost.reply) from lost
        assert isinstance(ready, Ready)

    def bind(self, link: ILink) -> SmtpChannel:
        """Take the connection, once it is there."""
        self._link = link
        return self

    async def opened(self) -> None:
        """See `Session.opened`: the server speaks first."""

    async def answer(self, event: ClientEvent) -> None:
        """See `Session.answer`: give the message's bytes, or tell who waits."""
        if isinstance(event, ContentWanted):
            await self._give_content()
        else:
            self._tell(event)

    async def closed(self) -> None:
        """See `Session.closed`: `released` follows."""

    def lost_by(self, reason: Failure, securing: bool) -> None:
        """The transport says why the connection is lost."""
        self.tls_failed = securing or self.tls_failed or bool(reason.check(SSL.Error))
        if self.why_lost is None:
            phase = self._conversation.phase
            if self.tls_failed:
                self.why_lost = Reply.of(451, f"No TLS with the server: {_why(reason)}", "4.7.5")
            else:
                self.why_lost = Reply.of(451, f"Connection lost before {phase.value}", "4.4.2")

    def released(self) -> None:
        """The connection is over, and so is whatever was under way."""
        assert self.why_lost is not None
        self._conversation.abandon(self.why_lost)
        while (event := self._conversation.next_event()) is not None:
            self._tell(event)
        self._gone = True
        self._wake()
        self._tell_gone()

    def _tell_gone(self) -> None:
        when_gone, self.when_gone = self.when_gone, None
        if when_gone is not None:
            when_gone()

    async def _give_content(self) -> None:
        conversation, body, link, position = self._conversation, self._body, self._link, 0
        assert body is not None  # who gives up waiting ends the connection too
        assert link is not None
        while conversation.streaming:
            stop = min(position + _BLOCK, body.size)
            block = b""
            if position < stop:
                if body.in_memory:
                    block = body.read(position, stop)
                else:
                    block = await deferToThread(body.read, position, stop)
            if len(block) != stop - position:
                self.why_lost = Reply.to_error(MailError())
                raise Corrupt(f"a message of {body.size} bytes ends at {position + len(block)}")
            position = stop
            conversation.content(block, last=position == body.size)
            await link.drained()

    def _tell(self, event: ClientEvent) -> None:
        if isinstance(event, Gone):
            self.why_lost = event.reply
            self._gone = True
            self._wake()
        elif not isinstance(event, ContentWanted):
            self._events.append(event)
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


def _cannot_connect(error: Exception) -> Reply:
    return Reply.of(451, f"Cannot connect: {error or type(error).__name__}", "4.4.1")


def _why(reason: Failure) -> str:
    """Say what is wrong with TLS, in a few words."""
    error = reason.value
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return "the connection was lost in the handshake"


async def open_channel(
    endpoint: IStreamClientEndpoint,
    options: ChannelOptions,
    *,
    clock: IReactorTime,
    session_id: str,
    tls: ClientTLS | None = None,
    begun: Callable[[SmtpChannel], None] | None = None,
) -> SmtpChannel:
    """Connect to a server, and wait for its greeting and for what it offers.

    Args:
        endpoint: Where it is; has a time-out of its own for connecting.
        options: How to speak.
        clock: For time-outs.
        session_id: For the log.
        tls: TLS from the first byte on (RFC 8314 §3.3); None to begin in clear.
        begun: Told of the channel before it connects, so that it can be watched until it is
            gone, also if it never is of use.

    Raises:
        PeerLost: The server turns us away; `Unreachable` if it says nothing or is not there,
            `TLSFailed` where TLS is the reason.
    """
    conversation = ClientConversation(
        options.name,
        dialect=options.dialect,
        limits=options.reply_limits,
        tls=tls is not None,
        chunking=options.chunking,
    )
    channel = SmtpChannel(conversation, tls)
    if begun is not None:
        begun(channel)
    connection = _ClientConnection(
        channel, conversation, options, clock=clock, session_id=session_id
    )
    await channel.connect(connection, endpoint)
    return channel
