"""What SMTP sessions are told, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from mailplat.interfaces.agents import RELAY_AGENT
from mailplat.interfaces.bodies import IIntakes
from mailplat.interfaces.filters import IChains
from mailplat.interfaces.hooks import IQueueHooks
from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import ISpool
from mailplat.interfaces.store import IStore
from mailplat.message.scan import ScanLimits
from mailplat.sessions.login import LoginParts
from mailplat.sessions.smtp.mail_rates import MailRates
from mailplat.sessions.smtp.policy import Policy
from mailplat.sessions.smtp.submission import SubmissionOptions

__all__ = ["SmtpOptions", "SmtpParts"]


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """What a listener's sessions do.

    Attributes:
        hostname: The server's name, for trace fields.
        listener: The listener's name, for filters and the log.
        submission: Whether nothing but logging in is possible without an account (RFC 6409).
        policy: What clients may do beside sending mail.
        submissions: What is done to the mail of who logged in.
        lmtp: Whether the dialect is LMTP, with a reply for each recipient.
        max_received: Received fields of a message; more is a loop (RFC 5321 §6.3).
        quarantine: The mailbox for mail that a filter wants there.
        scan: How far a message is taken apart.
    """

    hostname: str
    listener: str = "smtp"
    submission: bool = False
    policy: Policy = field(default_factory=Policy)
    submissions: SubmissionOptions = field(default_factory=SubmissionOptions)
    lmtp: bool = False
    max_received: int = 100
    quarantine: str = "Junk"
    scan: ScanLimits = field(default_factory=ScanLimits)


@dataclass(frozen=True, slots=True)
class SmtpParts:
    """What the sessions of a server share.

    Attributes:
        routes: Where mail leads.
        store: Everybody's mail.
        intakes: Take messages in.
        chains: The listener's filters.
        log_ins: Find out whose credentials these are.
        now: The time, seconds since 1970 UTC.
        new_queue_id: Names messages.
        spool: Takes mail for other servers, or that is held; None where there is none.
        agents: The delivery agents that there are; mail that leads to another is refused at RCPT.
        rates: How much mail each account and each address may send.
        hooks: Told of what goes into the queue; None for nobody.
    """

    routes: IRoutes
    store: IStore
    intakes: IIntakes
    chains: IChains
    log_ins: LoginParts
    now: Callable[[], float]
    new_queue_id: Callable[[], str]
    spool: ISpool | None = None
    agents: Container[str] = frozenset({RELAY_AGENT})
    rates: MailRates = field(default_factory=MailRates)
    hooks: IQueueHooks | None = None
