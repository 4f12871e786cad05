"""POP3 on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.net.factory import ConnectionFactory
from mailplat.net.serving import ServerConnection, Wiring, serving
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.pop3.events import Event
from mailplat.proto.pop3.offers import Limits, Offers
from mailplat.proto.pop3.server import ServerConversation

__all__ = ["POP3_CONNECTION", "Pop3Connection", "pop3_factory"]

POP3_CONNECTION = ConnectionOptions(idle_timeout=600.0, login_timeout=180.0)
"""Ten minutes of silence are the least that may end a session (RFC 1939 §3)."""

_REFUSAL = b"-ERR [SYS/TEMP] Too many connections; please try again later\r\n"

OpenSession = Callable[[ServerConversation, ILink], Session[Event]]


class Pop3Connection(ServerConnection[Event, ServerConversation]):
    """One client's connection.  Silence ends it without a word (RFC 1939 §3)."""

    usual = POP3_CONNECTION
    too_many = _REFUSAL

    def answer_failure(self, error: Exception) -> None:
        """Answer ``-ERR``; where an answer has begun, only the end of the connection is true."""
        if self.conversation.midway:
            self.abort()
        else:
            self.conversation.refuse(error if isinstance(error, MailError) else MailError())

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self.conversation.shut_down()


def pop3_factory(
    open_session: OpenSession, offers: Offers, wiring: Wiring, *, limits: Limits | None = None
) -> ConnectionFactory:
    """Make what listens on a POP3 port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        offers: What the port offers.
        wiring: What the port needs of the server; its ``tls`` where ``offers.stls`` is true.
        limits: What a client may say.
    """
    return serving(
        Pop3Connection,
        lambda: ServerConversation(offers, limits, tls=wiring.implicit_tls),
        open_session,
        wiring,
    )
