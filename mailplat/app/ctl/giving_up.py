"""Bounces mails of the queue on the operator's word: their senders are told, and they are gone."""

from __future__ import annotations

import time
from typing import Any

from mailplat.app.outgoing import make_bounces
from mailplat.config.options import Configuration
from mailplat.interfaces.spool import Pending, Selection, Settlement
from mailplat.model.outcome import Bounced
from mailplat.model.reply import Reply
from mailplat.spool.spool import Spool

__all__ = ["give_up"]

_RETURNED = Reply.of(554, "Given back by the operator of this server", "5.0.0")
_PAGE = 200


async def give_up(configuration: Configuration, spool: Spool, selection: Selection) -> int:
    """Bounce all mails of a selection, with what came of their last attempts; tell how many.

    Reports that this writes are mails of the queue too, and are left alone.
    """
    from twisted.internet import reactor as installed

    from mailplat.app.assembly import assemble

    reactor: Any = installed
    parts = assemble(configuration, reactor)
    bounces = make_bounces(
        configuration, time.time, spool, parts.routes, parts.hostname, parts.queue_ids
    )
    await parts.accounts.open()
    try:
        await parts.routes.open()
        ids: list[str] = []  # all at first: the reports that this writes are not meant
        while page := await spool.select(selection, _PAGE, ids[-1] if ids else ""):
            ids += [mail.queue_id for mail in page]
        count = 0
        for start in range(0, len(ids), _PAGE):
            chosen = Selection(queue_ids=tuple(ids[start : start + _PAGE]))
            for mail in await spool.select(chosen, _PAGE):
                outcomes = {one.recipient: _given_up(one) for one in mail.pending}
                reports = await bounces.on_outcomes(mail, outcomes)
                await spool.settle(mail.queue_id, Settlement(outcomes, reports=reports))
                count += 1
        return count
    finally:
        await parts.routes.close()
        await parts.accounts.close()


def _given_up(one: Pending) -> Bounced:
    return Bounced(_RETURNED) if one.last is None else Bounced(one.last.reply, one.last.where)
