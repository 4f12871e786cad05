"""What hooks are told beyond the mail in hand: refusals, mail in the queue, and reports of it all.

A refusal and a report are told, not asked about: whoever is told cannot hold anything up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace

from zope.interface import Attribute, Interface

from mailplat.interfaces.spool import Lane, NewMail
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import Verdict

__all__ = [
    "Denial",
    "IQueueHooks",
    "IReportReader",
    "IReports",
    "QueuedMail",
    "Report",
    "tell_queued",
]


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal that a client was told.

    Attributes:
        by: Who made it: a filter's name, or ``session``, ``routes``, ``accounts``, ``limits``
            or ``protocol`` for parts of the server.
        reply: What the client was told.
        reason: More than the client was told; ``""`` if there is no more.
        stage: The stage it came at, as in `mailplat.interfaces.filters.Stage`; ``""`` where the
            client's line was no command that leads to a stage.
        recipient: Whom it concerns; None for the whole mail, or for the connection.
        queue_id: The message's name; ``""`` before there is one.
        line: The client's line, where it was no command that we know.
    """

    by: str
    reply: Reply
    reason: str = ""
    stage: str = ""
    recipient: Recipient | None = None
    queue_id: str = ""
    line: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail in the queue, as hooks see it.

    Attributes:
        queue_id: Its name.
        sender: The reverse path with its parameters.
        recipients: Those whom the hook is about.
        arrived: When it was accepted, seconds since 1970 UTC.
        size: Bytes of the message; None where the hook is not told.
        held: Whether it is kept back.
        agent: The delivery agent that takes the recipients on; ``""`` is the relay, None where the
            hook is about more than one.
        destination: The domain that the relay goes to; ``""`` for other agents.
        tags: Words that hooks of the queue noted since the server started; the newest mails' alone
            are remembered.
    """

    queue_id: str
    sender: Sender
    recipients: tuple[Recipient, ...]
    arrived: int
    size: int | None = None
    held: bool = False
    agent: str | None = None
    destination: str = ""
    tags: frozenset[str] = frozenset()


class IQueueHooks(Interface):
    """The filters' side of the queue: what sessions and the queue call.

    Nothing that is called here raises, or loses mail: whatever a filter does, the mail stays in
    the queue until an agent has taken it on or the schedule gives it up.
    """

    def queued(mail: QueuedMail) -> None:
        """A mail is in the queue, on stable storage; does not wait."""

    def route(mail: QueuedMail) -> None:
        """Recipients of a mail in the queue were given to an agent; does not wait."""

    def attempt(mail: QueuedMail) -> Awaitable[Verdict]:
        """An agent is about to be asked.

        Returns:
            CONTINUE, DEFER (all recipients of the attempt are tried again later) or HOLD (the mail
            is kept back for the operator); within the filters' time limits.
        """

    def settled(mail: QueuedMail, outcomes: Mapping[Recipient, Outcome]) -> None:
        """What came of recipients is written down: tell who wants to hear; does not wait."""


def tell_queued(hooks: IQueueHooks, mail: NewMail, arrived: int) -> None:
    """Tell that a mail was taken on, and of each lane that its recipients were given to.

    Args:
        hooks: Who is told.
        mail: As the spool took it.
        arrived: Seconds since 1970 UTC.
    """
    sender, recipients, size = mail.envelope.sender, mail.envelope.recipients, mail.body.size
    told = QueuedMail(mail.queue_id, sender, recipients, arrived, size, mail.held)
    hooks.queued(told)
    lanes: dict[Lane, list[Recipient]] = {}
    for recipient, agent in mail.agents.items():
        lanes.setdefault(Lane.of(agent, recipient.address), []).append(recipient)
    for lane, led in lanes.items():
        hooks.route(
            replace(told, recipients=tuple(led), agent=lane.agent, destination=lane.destination)
        )


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the report stream: something happened to a connection or a mail.

    Attributes:
        event: A stage's name, or ``deny``.
        at: When, seconds since 1970 UTC.
        session_id: The connection; ``""`` in the queue.
        queue_id: The message; ``""`` before there is one.
        listener: The listener's name; ``""`` in the queue.
        peer: The client's IP address; ``""`` in the queue, and for local sockets.
        account: Who logged in; ``""`` for nobody.
        sender: The reverse path; None where there is none yet, ``""`` for the null sender.
        recipients: Whom it is about.
        by: Which filter or part of the server decided; ``""`` where nobody objected.
        action: The verdict in lower case, or the outcome.
        reply: Code, status and text that were said or heard; ``""`` for none.
        reason: Why, for the log.
        tags: Words that filters noted.
        scores: Points that filters gave.
    """

    event: str
    at: float
    session_id: str = ""
    queue_id: str = ""
    listener: str = ""
    peer: str = ""
    account: str = ""
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    by: str = ""
    action: str = ""
    reply: str = ""
    reason: str = ""
    tags: tuple[str, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()


class IReportReader(Interface):
    """One reader of the report stream.  Its queue is bounded: it never holds up a mail."""

    dropped: int = Attribute("Reports that it missed because its queue was full.")

    def read() -> Awaitable[tuple[Report, ...]]:
        """Give what waits, oldest first; waits until there is something.

        An empty tuple says that the reader was closed.  One call at a time.
        """

    def close() -> None:
        """Take no more; what waits may still be read.  Twice is no error."""


class IReports(Interface):
    """The report stream."""

    wanted: bool = Attribute("Whether anybody reads: who publishes may save the work if not.")

    def publish(report: Report) -> None:
        """Give a report to every reader; never waits, never raises."""

    def subscribe(limit: int = 1000) -> IReportReader:
        """Begin to read.

        Args:
            limit: Reports that may wait for the reader; further ones are dropped and counted.
        """
