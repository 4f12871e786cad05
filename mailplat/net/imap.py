"""IMAP on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.net.factory import ConnectionFactory
from mailplat.net.serving import ServerConnection, Wiring, serving
from mailplat.net.session import ConnectionOptions, Session
from mailplat.proto.imap.commands.event import Event
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.grammar import GRAMMAR
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.syntax import Grammar

__all__ = ["IMAP_CONNECTION", "IMAPConnection", "imap_factory"]

IMAP_CONNECTION = ConnectionOptions(idle_timeout=1800.0, login_timeout=180.0)
"""Half an hour of silence are the least that may end a session (RFC 9051 §5.4)."""

_REFUSAL = b"* BYE [LIMIT] Too many connections; please try again later\r\n"

_FOREVER = 10 * 365 * 86400.0
"""Seconds; nobody who idles is silent by mistake."""

OpenSession = Callable[[ServerConversation, ILink], Session[Event]]


class IMAPConnection(ServerConnection[Event, ServerConversation]):
    """One client's connection."""

    usual = IMAP_CONNECTION
    too_many = _REFUSAL

    def patience(self) -> float:
        """Who idles may be silent for as long as the connection lives (RFC 2177)."""
        return _FOREVER if self.conversation.idling else self.options.idle_timeout

    def answer_failure(self, error: Exception) -> None:
        """Answer NO: with the error's own words, or that something went wrong here."""
        self.conversation.refuse(error if isinstance(error, MailError) else MailError())

    def say_timeout(self) -> None:
        """Say goodbye to a client that was silent for too long."""
        self.conversation.bye("Autologout; idle for too long")

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self.conversation.bye("The server stops; please come back later", "UNAVAILABLE")


def imap_factory(
    open_session: OpenSession,
    wiring: Wiring,
    *,
    limits: Limits | None = None,
    grammar: Grammar = GRAMMAR,
) -> ConnectionFactory:
    """Make what listens on an IMAP port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        wiring: What the port needs of the server.
        limits: What a client may say, and how much of it.
        grammar: What a client can say.
    """
    return serving(
        IMAPConnection,
        lambda: ServerConversation(grammar=grammar, limits=limits),
        open_session,
        wiring,
    )
