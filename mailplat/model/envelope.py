"""The envelope: who sends, to whom, and with which parameters (RFC 5321 §2.3.1, RFC 3461).

What a sender asks of time is kept as it was asked, and counted from the mail's arrival, so that
neither the dialogue nor the spool's records need a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailplat.model.address import Address

__all__ = ["BodyType", "ByMode", "DeliverBy", "Envelope", "Notify", "Recipient", "Return", "Sender"]

_MOST_SECONDS = 999_999_999
"""Nine digits are the most that BY takes (RFC 2852 §4)."""


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


class ByMode(StrEnum):
    """What becomes of a mail that is not delivered in time (RFC 2852 §4)."""

    NOTIFY = "N"
    RETURN = "R"


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """MAIL's BY parameter (RFC 2852 §4).

    Attributes:
        seconds: How long delivery may take, from the mail's arrival (or release) on; what is in
            an `Attempt` counts from the attempt on.  Negative where it is late already.
        mode: What happens then.
        trace: Whether each relay reports that it handed the mail on.
    """

    seconds: int
    mode: ByMode
    trace: bool = False


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
        deliver_by: When delivery is of no more use; None if that was not said (RFC 2852).
        hold_for: Seconds that the mail is kept back (RFC 4865 §4).
        hold_until: The time until which it is, seconds since 1970 UTC; None if not said.
        priority: From -9 to 9; higher goes first (RFC 6710 §5).
    """

    address: Address | None
    size: int | None = None
    body: BodyType = BodyType.SEVEN_BIT
    smtputf8: bool = False
    returned: Return | None = None
    envid: str = ""
    require_tls: bool = False
    auth: str | None = None
    deliver_by: DeliverBy | None = None
    hold_for: int = 0
    hold_until: int | None = None
    priority: int = 0

    def released(self, arrived: int) -> int:
        """Tell when a mail may go on that arrived at a time, seconds since 1970 (RFC 4865 §4)."""
        return max(arrived + self.hold_for, self.hold_until or 0)

    def wanted_by(self, arrived: int) -> int | None:
        """Tell by when it is to be delivered, seconds since 1970; None for no such time.

        Where it was late when it came, its sender knows, and nothing is to be said again.
        """
        by = self.deliver_by
        if by is None or (by.mode is ByMode.NOTIFY and by.seconds <= 0):
            return None
        return self.released(arrived) + by.seconds

    def onward(self, arrived: int, now: int) -> Sender:
        """Give what is asked of the next step at a time: what is left of the time for delivery."""
        by = self.deliver_by
        if by is None and not self.hold_for and self.hold_until is None:
            return self
        if by is not None:
            left = self.released(arrived) + by.seconds - now
            by = replace(by, seconds=max(-_MOST_SECONDS, min(left, _MOST_SECONDS)))
        return replace(self, deliver_by=by, hold_for=0, hold_until=None)


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
