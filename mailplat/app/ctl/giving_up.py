"""Bounces mails of the queue on the operator's word: their senders are told, and they are gone."""

from __future__ import annotations

from mailplat.app.ctl.together import together
from mailplat.interfaces.spool import Pending, Selection, Settlement, Spooled
from mailplat.model.outcome import Bounced
from mailplat.model.reply import Reply
from mailplat.queue.bounces import Bounces
from mailplat.spool.spool import Spool

__all__ = ["give_up"]

_RETURNED = Reply.of(554, "Given back by the operator of this server", "5.0.0")
_MANY = 1000
"""Mails that a selection by queue ids may hold."""

_TOGETHER = 50
"""Mails whose reports are in memory at once."""


async def give_up(bounces: Bounces, spool: Spool, page: Selection) -> int:
    """Bounce some mails, with what came of their last attempts; tell how many.

    Args:
        bounces: Writes the reports, which are mails of the queue too.
        spool: Open.
        page: Mails by their queue ids.
    """
    mails = await spool.select(page, _MANY)

    async def bounce(mail: Spooled) -> None:
        outcomes = {one.recipient: _given_up(one) for one in mail.pending}
        reports = await bounces.on_outcomes(mail, outcomes)
        await spool.settle(mail.queue_id, Settlement(outcomes, reports=reports))

    for start in range(0, len(mails), _TOGETHER):
        await together([bounce(mail) for mail in mails[start : start + _TOGETHER]])
    return len(mails)


def _given_up(one: Pending) -> Bounced:
    return Bounced(_RETURNED) if one.last is None else Bounced(one.last.reply, one.last.where)
