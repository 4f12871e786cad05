"""What all SASL exchanges of the server have in common, and how lines of base64 carry them.

An exchange is one try to log in (RFC 4422).  It decides nothing that needs knowledge of accounts:
it ends with what the client presented, and the session finds out what that is worth.  Some
mechanisms ask in between (SCRAM wants the account's keys, OAUTHBEARER hears that a token was
refused): then the session's answer goes back in by `go_on`.  SMTP, IMAP and POP3 put the same
exchanges on lines of base64; `begin` and `respond` read such lines for all of them.

Invariants:

- Bytes in, a step out: no exchange knows a connection, a clock or an account.
- Every step is bounded: a response above `MAX_RESPONSE` bytes fails the exchange.
- After `Failed`, or credentials that are not `ScramRequest` or `TokenCredentials`, an exchange is
  spent, and is thrown away.
- No text here quotes what the client sent: it may be a password.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from mailplat.model.credentials import Credentials, Denied, ScramKeys

__all__ = [
    "MAX_FIELD",
    "MAX_RESPONSE",
    "Answer",
    "AskingExchange",
    "Challenge",
    "Exchange",
    "Failed",
    "Failure",
    "Mechanisms",
    "Step",
    "begin",
    "go_on",
    "respond",
    "text_of",
]

MAX_RESPONSE = 9216
"""Bytes of one decoded response: as base64 they fit a line of 12288 (RFC 4954 §3)."""

MAX_FIELD = 1024
"""Bytes of a name or a password; RFC 4616 §2 asks for no less than 255."""


class Failure(Enum):
    """Why an exchange came to nothing; each protocol has its own words for it."""

    CANCELLED = "the client gave up"
    MALFORMED = "a response could not be read"
    TOO_LONG = "a response was too long"
    REFUSED = "what was presented can never be right"


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's next message; the client's answer goes to the same exchange."""

    data: bytes

    @property
    def line(self) -> bytes:
        """The challenge as it stands on a line: base64, without a line end."""
        return b64encode(self.data)


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange is over, and nobody was named."""

    failure: Failure


Step = Challenge | Credentials | Failed

Answer = ScramKeys | Denied
"""What a session tells an exchange that asked, where a yes or a no of the protocol is not all."""


class Exchange(Protocol):
    """One try to log in, by one mechanism."""

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the client's initial response if it sent one (RFC 4422 §3.3)."""

    def receive(self, response: bytes) -> Step:
        """Take the client's answer to the last challenge."""


@runtime_checkable
class AskingExchange(Exchange, Protocol):
    """An exchange whose credentials may have an answer."""

    def answer(self, answer: Answer) -> Step:
        """Take what the session found out."""


Mechanisms = Mapping[str, Callable[[], Exchange]]
"""Mechanism names in capitals, in the order they are offered, and what starts an exchange.

What a mechanism needs to know of its connection or its server (a certificate, a channel binding,
a nonce) is bound into the callable by whoever makes the mapping.
"""


def begin(exchange: Exchange, initial: bytes | None) -> Step:
    """Start an exchange with what stood behind the mechanism's name.

    Args:
        exchange: A new one.
        initial: The base64 text, ``=`` for an empty response (RFC 4954 §4, RFC 9051 §6.2.2),
            or None if nothing stood there.
    """
    if initial is None:
        return exchange.start(None)
    if initial == b"=":
        return exchange.start(b"")
    data = _decode(initial)
    return data if isinstance(data, Failed) else exchange.start(data)


def respond(exchange: Exchange, line: bytes) -> Step:
    """Give an exchange the client's next line, without its line end; ``*`` cancels."""
    if line == b"*":
        return Failed(Failure.CANCELLED)
    data = _decode(line)
    return data if isinstance(data, Failed) else exchange.receive(data)


def go_on(exchange: Exchange, answer: Answer) -> Step:
    """Give an exchange the session's answer to what it asked.

    Raises:
        RuntimeError: It never asks: the session erred.
    """
    if not isinstance(exchange, AskingExchange):
        raise RuntimeError("an answer to an exchange that did not ask")
    return exchange.answer(answer)


def _decode(line: bytes) -> bytes | Failed:
    if len(line) > (MAX_RESPONSE + 2) // 3 * 4:
        return Failed(Failure.TOO_LONG)
    if len(line) % 4:  # binascii overlooks padding behind a full last group
        return Failed(Failure.MALFORMED)
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        return Failed(Failure.MALFORMED)


def text_of(field: bytes) -> str | None:
    """Read one field; None if it is too long or no UTF-8."""
    if len(field) > MAX_FIELD:
        return None
    try:
        return field.decode()
    except UnicodeDecodeError:
        return None
