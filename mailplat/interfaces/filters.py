"""What mailplat asks of a filter: a word on each stage of a mail's way.

A filter implements `IFilter`; for every connection its `open` gives an object that has a method
for each stage that it wants to see, and no others: an instance of `Stages` with some of its
methods overridden.  Time limits, exceptions, and what several verdicts mean together are the
chain's business (`mailplat.filters.chain`), never a filter's.

Stages come in two kinds.  Those of a session are asked on the way in, and their verdicts decide.
Those of the queue (`QUEUE_STAGES`) follow when the mail is already accepted, maybe in another run
of the server: an object is opened for each question, which gets a `QueuedMail` in place of a
context, and nothing that it answers can lose the mail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from zope.interface import Attribute, Interface

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.hooks import Denial, QueuedMail
from mailplat.model.account import Account
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.model.peer import Peer
from mailplat.model.verdict import CONTINUE, Change, Verdict

__all__ = [
    "QUEUE_STAGES",
    "Context",
    "IChain",
    "IChains",
    "IFilter",
    "IStages",
    "Mail",
    "Stage",
    "Stages",
]


class Stage(StrEnum):
    """The points at which filters are asked, in the order they come."""

    CONNECT = "connect"
    HELLO = "hello"
    AUTH = "auth"
    SENDER = "sender"
    RECIPIENT = "recipient"
    HEADERS = "headers"
    MESSAGE = "message"
    RECIPIENT_OF_MESSAGE = "recipient_of_message"
    DENY = "deny"
    DISCONNECT = "disconnect"
    QUEUED = "queued"
    ROUTE = "route"
    ATTEMPT = "attempt"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"


QUEUE_STAGES = frozenset(
    {Stage.QUEUED, Stage.ROUTE, Stage.ATTEMPT, Stage.DELIVERED, Stage.DEFERRED, Stage.BOUNCED}
)
"""Those of mail that was accepted."""


@dataclass(slots=True)
class Context:
    """What is known about a connection so far; filters read it, sessions write it.

    Attributes:
        session_id: For log lines.
        listener: The listener's name in the configuration.
        peer: The other end.
        helo: What EHLO or HELO said; ``""`` before.
        account: Who logged in, if anyone did.
        mechanism: How they proved it: the name of a SASL mechanism; ``""`` where nobody knows.
        sender: The running transaction's sender.
        recipients: The running transaction's accepted recipients.
        tags: Words that filters noted about the transaction.
        scores: Points that filters gave the transaction.
        memory: For a filter's own notes, by the filter's name.
        protocol: What is spoken: ``smtp`` (submission too) or ``lmtp``.
        spoke_early: Tells whether the client sent something before it was greeted (RFC 5321
            §4.3.1); None where it was greeted already, or that cannot be known.
    """

    session_id: str
    listener: str
    peer: Peer
    helo: str = ""
    account: Account | None = None
    mechanism: str = ""
    sender: Sender | None = None
    recipients: list[Recipient] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    scores: dict[str, float] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    protocol: str = "smtp"
    spoke_early: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A complete message, before it is accepted.

    Attributes:
        queue_id: For log lines and replies.
        envelope: As accepted so far.
        header: The header with the empty line behind it, byte for byte, trace fields of
            this server included.
        body: All of the message's bytes, header included.
        changes: What filters asked before already wish changed in header and body; it is done
            once all filters were asked.
        front: Bytes at the header's beginning that are for mailboxes' copies alone, and that
            no filter changes.
        trace: Bytes at the header's beginning that this server put there, those included.
    """

    queue_id: str
    envelope: Envelope
    header: bytes
    body: IBody
    changes: tuple[Change, ...] = ()
    front: int = 0
    trace: int = 0


class IStages(Interface):
    """A filter's methods for one connection; each answers one `Verdict`, or awaits one."""

    def connect(context: Context) -> Verdict | Awaitable[Verdict]:
        """A client connected; a refusal is said in place of the greeting."""

    def hello(context: Context, name: str) -> Verdict | Awaitable[Verdict]:
        """The client said EHLO, HELO or LHLO, with this name; the context has the one before."""

    def auth(context: Context, account: Account) -> Verdict | Awaitable[Verdict]:
        """Someone proved who they are; a refusal refuses the log-in."""

    def sender(context: Context, sender: Sender) -> Verdict | Awaitable[Verdict]:
        """MAIL begins a mail; a refusal refuses the sender."""

    def recipient(context: Context, recipient: Recipient) -> Verdict | Awaitable[Verdict]:
        """RCPT, after routing took it; concerns this recipient alone."""

    def headers(context: Context, header: bytes) -> Verdict | Awaitable[Verdict]:
        """The header is complete, the body is still coming; a refusal is said at the end."""

    def message(context: Context, mail: Mail) -> Verdict | Awaitable[Verdict]:
        """The message is complete: the last word on all of it before it is accepted."""

    def recipient_of_message(
        context: Context, mail: Mail, recipient: Recipient
    ) -> Verdict | Awaitable[Verdict]:
        """The message is complete, and was not refused: a word on each recipient's copy.

        Discard drops this copy and quarantine puts it aside.  Reject and defer are said of this
        recipient alone in LMTP (RFC 2033 §4.2); SMTP has one reply for all: defer defers the mail,
        and reject refuses it if all recipients' copies are rejected, else it is as quarantine.
        Hold keeps the whole mail back.  Header and body are the same for all, and stay.
        """

    def deny(context: Context, denial: Denial) -> Awaitable[None] | None:
        """The client was refused something, by whomever; nobody waits for the answer."""

    def disconnect(context: Context) -> Awaitable[None] | None:
        """The connection ended; always comes last, exactly once after `connect`."""

    def queued(mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """The mail is in the queue; of the verdict only tags count."""

    def route(mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """Recipients were given to an agent; of the verdict only tags count."""

    def attempt(mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """An agent is about to try: continue, defer, or hold; anything else is as hold."""

    def delivered(
        mail: QueuedMail, outcomes: Mapping[Recipient, Delivered]
    ) -> Verdict | Awaitable[Verdict]:
        """These recipients are done with; of the verdict only tags count."""

    def deferred(
        mail: QueuedMail, outcomes: Mapping[Recipient, Deferred]
    ) -> Verdict | Awaitable[Verdict]:
        """These recipients are tried again later; of the verdict only tags count."""

    def bounced(
        mail: QueuedMail, outcomes: Mapping[Recipient, Bounced]
    ) -> Verdict | Awaitable[Verdict]:
        """These recipients are given up, and the sender told; of the verdict only tags count."""


class IFilter(Interface):
    """A filter as configured; lives as long as the configuration.

    It may have two more attributes, which are False where they are missing:

    - ``reads_only``: what it answers does not depend on what filters before it want changed.
      Neighbours of a stage that only read are asked at once; what they answer (changes too) is
      taken in the order of the configuration all the same.
    - ``blocking``: its stages' methods may block.  They are called in a thread of a bounded pool,
      never two of one connection at once; one that does not return in time is abandoned there.

    If it has a method ``close``, that is called (and awaited) when the server, or the
    configuration that it is part of, ends.
    """

    name: str = Attribute("Its name in the configuration, log lines and headers.")
    stages: Sequence[Stage] = Attribute("The stages that it wants to be asked at.")

    def open() -> IStages:
        """Begin a connection, or one question of the queue.  Does not block."""


class IChain(Interface):
    """All filters of a listener as one, for one connection."""

    def ask(stage: Stage, *subject: Any) -> Awaitable[Verdict]:
        """Ask every filter of a stage in turn, until one refuses; never raises.

        ``subject`` is what the stage's method in `IStages` takes behind the context.
        Changes of envelope, tags and scores are already applied to the context when it
        returns; those of header and body are in the verdict, for the session to apply
        (`mailplat.message.edit`).  ``Stage.SENDER`` begins a new transaction, ``DISCONNECT``
        is asked exactly once and last.  The verdict's ``by`` is the name of the filter that
        decided.
        """

    def wants(stage: Stage) -> bool:
        """Whether any filter wants to be asked at a stage."""

    def deny(denial: Denial) -> None:
        """Tell those who watch refusals; does not wait, never raises."""


class IChains(Interface):
    """The filters of a listener, as the session factory gets them."""

    def open_chain(context: Context) -> IChain:
        """Begin a connection: one chain, and one object of every filter."""


class Stages:
    """Answers `CONTINUE` at every stage; a filter overrides what it cares about."""

    def connect(self, context: Context) -> Verdict | Awaitable[Verdict]:
        """See `IStages.connect`."""
        return CONTINUE

    def hello(self, context: Context, name: str) -> Verdict | Awaitable[Verdict]:
        """See `IStages.hello`."""
        return CONTINUE

    def auth(self, context: Context, account: Account) -> Verdict | Awaitable[Verdict]:
        """See `IStages.auth`."""
        return CONTINUE

    def sender(self, context: Context, sender: Sender) -> Verdict | Awaitable[Verdict]:
        """See `IStages.sender`."""
        return CONTINUE

    def recipient(self, context: Context, recipient: Recipient) -> Verdict | Awaitable[Verdict]:
        """See `IStages.recipient`."""
        return CONTINUE

    def headers(self, context: Context, header: bytes) -> Verdict | Awaitable[Verdict]:
        """See `IStages.headers`."""
        return CONTINUE

    def message(self, context: Context, mail: Mail) -> Verdict | Awaitable[Verdict]:
        """See `IStages.message`."""
        return CONTINUE

    def recipient_of_message(
        self, context: Context, mail: Mail, recipient: Recipient
    ) -> Verdict | Awaitable[Verdict]:
        """See `IStages.recipient_of_message`."""
        return CONTINUE

    def deny(self, context: Context, denial: Denial) -> Awaitable[None] | None:
        """See `IStages.deny`."""

    def disconnect(self, context: Context) -> Awaitable[None] | None:
        """See `IStages.disconnect`."""

    def queued(self, mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """See `IStages.queued`."""
        return CONTINUE

    def route(self, mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """See `IStages.route`."""
        return CONTINUE

    def attempt(self, mail: QueuedMail) -> Verdict | Awaitable[Verdict]:
        """See `IStages.attempt`."""
        return CONTINUE

    def delivered(
        self, mail: QueuedMail, outcomes: Mapping[Recipient, Delivered]
    ) -> Verdict | Awaitable[Verdict]:
        """See `IStages.delivered`."""
        return CONTINUE

    def deferred(
        self, mail: QueuedMail, outcomes: Mapping[Recipient, Deferred]
    ) -> Verdict | Awaitable[Verdict]:
        """See `IStages.deferred`."""
        return CONTINUE

    def bounced(
        self, mail: QueuedMail, outcomes: Mapping[Recipient, Bounced]
    ) -> Verdict | Awaitable[Verdict]:
        """See `IStages.bounced`."""
        return CONTINUE
