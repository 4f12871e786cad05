"""SMTP and LMTP on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.model.reply import Reply
from mailplat.net.connection import Connection
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.smtp import words
from mailplat.proto.smtp.commands import Event
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.proto.smtp.server import ServerConversation
from mailplat.proto.smtp.states import State

__all__ = ["SMTP_CONNECTION", "SmtpConnection", "smtp_factory"]

SMTP_CONNECTION = ConnectionOptions(idle_timeout=300.0)
"""Five minutes for a command or the next bytes of a message (RFC 5321 §4.5.3.2.7)."""

_REFUSAL = b"421 4.7.0 Too many connections; please try again later\r\n"

OpenSession = Callable[[ServerConversation, ILink], Session[Event]]


class SmtpConnection(Connection[Event]):
    """One client's connection.  Who is silent for too long is told 421, and left.

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
        options: ConnectionOptions = SMTP_CONNECTION,
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
        self._smtp = conversation

    def answer_failure(self, error: Exception) -> None:
        """Answer what the error says of itself in public; 451 4.3.0 where we erred."""
        failure = Reply.to_error(error if isinstance(error, MailError) else MailError())
        if self._smtp.asked:
            self._smtp.answer(failure)
        elif self._smtp.state is State.CONNECTED:
            self._smtp.greet(words.BROKEN)
        else:
            self._smtp.goodbye(words.BROKEN)

    def say_timeout(self) -> None:
        """Tell the client that it took too long."""
        self._smtp.goodbye(words.TOO_SLOW)

    def may_leave(self) -> bool:
        """Tell whether no mail is under way: one that is may be brought to its end."""
        return not self._smtp.mid_transaction

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self._smtp.goodbye(words.LEAVING)


def smtp_factory(
    open_session: OpenSession,
    name: str,
    offers: Offers,
    *,
    clock: IReactorTime,
    ids: SessionIds,
    connections: ConnectionLimits,
    limits: Limits | None = None,
    options: ConnectionOptions = SMTP_CONNECTION,
    dialect: Dialect = Dialect.SMTP,
    tls: object | None = None,
    implicit_tls: bool = False,
) -> ConnectionFactory:
    """Make what listens on an SMTP, submission or LMTP port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        name: The server's host name, for the greeting and EHLO.
        offers: What the port offers.
        clock: For timeouts and turns.
        ids: Names sessions.
        connections: Counts connections.
        limits: What a client may use.
        options: Limits of a connection.
        dialect: SMTP or LMTP.
        tls: What ``startTLS`` takes; needed where ``offers.starttls`` is true.
        implicit_tls: The port begins with TLS: wrap the factory by `net.tls.behind_tls`.
    """
    bounds = limits or Limits()

    def build(session_id: str, released: Callable[[], None]) -> SmtpConnection:
        return SmtpConnection(
            ServerConversation(name, offers, bounds, dialect=dialect, tls=implicit_tls),
            open_session,
            clock=clock,
            session_id=session_id,
            options=options,
            tls=tls,
            released=released,
        )

    refusal = b"" if implicit_tls else _REFUSAL
    return ConnectionFactory(build, limits=connections, refusal=refusal, ids=ids)
