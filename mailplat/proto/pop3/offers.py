"""What a POP3 port offers and what it allows: values that configuration fills in."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailplat.proto.sasl.exchange import Mechanisms
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS

__all__ = ["Limits", "Offers"]


@dataclass(frozen=True, slots=True)
class Offers:
    """What a port offers.

    Attributes:
        name: The host's name in the greeting.
        stls: Whether STLS is offered, while TLS is not up.
        clear_passwords: Whether a password may come without TLS (RFC 8314 §3 says no).
        mechanisms: For AUTH, in the order they are listed.
        retention: EXPIRE's argument, ``""`` is not announced (RFC 2449 §6.7).
        login_delay: LOGIN-DELAY's argument in seconds, 0 is not announced (RFC 2449 §6.5).
        implementation: IMPLEMENTATION's argument, ``""`` is not announced (RFC 2449 §6.9).
    """

    name: str
    stls: bool = False
    clear_passwords: bool = False
    mechanisms: Mechanisms = field(default_factory=lambda: PASSWORD_MECHANISMS)
    retention: str = "NEVER"
    implementation: str = "mailplat"
    login_delay: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use.

    Attributes:
        line: Octets of a command with its CRLF (RFC 2449 §4 asks for 255; Dovecot: 8192).
        response: Octets of a line inside AUTH, with its CRLF (RFC 4954 §4.1: 12288).
        read_ahead: Octets of commands that wait to be answered.
        errors: Faulty commands until the connection is closed (Dovecot: 20).
        failures: Failed logins until the connection is closed (Dovecot: 3 to 20).
    """

    line: int = 512
    response: int = 12288
    read_ahead: int = 16384
    errors: int = 20
    failures: int = 5
