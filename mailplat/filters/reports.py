"""The report stream: what happens to connections and mails, for whoever wants to read it.

Invariant: a reader holds nothing up.  Its queue is bounded; what does not fit is dropped for this
reader alone, and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from mailplat.interfaces.filters import Context, Mail, Stage
from mailplat.interfaces.hooks import Denial, IReportReader, IReports, QueuedMail, Report
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Expanded, Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import Verdict

__all__ = ["Reports", "report_of", "report_of_queue"]


@implementer(IReports)
class Reports:
    """Gives every report to every reader."""

    def __init__(self) -> None:
        self._readers: list[_Reader] = []

    @property
    def wanted(self) -> bool:
        """See `IReports.wanted`."""
        return bool(self._readers)

    def publish(self, report: Report) -> None:
        """See `IReports.publish`."""
        for reader in tuple(self._readers):
            reader.take(report)

    def subscribe(self, limit: int = 1000) -> IReportReader:
        """See `IReports.subscribe`."""
        reader = _Reader(self._readers, limit)
        self._readers.append(reader)
        return reader


@implementer(IReportReader)
class _Reader:
    def __init__(self, readers: list[_Reader], limit: int) -> None:
        self.dropped = 0
        self._readers = readers
        self._limit = limit
        self._waiting: deque[Report] = deque()
        self._reading: Deferred[None] | None = None

    def take(self, report: Report) -> None:
        if len(self._waiting) >= self._limit:
            self.dropped += 1
            return
        self._waiting.append(report)
        self._wake()

    async def read(self) -> tuple[Report, ...]:
        """See `IReportReader.read`."""
        while not self._waiting and self in self._readers:
            self._reading = Deferred()
            try:
                await self._reading
            except CancelledError:
                self._reading = None
                raise
        found = tuple(self._waiting)
        self._waiting.clear()
        return found

    def close(self) -> None:
        """See `IReportReader.close`."""
        if self in self._readers:
            self._readers.remove(self)  # what waits may still be read
            self._wake()

    def _wake(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.callback(None)


def report_of(
    stage: Stage, at: float, context: Context, subject: tuple[Any, ...], verdict: Verdict
) -> Report:
    """Say what happened at a stage of a session.

    Args:
        stage: Which.
        at: Seconds since 1970 UTC.
        context: The connection.
        subject: What the stage is about.
        verdict: What was decided; a `Denial` says that by itself.
    """
    sender, recipients, queue_id = context.sender, list(context.recipients), ""
    by, reply, reason = verdict.by, verdict.reply, verdict.reason
    for one in subject:
        match one:
            case Sender():
                sender = one
            case Recipient():
                recipients = [one]
            case Mail():
                queue_id = one.queue_id
            case Denial():
                by, reply, reason, queue_id = one.by, one.reply, one.reason, one.queue_id
                recipients = recipients if one.recipient is None else [one.recipient]
    return Report(
        stage.value,
        at,
        session_id=context.session_id,
        queue_id=queue_id,
        listener=context.listener,
        peer=context.peer.address,
        account=context.account.name if context.account is not None else "",
        sender=None if sender is None else _spelled(sender),
        recipients=tuple(str(one.address) for one in recipients),
        by=by,
        action="deny" if stage is Stage.DENY else verdict.action.name.lower(),
        reply=_said(reply),
        reason=reason,
        tags=tuple(sorted(context.tags)),
        scores=tuple(sorted(context.scores.items())),
    )


def report_of_queue(
    stage: Stage,
    at: float,
    mail: QueuedMail,
    verdict: Verdict,
    outcomes: Mapping[Recipient, Outcome] | None = None,
) -> Report:
    """Say what happened to a mail in the queue; of many outcomes the first one's reply is told."""
    reply, reason = verdict.reply, verdict.reason
    for outcome in (outcomes or {}).values():
        if not isinstance(outcome, Expanded):
            reply, reason = outcome.reply, outcome.where
            break
    return Report(
        stage.value,
        at,
        queue_id=mail.queue_id,
        sender=_spelled(mail.sender),
        recipients=tuple(str(one.address) for one in mail.recipients),
        by=verdict.by,
        action=stage.value if outcomes else verdict.action.name.lower(),
        reply=_said(reply),
        reason=reason,
        tags=tuple(sorted(mail.tags)),
    )


def _spelled(sender: Sender) -> str:
    return str(sender.address) if sender.address is not None else ""


def _said(reply: Reply | None) -> str:
    return "" if reply is None else f"{reply.code} {reply.status} {reply.text}"
