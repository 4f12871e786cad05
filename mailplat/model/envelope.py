"""The envelope: who sends, to whom, and with which parameters (RFC 5321 §2.3.1, RFC 3461)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mailplat.model.address import Address

__all__ = ["BodyType", "Envelope", "Notify", "Recipient", "Return", "Sender"]


class BodyType(StrEnum):
    """What MAIL's BODY parameter says (RFC 6152 §3, RFC 3030 §3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Notify(StrEnum):
    """When a recipient's fate is reported (RFC 3461 §4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class Return(StrEnum):
    """What a failure report brings back (RFC 3461 §4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


@dataclass(frozen=True, slots=True)
class Sender:
    """The reverse path with its parameters.

    Attributes:
        address: None is the null sender ``<>``, to whom nothing is ever reported.
        size: What the client declared, in bytes; None if it did not (RFC 1870 §4).
        body: What the client declared (RFC 6152).
        smtputf8: Whether addresses or headers may be beyond ASCII (RFC 6531 §3.4).
        returned: What a report brings back; None leaves it to us (RFC 3461 §4.3).
        envid: The sender's identifier, decoded from xtext; ``""`` if none (RFC 3461 §4.4).
        require_tls: REQUIRETLS was given (RFC 8689 §2).
        auth: MAIL's AUTH parameter, decoded; None if not given (RFC 4954 §5).
    """

    address: Address | None
    size: int | None = None
    body: BodyType = BodyType.SEVEN_BIT
    smtputf8: bool = False
    returned: Return | None = None
    envid: str = ""
    require_tls: bool = False
    auth: str | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A forward path with its parameters.

    Attributes:
        address: Where the mail goes.
        notify: When to report; empty leaves it to us (RFC 3461 §4.1).
        original: ORCPT as ``type;address``, decoded; ``""`` if none (RFC 3461 §4.2).
    """

    address: Address
    notify: frozenset[Notify] = field(default_factory=frozenset)
    original: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail's envelope: a sender and at least one recipient."""

    sender: Sender
    recipients: tuple[Recipient, ...]
