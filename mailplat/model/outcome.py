"""What a delivery agent answers for every recipient (docs: writing a delivery agent)."""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.model.address import Address
from mailplat.model.reply import Reply

__all__ = ["Bounced", "Deferred", "Delivered", "Expanded", "Outcome"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next step has it, durably: this recipient is done with.

    Attributes:
        where: The mailbox or the remote host, for the log and for success reports.
        reply: What a remote host said, if there was one.
        reports: Whether the remote host took over to report success, since it was given what the
            sender asked for (RFC 3461 §5.2.1); else the queue does.
        timed: Whether it took over to deliver in the time that the sender asked for (RFC 2852).
    """

    where: str
    reply: Reply | None = None
    reports: bool = False
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: the queue tries again."""

    reply: Reply
    where: str = ""


@dataclass(frozen=True, slots=True)
class Bounced:
    """Never: the queue reports to the sender."""

    reply: Reply
    where: str = ""


@dataclass(frozen=True, slots=True)
class Expanded:
    """The recipient stands for others; they take its place."""

    recipients: tuple[Address, ...]


Outcome = Delivered | Deferred | Bounced | Expanded
