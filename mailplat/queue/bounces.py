"""What the sender is told: failures, delays and successes, as the sender asked (RFC 3461).

Invariants:

- The null sender is never told anything, and every report is from the null sender: no report
  answers a report (RFC 5321 §6.1).
- One report tells all that one settlement brought, and is accepted in the same commit.
- Failures are told unless NOTIFY says otherwise, delays too; success only where it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.interfaces.agents import (
    ALIAS_AGENT,
    LIST_AGENT,
    MAILBOX_AGENT,
    RELAY_AGENT,
    is_relay,
)
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import IQueueSpool, NewMail, Pending, Spooled
from mailplat.message.headers import split
from mailplat.message.report import Action, Fate, Report, delivery_report
from mailplat.model.envelope import BodyType, Envelope, Notify, Recipient, Return, Sender
from mailplat.model.errors import Corrupt, NoSuchMail
from mailplat.model.outcome import Bounced, Delivered, Expanded, Outcome
from mailplat.queue.contents import Contents
from mailplat.queue.ways import ways_for

__all__ = ["Bounces"]

_log = Logger()

_HEADER = 64 * 1024
"""Bytes of a header that a report gives back."""


class Bounces:
    """Writes reports.

    Args:
        spool: Where the mails are that are reported on.
        routes: Say where the sender's own mail leads.
        hostname: This server's name.
        new_queue_id: Names reports.
        now: The time, seconds since 1970 UTC.
        full_size: Bytes of a mail up to which all of it is returned, where the sender asked
            for that (RET=FULL); of larger ones the header is (RFC 3461 §6.2).
    """

    def __init__(
        self,
        spool: IQueueSpool,
        routes: IRoutes,
        hostname: str,
        new_queue_id: Callable[[], str],
        now: Callable[[], float],
        *,
        full_size: int = 256 * 1024,
    ) -> None:
        self._spool = spool
        self._routes = routes
        self._hostname = hostname
        self._new_queue_id = new_queue_id
        self._now = now
        self._full_size = full_size

    async def on_outcomes(
        self, mail: Spooled, outcomes: Mapping[Recipient, Outcome]
    ) -> tuple[NewMail, ...]:
        """Write what is to be told of an attempt, or of recipients given up: one report or none.

        Raises:
            MailError: It cannot be written now; ask again later.
        """
        agents = {one.recipient: one.agent for one in mail.pending}
        now = int(self._now())
        fates = []
        for recipient, outcome in outcomes.items():
            action = _action(outcome, agents.get(recipient, RELAY_AGENT))
            if _traced(mail.sender, recipient, outcome, agents.get(recipient, RELAY_AGENT)):
                action = Action.RELAYED
            elif action is not None and not _wanted(recipient, action):
                action = None
            if action is not None:
                reply = None if isinstance(outcome, Expanded) else outcome.reply
                remote = _remote(outcome, agents.get(recipient, RELAY_AGENT))
                fates.append(Fate(recipient, action, reply, remote, now))
        return await self._report(mail, fates)

    async def on_delay(
        self, mail: Spooled, late: Sequence[Pending], until: int
    ) -> tuple[NewMail, ...]:
        """Write the warning that a mail is late: one report or none.

        Raises:
            MailError: It cannot be written now; ask again later.
        """
        fates = [
            Fate(
                one.recipient,
                Action.DELAYED,
                one.last.reply,
                _remote(one.last, one.agent),
                until=until,
            )
            for one in late
            if one.last is not None and _wanted(one.recipient, Action.DELAYED)
        ]
        return await self._report(mail, fates)

    async def _report(self, mail: Spooled, fates: Sequence[Fate]) -> tuple[NewMail, ...]:
        sender = mail.sender.address
        if sender is None or not fates:
            return ()
        ways = await ways_for(self._routes, sender)
        if not ways:
            _log.info(
                "queue {queue_id}: nobody is told: <{sender}> does not exist here",
                queue_id=mail.queue_id,
                sender=str(sender),
            )
            return ()
        failed = any(fate.action is Action.FAILED for fate in fates)
        header, body = await self._contents(mail, whole=failed)
        report = Report(
            self._hostname, mail.queue_id, mail.sender, mail.arrived, fates, header, body
        )
        report_id = self._new_queue_id()
        data = delivery_report(report, report_id, int(self._now()))
        # RFC 3461 §6.1: from the null sender, and not to be reported on itself
        led = {Recipient(address, frozenset({Notify.NEVER})): way for address, way in ways.items()}
        body_type = BodyType.SEVEN_BIT if data.isascii() else BodyType.EIGHT_BIT
        # a report is as urgent, and as well protected (RFC 6710 §4.6, RFC 8689 §5)
        path = Sender(
            None,
            body=body_type,
            smtputf8=report.international,
            require_tls=mail.sender.require_tls,
            priority=mail.sender.priority,
        )
        _log.info(
            "queue {queue_id}: <{sender}> is told by {report_id}: {actions}",
            queue_id=mail.queue_id,
            sender=str(sender),
            report_id=report_id,
            actions=", ".join(f"<{fate.recipient.address}> {fate.action}" for fate in fates),
        )
        agents = {recipient: way.agent for recipient, way in led.items()}
        targets = {recipient: way.targets for recipient, way in led.items() if way.targets}
        return (NewMail(report_id, Envelope(path, tuple(led)), agents, Contents(data), targets),)

    async def _contents(self, mail: Spooled, *, whole: bool) -> tuple[bytes, bytes | None]:
        """Read the header, and the rest of the mail if all of it is to be returned."""
        full = (
            whole
            and mail.sender.returned is Return.FULL
            and not mail.sender.require_tls  # RFC 8689 §5
            and mail.size <= self._full_size
            and mail.sender.body is not BodyType.BINARY
        )
        try:
            body = await self._spool.open_body(mail.queue_id)
        except (NoSuchMail, Corrupt) as error:
            _log.warn(
                "queue {queue_id}: no bytes to return: {reason}",
                queue_id=mail.queue_id,
                reason=error.reason,
            )
            return b"", None
        try:
            data = await _read(body, mail.size if full else min(mail.size, _HEADER))
        finally:
            body.close()
        header, rest = split(data)
        if full:
            return header, rest
        if len(header) == len(data):  # its end is not in sight: whole lines, and an empty one
            header = header[: header.rfind(b"\n") + 1] + b"\r\n"
        return header, None


def _action(outcome: Outcome, agent: str) -> Action | None:
    """Name what became of a recipient; None for nothing that is told at once."""
    match outcome:
        case Bounced():
            return Action.FAILED
        case Expanded(recipients):
            return Action.EXPANDED if len(recipients) > 1 else None  # RFC 3461 §5.2.7
        case Delivered(_, _, reports):
            if reports:
                return None
            if agent == ALIAS_AGENT:
                return Action.EXPANDED  # RFC 3461 §5.2.7.3 (c)
            return Action.RELAYED if is_relay(agent) else Action.DELIVERED
    return None


def _traced(sender: Sender, recipient: Recipient, outcome: Outcome, agent: str) -> bool:
    """Tell whether it is reported that mail with a time for delivery was relayed.

    So where the sender asked for it, and where the time is known no more (RFC 2852 §4.1).
    """
    by = sender.deliver_by
    if by is None or not isinstance(outcome, Delivered) or not is_relay(agent):
        return False
    return (by.trace or not outcome.timed) and Notify.NEVER not in recipient.notify


_ASKED = {Action.FAILED: Notify.FAILURE, Action.DELAYED: Notify.DELAY}


def _wanted(recipient: Recipient, action: Action) -> bool:
    """Tell whether the sender wants to hear of it (RFC 3461 §4.1)."""
    asked = _ASKED.get(action, Notify.SUCCESS)
    if not recipient.notify:
        return asked is not Notify.SUCCESS
    return asked in recipient.notify


def _remote(outcome: Outcome, agent: str) -> str:
    """Name the host that said what came of it; ``""`` for this one."""
    if agent in (MAILBOX_AGENT, ALIAS_AGENT, LIST_AGENT) or isinstance(outcome, Expanded):
        return ""
    name = outcome.where.split(maxsplit=1)[:1]
    return name[0] if name else ""


async def _read(body: IBody, size: int) -> bytes:
    if body.in_memory:
        return body.read(0, size)
    data: bytes = await deferToThread(body.read, 0, size)
    return data
