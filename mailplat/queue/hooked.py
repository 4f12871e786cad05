"""What hooks are told of mail in the queue, and what is noted when they keep it back.

Invariant: a hook's word becomes "later" or "held", never an end: no recipient is done with for it.
"""

from __future__ import annotations

from dataclasses import replace

from mailplat.interfaces.hooks import IQueueHooks, QueuedMail, tell_queued
from mailplat.interfaces.spool import Lane, Settlement, Spooled
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Deferred, Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, Verdict

__all__ = ["as_told", "put_off", "tell_settled"]

_NOT_NOW = Reply.of(451, "Not now; it is tried again later", "4.7.1")


def as_told(mail: Spooled, lane: Lane | None) -> QueuedMail:
    """Say what hooks are told of a mail in a lane; None for one in several."""
    return QueuedMail(
        mail.queue_id,
        mail.sender,
        tuple(one.recipient for one in mail.pending),
        mail.arrived,
        mail.size,
        mail.held,
        lane.agent if lane is not None else None,
        lane.destination if lane is not None else "",
    )


def put_off(mail: Spooled, verdict: Verdict) -> tuple[dict[Recipient, Outcome], Settlement | None]:
    """Say what is noted in place of an attempt.

    Returns:
        Outcomes, and the settlement of a mail that is held; of others the schedule decides.
    """
    held = verdict.action is not Action.DEFER
    reply = verdict.reply or _NOT_NOW
    if held:
        reply = Reply.of(450, f"Held by {verdict.by}: {verdict.reason}", "4.7.1")
    outcomes: dict[Recipient, Outcome] = {one.recipient: Deferred(reply) for one in mail.pending}
    return outcomes, Settlement(outcomes, held=True) if held else None


def tell_settled(
    hooks: IQueueHooks, mail: Spooled, settlement: Settlement, lane: Lane | None, now: int
) -> None:
    """Tell what was written down: outcomes, new ways, and reports that are mail themselves.

    Args:
        hooks: Who is told.
        mail: As it was before.
        settlement: What was written.
        lane: Where it was tried; None for a deadline.
        now: Seconds since 1970 UTC.
    """
    hooks.settled(as_told(mail, lane), settlement.outcomes)
    for one in settlement.added:
        there = Lane.of(one.agent, one.recipient.address)
        hooks.route(as_told(replace(mail, pending=(one,)), there))
    for report in settlement.reports:
        tell_queued(hooks, report, now)
