"""Commands about the connection: what both sides can do, log-in, TLS, IDLE (RFC 9051 §6.1, §6.2).

They need no mailbox, and say nothing of messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mailplat.proto.imap.commands.event import Command, Event

__all__ = [
    "Authenticate",
    "AuthenticateResponse",
    "Capability",
    "Compress",
    "Done",
    "Enable",
    "Id",
    "Idle",
    "Login",
    "Logout",
    "Noop",
    "StartTLS",
]


@dataclass(frozen=True, slots=True)
class Capability(Command):
    """What can the server do? (RFC 9051 §6.1.1)."""


@dataclass(frozen=True, slots=True)
class Noop(Command):
    """Is there anything new? (RFC 9051 §6.1.2)."""


@dataclass(frozen=True, slots=True)
class Logout(Command):
    """End the connection (RFC 9051 §6.1.3); an OK is preceded by BYE and followed by the end."""

    tells_itself: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Id(Command):
    """Who are you? (RFC 2971).

    Attributes:
        fields: What the client says of itself, in order; ``()`` for NIL.
    """

    fields: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class StartTLS(Command):
    """Begin TLS (RFC 9051 §6.2.1): answer OK and the conversation waits for ``tls_started``."""


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """Log in by SASL (RFC 9051 §6.2.2): answer, or `challenge` until it can be answered.

    Attributes:
        mechanism: In capitals.
        initial: The initial response as it was sent, in base64 (``=`` if empty), or None:
            what `proto.sasl.begin` takes.
    """

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthenticateResponse(Event):
    """The line after a `challenge`; comes while `Authenticate` waits for its answer.

    Attributes:
        line: As it was sent, without CRLF, ``*`` to cancel: what `proto.sasl.respond` takes.
    """

    line: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login(Command):
    """Log in by name and password (RFC 9051 §6.2.3)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enable(Command):
    """Turn extensions on (RFC 5161).

    Attributes:
        capabilities: In capitals, without repetition, in the order asked.
    """

    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Idle(Command):
    """Tell what happens as it happens (RFC 2177): `accept`, then `send`; or answer NO."""


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The end of IDLE; waits for the answer to the `Idle`."""


@dataclass(frozen=True, slots=True)
class Compress(Command):
    """Compress both ways (RFC 4978): answer OK, and the conversation does it from there on.

    Attributes:
        mechanism: In capitals; DEFLATE is the only one there is.
    """

    mechanism: str
