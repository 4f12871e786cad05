"""POP3 on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.net.connection import Connection
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.pop3.events import Event
from mailplat.proto.pop3.offers import Limits, Offers
from mailplat.proto.pop3.server import ServerConversation

__all__ = ["POP3_CONNECTION", "Pop3Connection", "pop3_factory"]

POP3_CONNECTION = ConnectionOptions(idle_timeout=600.0, login_timeout=180.0)
"""Ten minutes of silence are the least that may end a session (RFC 1939 §3)."""

_REFUSAL = b"-ERR [SYS/TEMP] Too many connections; please try again later\r\n"

OpenSession = Callable[[ServerConversation, ILink], Session[Event]]


class Pop3Connection(Connection[Event]):
    """One client's connection.  Silence ends it without a word (RFC 1939 §3).

    Args:
        conversation: The state machine, new.
        open_session: Makes the session for it.
        clock: For timeouts and turns.
        session_id: For the log.
        options: Limits of the connection.
        tls: What ``startTLS`` takes; None where STLS is not offered.
        released: Called once, when all is over.
    """

    def __init__(
        self,
        conversation: ServerConversation,
        open_session: OpenSession,
        *,
        clock: IReactorTime,
        session_id: str,
        options: ConnectionOptions = POP3_CONNECTION,
        tls: object | None = None,
        released: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            conversation,
            lambda link: open_session(conversation, link),
            clock=clock,
            session_id=session_id,
            options=options,
            tls=tls,
            released=released,
        )
        self._pop3 = conversation

    def answer_failure(self, error: Exception) -> None:
        """Answer ``-ERR``; where an answer has begun, only the end of the connection is true."""
        if self._pop3.midway:
            self.abort()
        else:
            self._pop3.refuse(error if isinstance(error, MailError) else MailError())

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self._pop3.shut_down()


def pop3_factory(
    open_session: OpenSession,
    offers: Offers,
    *,
    clock: IReactorTime,
    ids: SessionIds,
    connections: ConnectionLimits,
    limits: Limits | None = None,
    options: ConnectionOptions = POP3_CONNECTION,
    tls: object | None = None,
    implicit_tls: bool = False,
) -> ConnectionFactory:
    """Make what listens on a POP3 port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        offers: What the port offers.
        clock: For timeouts and turns.
        ids: Names sessions.
        connections: Counts connections.
        limits: What a client may say.
        options: Limits of a connection.
        tls: What ``startTLS`` takes; needed where ``offers.stls`` is true.
        implicit_tls: The port begins with TLS: wrap the factory by `net.tls.behind_tls`.
    """

    def build(session_id: str, released: Callable[[], None]) -> Pop3Connection:
        return Pop3Connection(
            ServerConversation(offers, limits, tls=implicit_tls),
            open_session,
            clock=clock,
            session_id=session_id,
            options=options,
            tls=tls,
            released=released,
        )

    refusal = b"" if implicit_tls else _REFUSAL
    return ConnectionFactory(build, limits=connections, refusal=refusal, ids=ids)
