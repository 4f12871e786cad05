"""A mail is handed to one server: outcomes for whom it answered, and who is left for another one.

Invariants:

- A recipient whose fate is known has an outcome, and is never tried again: a yes, a permanent no,
  and the one case that nobody can know (`Result.unsure`), which waits for the queue's next try.
- A recipient without an outcome was surely not served: another server may be tried at once.
- What is known is kept, whatever fails or is cancelled after it: nobody who was served is deferred.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from mailplat.interfaces.bodies import IBody
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import MailError
from mailplat.model.outcome import Bounced, Deferred, Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.net.smtp_client import PeerLost, SmtpChannel
from mailplat.net.smtp_pool import ChannelPool
from mailplat.proto.smtp.transfer import NO_REQUIRE_TLS, Contents, Result, Transfer

__all__ = ["Letter", "Server", "Tried", "answered", "hand_over", "outcome_of", "softened"]

_log = Logger()

_BROKEN = Reply.to_error(MailError())


@dataclass(frozen=True, slots=True)
class Letter:
    """What is handed over, whoever it is for; to verify recipients, nothing is."""

    queue_id: str
    sender: Sender
    contents: Contents
    body: IBody
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be connected to.

    Attributes:
        key: Equal for connections that may stand in for each other.
        where: Its name for the log and for reports: ``mx.example.org[192.0.2.1]:25``.
        connect: Opens a connection, ready for mail, that the pool knows of; raises `PeerLost`.
    """

    key: Hashable
    where: str
    connect: Callable[[], Awaitable[SmtpChannel]]


@dataclass(slots=True)
class Tried:
    """What came of trying a server, or one after the other.

    Attributes:
        outcomes: For whom it has the last word.
        left: Who may be tried elsewhere, in their order.
        why: What the server said last to those, or why it could not be asked.
        lost: Why there was no connection, if there was none.
    """

    outcomes: dict[Recipient, Outcome] = field(default_factory=dict)
    left: tuple[Recipient, ...] = ()
    why: Reply | None = None
    lost: PeerLost | None = None

    def settle(self, reply: Reply, where: str) -> None:
        """Give the same answer to all who are left."""
        outcome = Bounced(reply, where) if reply.permanent else Deferred(reply, where)
        self.outcomes.update(dict.fromkeys(self.left, outcome))
        self.left = ()


def outcome_of(result: Result, where: str, *, reports: bool, timed: bool = False) -> Outcome | None:
    """Make an outcome of a result; None where another server may be tried.

    Args:
        result: The server's answer.
        where: The server.
        reports: Whether it offers DSN, so that it was given what the sender asked for.
        timed: Whether it offers DELIVERBY, so that it knows how much time there is.
    """
    reply = result.reply
    if reply.positive:
        return Delivered(where, reply, reports, timed)
    if reply.permanent:
        return Bounced(reply, where)
    return Deferred(reply, where) if result.unsure else None


def softened(reply: Reply) -> Reply:
    """Make a temporary failure of a permanent one: it was not about this mail."""
    if not reply.permanent:
        return reply
    return Reply(451, reply.lines, f"4{reply.status[1:]}" if reply.status else "4.0.0")


async def answered(
    work: Awaitable[None],
    outcomes: dict[Recipient, Outcome],
    recipients: Iterable[Recipient],
    where: str,
) -> bool:
    """Let something run that fills in outcomes; whoever has none after it is deferred.

    Args:
        work: It may fail, or be cancelled: what it filled in counts.
        outcomes: What it fills in.
        recipients: Who has to have an outcome.
        where: For those who have none.

    Returns:
        False if it was cancelled: nothing more is to be begun.
    """
    cancelled = False
    try:
        await work
    except CancelledError:
        cancelled = True
        _log.info("{where}: given up", where=where)
    except Exception:
        _log.failure("{where}: unexpected error", where=where)
    for recipient in recipients:
        outcomes.setdefault(recipient, Deferred(_BROKEN, where))
    return not cancelled


async def hand_over(
    server: Server, pool: ChannelPool, letter: Letter, tried: Tried, *, at_once: int
) -> None:
    """Hand a mail to a server, for those who are left.

    Args:
        server: Which.
        pool: Where connections wait.
        letter: The mail.
        tried: Who is left; what comes of it is filled in.
        at_once: Recipients of one transaction; the server may allow fewer (RFC 9422 §4.2).
    """
    tried.lost = None
    waiting = list(tried.left)
    while waiting:
        channel = pool.take(server.key)
        fresh = channel is None
        if channel is None:
            try:
                channel = await server.connect()
            except PeerLost as lost:
                tried.lost, tried.why = lost, softened(lost.reply)
                return
        try:
            rest = await _transact(channel, server.where, letter, tried, waiting, at_once)
        except BaseException:
            channel.abort()
            raise
        if rest and channel.usable:  # it takes these over another connection (RFC 9422 §4)
            channel.quit()
            waiting = rest
            continue
        alive = channel.usable
        pool.give(server.key, channel)
        if alive or fresh:
            break  # an old connection may have ended while it waited: a new one is worth a try
        waiting = list(tried.left)


async def _transact(
    channel: SmtpChannel,
    where: str,
    letter: Letter,
    tried: Tried,
    waiting: list[Recipient],
    at_once: int,
) -> list[Recipient]:
    """Hand the mail over, in as many transactions as its recipients need.

    Returns:
        Those who were not named, because the connection was lost or may not be used for more.
    """
    while waiting and channel.usable:
        batch = _batch(channel, waiting, at_once)
        if not batch:
            break
        named = set(batch)
        waiting = [one for one in waiting if one not in named]
        transfer = Transfer(letter.sender, tuple(batch), letter.contents, letter.verify)
        results = await channel.send(transfer, letter.body)
        further: list[Recipient] = []
        served = False
        offers = channel.offers
        for recipient, result in zip(batch, results, strict=True):
            if result.reply is NO_REQUIRE_TLS:
                tried.why = result.reply if tried.why is None or tried.why.permanent else tried.why
                continue
            outcome = outcome_of(result, where, reports=offers.dsn, timed=offers.deliver_by)
            served = served or outcome is not None
            if outcome is not None:
                tried.outcomes[recipient] = outcome
                continue
            tried.why = result.reply
            if result.reply.code == 452 and result.reply.status in {"", "4.5.3"}:
                further.append(recipient)  # too many at once (RFC 5321 §4.5.3.1.10)
        if served:
            waiting = further + waiting
    if waiting and tried.why is None and not channel.usable:
        tried.why = channel.why_lost  # it left before it was asked anything
    tried.left = tuple(one for one in tried.left if one not in tried.outcomes)
    return waiting


def _batch(channel: SmtpChannel, waiting: list[Recipient], at_once: int) -> list[Recipient]:
    """Choose whom to name next, by what the server told of its limits (RFC 9422 §4).

    Returns:
        Nobody where this connection has to end first.
    """
    offers = channel.offers
    if offers.messages is not None and channel.transfers >= offers.messages:
        return []
    bound = min(at_once, offers.recipients or at_once)
    if offers.domains is None:
        return waiting[:bound]
    domains = set(channel.domains)
    batch: list[Recipient] = []
    for one in waiting:
        domain = one.address.domain.lower()
        if domain not in domains and len(domains) >= offers.domains:
            continue
        domains.add(domain)
        batch.append(one)
        if len(batch) >= bound:
            break
    return batch
