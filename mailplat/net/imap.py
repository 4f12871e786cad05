"""IMAP on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.net.connection import Connection
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.imap.commands import Event
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.limits import Limits

__all__ = ["IMAP_CONNECTION", "IMAPConnection", "imap_factory"]

IMAP_CONNECTION = ConnectionOptions(idle_timeout=1800.0, login_timeout=180.0)
"""Half an hour of silence are the least that may end a session (RFC 9051 §5.4)."""

_REFUSAL = b"* BYE [LIMIT] Too many connections; please try again later\r\n"

_FOREVER = 10 * 365 * 86400.0
"""Seconds; nobody who idles is silent by mistake."""

OpenSession = Callable[[ServerConversation, ILink], Session[Event]]


class IMAPConnection(Connection[Event]):
    """One client's connection.

    Args:
        conversation: The state machine, new.
        open_session: Makes the session for it.
        clock: For timeouts and turns.
        session_id: For the log.
        options: Limits of the connection.
        tls: What ``startTLS`` takes; None where STARTTLS is not offered.
        released: Called once, when all is over.
    """

    def __init__(
        self,
        conversation: ServerConversation,
        open_session: OpenSession,
        *,
        clock: IReactorTime,
        session_id: str,
        options: ConnectionOptions = IMAP_CONNECTION,
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
        self._imap = conversation

    def patience(self) -> float:
        """Who idles may be silent for as long as the connection lives (RFC 2177)."""
        return _FOREVER if self._imap.idling else self.options.idle_timeout

    def answer_failure(self, error: Exception) -> None:
        """Answer NO: with the error's own words, or that something went wrong here."""
        self._imap.refuse(error if isinstance(error, MailError) else MailError())

    def say_timeout(self) -> None:
        """Say goodbye to a client that was silent for too long."""
        self._imap.bye("Autologout; idle for too long")

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self._imap.bye("The server stops; please come back later", "UNAVAILABLE")


def imap_factory(
    open_session: OpenSession,
    *,
    clock: IReactorTime,
    ids: SessionIds,
    connections: ConnectionLimits,
    limits: Limits | None = None,
    options: ConnectionOptions = IMAP_CONNECTION,
    tls: object | None = None,
    implicit_tls: bool = False,
) -> ConnectionFactory:
    """Make what listens on an IMAP port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        clock: For timeouts and turns.
        ids: Names sessions.
        connections: Counts connections.
        limits: What a client may say.
        options: Limits of a connection.
        tls: What ``startTLS`` takes; needed where STARTTLS is offered.
        implicit_tls: The port begins with TLS: wrap the factory by `net.tls.behind_tls`.
    """

    def build(session_id: str, released: Callable[[], None]) -> IMAPConnection:
        return IMAPConnection(
            ServerConversation(limits=limits),
            open_session,
            clock=clock,
            session_id=session_id,
            options=options,
            tls=tls,
            released=released,
        )

    refusal = b"" if implicit_tls else _REFUSAL
    return ConnectionFactory(build, limits=connections, refusal=refusal, ids=ids)
