"""What mailplat asks of a spool: mail accepted, and not yet where it belongs.

Three sides of one thing: sessions hand mail in (`ISpool`), the queue works on it (`IQueueSpool`),
and people look after it (`IOperatedSpool`).  State is per recipient; a recipient that is done with
is no longer there, and with the last one the mail is gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from zope.interface import Interface

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import Target
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.outcome import Deferred, Outcome

__all__ = [
    "IOperatedSpool",
    "IQueueSpool",
    "ISpool",
    "Lane",
    "LaneState",
    "NewMail",
    "Pending",
    "Selection",
    "Settlement",
    "Spooled",
]


@dataclass(frozen=True, slots=True)
class Lane:
    """What is tried together and rests together: an agent, and where it goes.

    Attributes:
        agent: The delivery agent's name; ``""`` is the relay.
        destination: A domain in lower case for the relay; ``""`` for every other agent, which
            leads to one place.
    """

    agent: str
    destination: str

    @classmethod
    def of(cls, agent: str, address: Address) -> Lane:
        """Give the lane that an agent's mail for an address waits in."""
        return cls(agent, "" if agent else address.domain.lower())


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the spool knows of a lane.

    Attributes:
        lane: Which.
        due: The earliest time that one of its recipients is due; None if all are held.
        blocked: Nothing is tried before this time, because the destination does not answer.
        failures: How often in a row it did not.
        last: What came of the last of these.
        recipients: How many wait in it; 0 where nobody counted.
    """

    lane: Lane
    due: int | None
    blocked: int = 0
    failures: int = 0
    last: Deferred | None = None
    recipients: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """One recipient of a spooled mail that is not done with.

    Attributes:
        recipient: As the client gave it.
        agent: Which delivery agent takes it on.
        attempts: How often it was tried.
        last: What came of the last attempt, at it or at its lane; None before the first.
        due: When it is tried next, seconds since 1970; None while the mail is held.
        depth: How many expansions led to it.
        targets: The mailboxes here that it was decided for when the mail was accepted; none where
            it leads elsewhere, or where nothing was decided yet.
    """

    recipient: Recipient
    agent: str = ""
    attempts: int = 0
    last: Deferred | None = None
    due: int | None = 0
    depth: int = 0
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Spooled:
    """One mail in the spool.

    Attributes:
        queue_id: Its name in every log line and reply about it.
        sender: The reverse path with its parameters.
        arrived: Seconds since 1970 UTC.
        size: Bytes of the body.
        pending: Recipients not done with.
        held: Whether the operator or a filter keeps it back.
        deadline: When to look at it apart from attempts; None for never.
    """

    queue_id: str
    sender: Sender
    arrived: int
    size: int
    pending: tuple[Pending, ...]
    held: bool = False
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to be taken on.

    Attributes:
        queue_id: Its name; never used before.
        envelope: From whom, to whom.
        agents: For each recipient, the agent that takes it on.
        body: Its bytes; the spool does not close it.
        targets: For a recipient whose mailboxes are decided, these.
        held: Whether it is kept back until somebody releases it.
        why: What its recipients show until the first attempt: why it is held.
    """

    queue_id: str
    envelope: Envelope
    agents: Mapping[Recipient, str]
    body: IBody
    targets: Mapping[Recipient, tuple[Target, ...]] = field(default_factory=dict)
    held: bool = False
    why: Deferred | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of an attempt, to be noted in one commit.

    Attributes:
        outcomes: Recipients delivered, bounced or expanded are done with; a `Deferred` is noted.
        due: When the deferred ones are tried next, seconds since 1970.
        added: Those who take the place of expanded ones.
        reports: Mail that tells the sender; accepted in the same commit.
        deadline: The mail's next deadline; None leaves it.
        held: Whether the mail is kept back from now on; False leaves it as it is.
    """

    outcomes: Mapping[Recipient, Outcome]
    due: int = 0
    added: Sequence[Pending] = ()
    reports: Sequence[NewMail] = ()
    deadline: int | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Mails by what is known of them; all that is given has to hold.

    Texts may hold ``*`` for anything and ``?`` for one character, and match in any case; what is
    said of recipients has to hold for one of them that is pending.

    Attributes:
        queue_ids: One of these names.
        sender: The reverse path; ``<>`` is the null sender.
        recipient: An address.
        domain: The domain of an address.
        reason: A part of what came of the last attempt.
        agent: The agent that takes it on; None for any.
        before: Arrived before this time, seconds since 1970.
        after: Arrived at or after this time.
        held: Whether it is held.
    """

    queue_ids: tuple[str, ...] | None = None
    sender: str | None = None
    recipient: str | None = None
    domain: str | None = None
    reason: str | None = None
    agent: str | None = None
    before: int | None = None
    after: int | None = None
    held: bool | None = None


class ISpool(Interface):
    """Keeps accepted mail through crashes until every recipient is done with.

    Conformance: `mailplat.testing.spools.SpoolContract`.
    """

    def open() -> Awaitable[None]:
        """Make ready.

        Raises:
            ConfigurationFault: Another server works on it, or it cannot be read.
        """

    def close() -> Awaitable[None]:
        """Finish what is under way."""

    def accept(mails: Sequence[NewMail]) -> Awaitable[None]:
        """Take mails on, all or none, in one commit; on return they are on stable storage.

        Several mails are the copies of one message that go on under different senders.
        Concurrent calls share one flush (group commit).  The bodies are not closed.

        Args:
            mails: At least one.

        Raises:
            StorageFull: Nothing was stored.
            Unavailable: Nothing was stored, for another reason.
        """


class IQueueSpool(ISpool):
    """What the queue asks of a spool.

    A mail is there from the moment that `accept` returns until `settle` has answered for its last
    recipient; a crash between an attempt and its `settle` repeats the attempt (at least once), so
    agents make their own step atomic.
    """

    def watch(notice: Callable[[Collection[Lane], bool], None]) -> None:
        """Tell, in the reactor's thread and after the commit, which lanes got new mail.

        The second argument is whether some of it is urgent, or has times of its own: then what
        was read before does not say any more what comes next.
        """

    def ready(now: int, limit: int) -> Awaitable[Sequence[LaneState]]:
        """Give lanes that are not blocked and have something due, the longest waiting first."""

    def due(
        lane: Lane, now: int, limit: int, without: Collection[str]
    ) -> Awaitable[Sequence[Spooled]]:
        """Give mails with those recipients that are due in a lane, the longest waiting first.

        Args:
            lane: Which.
            now: Seconds since 1970.
            limit: Recipients, all mails together.
            without: Queue ids of mails to leave out.
        """

    def overdue(now: int, limit: int) -> Awaitable[Sequence[Spooled]]:
        """Give mails whose deadline is past, with all their recipients, the oldest first."""

    def next_time(now: int) -> Awaitable[int | None]:
        """Tell when a lane will be ready or a deadline past that is not so now; None for never."""

    def open_body(queue_id: str) -> Awaitable[IBody]:
        """Give a mail's bytes; the caller closes them.

        Raises:
            NoSuchMail: It is not there (any more).
            Corrupt: It is there, and its bytes are not.
        """

    def settle(queue_id: str, settlement: Settlement) -> Awaitable[None]:
        """Note what came of an attempt, with its reports, in one commit.

        With its last recipient the mail leaves the spool.  If none of the recipients is there
        any more, nothing happens: to settle twice is to settle once.
        """

    def block(lane: Lane, until: int, failures: int, last: Deferred | None) -> Awaitable[None]:
        """Let a lane rest until a time; 0 opens it again.  Does nothing for an empty lane."""


class IOperatedSpool(ISpool):
    """What people ask of a spool, while a server works on it or not."""

    def find(queue_id: str) -> Awaitable[Spooled | None]:
        """Read a mail's state; None if it is not there."""

    def select(selection: Selection, limit: int, behind: str = "") -> Awaitable[Sequence[Spooled]]:
        """Read mails in the order of their arrival.

        Args:
            selection: Which.
            limit: How many.
            behind: Begin behind this queue id, which was given before.
        """

    def names(selection: Selection) -> Awaitable[Sequence[str]]:
        """Give the queue ids of mails, however many, in the order of their arrival."""

    def hold(selection: Selection, held: bool) -> Awaitable[int]:
        """Keep mails back, or let them go on at once; tell how many changed."""

    def retry(selection: Selection) -> Awaitable[int]:
        """Make mails that are not held due now, and open their lanes; tell how many."""

    def remove(selection: Selection) -> Awaitable[int]:
        """Throw mails away, with no report; tell how many."""

    def reroute(selection: Selection, agent: str) -> Awaitable[int]:
        """Give all their recipients to another agent, due now unless held; tell how many mails.

        What was decided for mailboxes here is forgotten: that agent asks the routes.
        """

    def lanes(limit: int) -> Awaitable[Sequence[LaneState]]:
        """Give the fullest lanes, with the number of their recipients."""
