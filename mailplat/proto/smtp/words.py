"""What the server says where nobody has better words: its fixed replies.

Each names the enhanced status code of RFC 3463 (and RFC 4954 §6 for those about AUTH).
"""

from __future__ import annotations

from mailplat.model.errors import AuthenticationFailed
from mailplat.model.reply import Reply
from mailplat.proto.sasl import exchange as sasl
from mailplat.proto.smtp.commands import (
    Data,
    Event,
    Expand,
    Login,
    Mail,
    Rcpt,
    StartTLS,
    Verify,
)
from mailplat.proto.smtp.states import State

__all__ = [
    "AUTH_ALREADY",
    "AUTH_FAILED",
    "AUTH_NEEDS_TLS",
    "BAD_LINE",
    "BARE_FEED",
    "BINARY_DATA",
    "BROKEN",
    "BYE",
    "CHUNK_OK",
    "EXCHANGE_FAILED",
    "GO_AHEAD",
    "LAST_WORDS",
    "LEAVING",
    "LOGGED_IN",
    "LONG_LINE",
    "LONG_RESPONSE",
    "LOST_COUNT",
    "NOT_OFFERED",
    "NOT_SMTP",
    "NO_ARGUMENT",
    "NO_CHUNKING",
    "NO_EXPN",
    "NO_MECHANISM",
    "NO_NAME",
    "NO_RECIPIENTS",
    "OK",
    "PERHAPS",
    "RECIPIENT_OK",
    "SENDER_OK",
    "START_TLS",
    "TLS_ALREADY",
    "TOO_IDLE",
    "TOO_MANY_DOMAINS",
    "TOO_MANY_ERRORS",
    "TOO_MANY_LOGINS",
    "TOO_MANY_MESSAGES",
    "TOO_MANY_RECIPIENTS",
    "TOO_SLOW",
    "UNKNOWN",
    "acceptance",
    "out_of_order",
]

OK = Reply.of(250, "Ok", "2.0.0")
SENDER_OK = Reply.of(250, "Sender ok", "2.1.0")
RECIPIENT_OK = Reply.of(250, "Recipient ok", "2.1.5")
GO_AHEAD = Reply.of(354, "End the message with <CRLF>.<CRLF>")
START_TLS = Reply.of(220, "Ready to start TLS", "2.0.0")
LOGGED_IN = Reply.of(235, "Authentication successful", "2.7.0")
PERHAPS = Reply.of(252, "Cannot tell, but will take mail for a user who is here", "2.5.0")
BYE = Reply.of(221, "Bye", "2.0.0")
LONG_LINE = Reply.of(500, "Line too long", "5.5.2")
LONG_RESPONSE = Reply.of(500, "Authentication exchange line is too long", "5.5.6")
BARE_FEED = Reply.of(500, "Lines end with CRLF, not LF; closing connection", "5.5.2")
BAD_LINE = Reply.of(500, "Line has a control character", "5.5.2")
NOT_SMTP = Reply.of(500, "This is a mail server; closing connection", "5.5.1")
UNKNOWN = Reply.of(500, "Command not recognised", "5.5.1")
NOT_OFFERED = Reply.of(502, "Command not offered", "5.5.1")
NO_ARGUMENT = Reply.of(501, "Command takes no argument", "5.5.4")
TLS_ALREADY = Reply.of(503, "TLS is active already", "5.5.1")
AUTH_ALREADY = Reply.of(503, "Already authenticated", "5.5.1")
AUTH_NEEDS_TLS = Reply.of(538, "Encryption required for authentication", "5.7.11")
NO_MECHANISM = Reply.of(504, "Authentication mechanism not offered", "5.5.4")
AUTH_FAILED = Reply.to_error(AuthenticationFailed())
NO_RECIPIENTS = Reply.of(554, "No valid recipients", "5.5.1")
TOO_MANY_RECIPIENTS = Reply.of(452, "Too many recipients", "4.5.3")
TOO_MANY_DOMAINS = Reply.of(452, "Too many domains of recipients", "4.5.3")
BINARY_DATA = Reply.of(503, "BODY=BINARYMIME needs BDAT", "5.5.1")
LOST_COUNT = Reply.of(501, "Chunk size cannot be read; closing connection", "5.5.4")
NO_NAME = Reply.of(501, "Whom?", "5.5.4")
NO_EXPN = Reply.of(502, "EXPN is not provided here", "5.5.1")
CHUNK_OK = Reply.of(250, "Chunk received", "2.0.0")
NO_CHUNKING = Reply.of(502, "Command not offered; closing connection", "5.5.1")
TOO_MANY_ERRORS = Reply.of(421, "Too many errors; closing connection", "4.7.0")
TOO_MANY_LOGINS = Reply.of(421, "Too many failed log-ins; closing connection", "4.7.0")
TOO_MANY_MESSAGES = Reply.of(421, "Enough messages; connect again for more", "4.7.0")
TOO_IDLE = Reply.of(421, "Too many commands without mail; closing connection", "4.7.0")
TOO_SLOW = Reply.of(421, "Waited too long; closing connection", "4.4.2")
BROKEN = Reply.of(421, "Something went wrong here; please try again later", "4.3.0")
LEAVING = Reply.of(421, "Service shutting down; closing connection", "4.3.2")
LAST_WORDS = frozenset((BYE, BARE_FEED, NOT_SMTP, LOST_COUNT, NO_CHUNKING))
"""Behind these the connection ends, as behind every 421 (RFC 5321 §3.8)."""
EXCHANGE_FAILED = {
    sasl.Failure.CANCELLED: Reply.of(501, "Authentication cancelled", "5.7.0"),
    sasl.Failure.MALFORMED: Reply.of(501, "Authentication response cannot be read", "5.5.2"),
    sasl.Failure.TOO_LONG: LONG_RESPONSE,
    sasl.Failure.REFUSED: AUTH_FAILED,
}
"""What an exchange that came to nothing is answered (RFC 4954 §4)."""


_ACCEPTANCE: dict[type[Event], Reply] = {
    StartTLS: START_TLS,
    Login: LOGGED_IN,
    Mail: SENDER_OK,
    Rcpt: RECIPIENT_OK,
    Data: GO_AHEAD,
    Verify: PERHAPS,
    Expand: NO_EXPN,
}


def acceptance(event: Event | None) -> Reply:
    """Say yes to an event, as usual."""
    return OK if event is None else _ACCEPTANCE.get(type(event), OK)


def out_of_order(verb: str, state: State, *, lmtp: bool = False) -> Reply:
    """Tell that a command came out of order, and what was awaited (RFC 5321 §4.1.4).

    LMTP asks for 503 also where nobody is to get the message (RFC 2033 §4.2).
    """
    if verb in ("DATA", "BDAT") and state is State.SENDER and not lmtp:
        return NO_RECIPIENTS
    return Reply.of(503, f"Bad sequence of commands: awaiting {state.value}", "5.5.1")
