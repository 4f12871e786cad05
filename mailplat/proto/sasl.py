"""SASL exchanges, the server's side (RFC 4422): PLAIN (RFC 4616) and LOGIN (draft-murchison).

An exchange is one try to log in.  It decides nothing: it ends with the credentials that the
client presented, and the session asks the accounts what they are worth.  SMTP, IMAP and POP3 put
the same exchanges on lines of base64; `begin` and `respond` read such lines for all of them.

Invariants:

- Bytes in, a step out: no exchange knows a connection, a clock or an account.
- Every step is bounded: a response above `MAX_RESPONSE` bytes fails the exchange.
- After `Failed` or credentials an exchange is spent, and is thrown away.
- No text here quotes what the client sent: it may be a password.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mailplat.model.credentials import Credentials, PasswordCredentials

__all__ = [
    "MAX_RESPONSE",
    "PASSWORD_MECHANISMS",
    "Challenge",
    "Exchange",
    "Failed",
    "Failure",
    "LoginExchange",
    "Mechanisms",
    "PlainExchange",
    "Step",
    "begin",
    "respond",
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


class Exchange(Protocol):
    """One try to log in, by one mechanism."""

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the client's initial response if it sent one (RFC 4422 §3.3)."""

    def receive(self, response: bytes) -> Step:
        """Take the client's answer to the last challenge."""


Mechanisms = Mapping[str, Callable[[], Exchange]]
"""Mechanism names in capitals, in the order they are offered, and what starts an exchange.

What a mechanism needs to know of its connection or its server (a certificate's name, a channel
binding, a source of nonces) is bound into the callable by whoever makes the mapping.
"""


class PlainExchange:
    """PLAIN: ``[authzid] NUL authcid NUL passwd`` in one message (RFC 4616 §2)."""

    def start(self, initial: bytes | None) -> Step:
        """Read the initial response, or ask for it by an empty challenge."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the one message there is."""
        fields = response.split(b"\0")
        if len(fields) != 3:
            return Failed(Failure.MALFORMED)
        authzid, authcid, password = map(_text, fields)
        if authzid is None or authcid is None or password is None:
            return Failed(Failure.MALFORMED)
        if not authcid or not password:  # never verifies (RFC 4616 §2)
            return Failed(Failure.REFUSED)
        return PasswordCredentials(authcid, password, authzid)


class LoginExchange:
    """LOGIN: the name, then the password (draft-murchison-sasl-login §2.2)."""

    def __init__(self) -> None:
        self._name = ""

    def start(self, initial: bytes | None) -> Step:
        """Ask for the name; a client that sent it already is asked for the password."""
        return Challenge(b"Username:") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the name first, then the password."""
        text = _text(response)
        if text is None or "\0" in text:
            return Failed(Failure.MALFORMED)
        if not text:
            return Failed(Failure.REFUSED)
        if not self._name:
            self._name = text
            return Challenge(b"Password:")
        return PasswordCredentials(self._name, text)


PASSWORD_MECHANISMS: Mechanisms = {"PLAIN": PlainExchange, "LOGIN": LoginExchange}
"""The mechanisms that show the server a password: for TLS only, unless configured otherwise."""


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


def _decode(line: bytes) -> bytes | Failed:
    if len(line) > (MAX_RESPONSE + 2) // 3 * 4:
        return Failed(Failure.TOO_LONG)
    if len(line) % 4:  # binascii overlooks padding behind a full last group
        return Failed(Failure.MALFORMED)
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        return Failed(Failure.MALFORMED)


def _text(field: bytes) -> str | None:
    """Read one field; None if it is too long or no UTF-8."""
    if len(field) > MAX_FIELD:
        return None
    try:
        return field.decode()
    except UnicodeDecodeError:
        return None
