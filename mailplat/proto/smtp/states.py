"""The states of an SMTP server, and which command leads from where to where (RFC 5321 §4.1.4).

The table is read by the conversation, by its tests and by drawings.  What is not in it is out of
order, and answered with ``503``.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["MID_TRANSACTION", "TRANSITIONS", "State"]


class State(Enum):
    """What the server waits for."""

    CONNECTED = "our own greeting"
    REFUSED = "QUIT, after the client was turned away"
    START = "EHLO"
    READY = "MAIL"
    SENDER = "RCPT"
    RECIPIENTS = "RCPT or DATA"
    CHUNKS = "the next BDAT"
    SPENT = "RSET, after a failed BDAT"
    EXCHANGE = "a SASL response"
    BODY = "the bytes of the message"
    TLS = "the TLS handshake"
    CLOSED = "nothing more"


def _transitions() -> dict[tuple[State, str], State]:
    rows: dict[tuple[State, str], State] = {
        (State.REFUSED, "QUIT"): State.CLOSED,
        (State.START, "STARTTLS"): State.TLS,
        (State.READY, "STARTTLS"): State.TLS,
        (State.READY, "AUTH"): State.READY,
        (State.START, "XCLIENT"): State.START,
        (State.READY, "XCLIENT"): State.START,
        (State.READY, "MAIL"): State.SENDER,
        (State.SENDER, "RCPT"): State.RECIPIENTS,
        (State.RECIPIENTS, "RCPT"): State.RECIPIENTS,
        (State.RECIPIENTS, "DATA"): State.BODY,
        (State.RECIPIENTS, "BDAT"): State.BODY,
        (State.CHUNKS, "BDAT"): State.BODY,
    }
    for state in (
        State.START,
        State.READY,
        State.SENDER,
        State.RECIPIENTS,
        State.CHUNKS,
        State.SPENT,
    ):
        rows |= {
            (state, "EHLO"): State.READY,  # ends a transaction (RFC 5321 §4.1.4)
            (state, "HELO"): State.READY,
            (state, "LHLO"): State.READY,
            (state, "RSET"): State.START if state is State.START else State.READY,
            (state, "NOOP"): state,
            (state, "HELP"): state,
            (state, "VRFY"): state,
            (state, "EXPN"): state,
            (state, "QUIT"): State.CLOSED,
        }
    return rows


TRANSITIONS = _transitions()
"""State and command -> the state that acceptance leads to; no row is ``503`` (RFC 5321 §4.1.4)."""

MID_TRANSACTION = frozenset((State.SENDER, State.RECIPIENTS, State.CHUNKS, State.BODY))
"""The states in which a mail is under way (RFC 5321 §4.1.4)."""
