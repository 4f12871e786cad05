"""What a POP3 client asks of the session: the events of `proto.pop3.server`, as frozen values.

What the conversation can answer by itself (STAT, LIST of one message, DELE, NOOP, CAPA...), and
what the client did wrong, never gets this far.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.model.credentials import Credentials

__all__ = ["Event", "Listing", "Login", "Quit", "Retrieve", "StartTLS", "Top"]


@dataclass(frozen=True, slots=True)
class StartTLS:
    """STLS: accepted, everything the client said so far is forgotten (RFC 2595 §4)."""


@dataclass(frozen=True, slots=True)
class Login:
    """USER and PASS, or AUTH, came to their end: find out what these credentials are worth.

    Attributes:
        mechanism: ``USER``, or the SASL mechanism's name.
        credentials: What the client presented.
    """

    mechanism: str
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Listing:
    """LIST or UIDL of all messages.

    Attributes:
        names: Unique names, not sizes.
    """

    names: bool


@dataclass(frozen=True, slots=True)
class Retrieve:
    """RETR of a message that is there."""

    number: int


@dataclass(frozen=True, slots=True)
class Top:
    """TOP of a message that is there: its header and the first lines of its body."""

    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT after a login: remove what is marked, for good (RFC 1939 §6)."""


Event = StartTLS | Login | Listing | Retrieve | Top | Quit
"""Any of the values above."""
