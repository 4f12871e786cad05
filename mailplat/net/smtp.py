"""SMTP and LMTP on the wire: one connection, and the port that accepts it."""

from __future__ import annotations

from collections.abc import Callable

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError
from mailplat.model.reply import Reply
from mailplat.net.factory import ConnectionFactory
from mailplat.net.serving import ServerConnection, Wiring, serving
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


class SmtpConnection(ServerConnection[Event, ServerConversation]):
    """One client's connection.  Who is silent for too long is told 421, and left."""

    usual = SMTP_CONNECTION
    too_many = _REFUSAL
    _waited = 0.0  # for the bytes of this message, up to the last that came
    _came = 0  # of them

    def patience(self) -> float:
        """Tell how long the next bytes of a message may take, or the next command.

        What counts against the least rate is the time that we wait for the client, not the time
        that it waits for us.
        """
        if self.conversation.state is not State.BODY:
            return self.options.idle_timeout
        left = self.options.block_timeout
        if self.options.least_rate:
            earned = self.options.rate_grace + self._came / self.options.least_rate
            left = min(left, earned - self._waited)
        return left

    def dataReceived(self, data: bytes) -> None:
        """Hand the client's bytes on; those of a message are counted, with the time they took."""
        if self.conversation.state is State.BODY:
            now = self._clock.seconds()
            self._waited += now - self._since
            self._since = now
            self._came += len(data)
        else:
            self._waited, self._came = 0.0, 0
        super().dataReceived(data)

    def answer_failure(self, error: Exception) -> None:
        """Answer what the error says of itself in public; 451 4.3.0 where we erred."""
        failure = Reply.to_error(error if isinstance(error, MailError) else MailError())
        if self.conversation.asked:
            self.conversation.answer(failure)
        elif self.conversation.state is State.CONNECTED:
            self.conversation.greet(words.BROKEN)
        else:
            self.conversation.goodbye(words.BROKEN)

    def say_timeout(self) -> None:
        """Tell the client that it took too long."""
        self.conversation.goodbye(words.TOO_SLOW)

    def may_leave(self) -> bool:
        """Tell whether no mail is under way: one that is may be brought to its end."""
        return not self.conversation.mid_transaction

    def say_shutdown(self) -> None:
        """Tell the client that the server stops."""
        self.conversation.goodbye(words.LEAVING)


def smtp_factory(
    open_session: OpenSession,
    name: str,
    offers: Offers,
    wiring: Wiring,
    *,
    limits: Limits | None = None,
    dialect: Dialect = Dialect.SMTP,
) -> ConnectionFactory:
    """Make what listens on an SMTP, submission or LMTP port.

    Args:
        open_session: Makes a session for a new conversation and its connection.
        name: The server's host name, for the greeting and EHLO.
        offers: What the port offers.
        wiring: What the port needs of the server; its ``tls`` where ``offers.starttls`` is true.
        limits: What a client may use.
        dialect: SMTP or LMTP.
    """
    bounds = limits or Limits()
    return serving(
        SmtpConnection,
        lambda: ServerConversation(name, offers, bounds, dialect=dialect, tls=wiring.implicit_tls),
        open_session,
        wiring,
    )
