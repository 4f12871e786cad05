"""Asks the routes again where mails of the queue lead: by the aliases, mailboxes and relays of now.

Where mail goes is decided when it is accepted.  Only the operator has that done again, and only for
recipients whose way is another one now: these are due at once.  Who leads nowhere now keeps the old
way, whose agent says what becomes of it.  The sender of a mail stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from mailplat.app.ctl.together import together
from mailplat.interfaces.agents import ALIAS_AGENT, LIST_AGENT
from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import Pending, Selection, Settlement, Spooled
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Expanded, Outcome
from mailplat.queue.ways import ways_for
from mailplat.spool.spool import Spool

__all__ = ["route_again"]

_MANY = 1000
"""Mails that a selection by queue ids may hold."""


async def route_again(routes: IRoutes, spool: Spool, page: Selection, now: int) -> int:
    """Route some mails again; tell how many go another way.

    Args:
        routes: Open.
        spool: Open.
        page: Mails by their queue ids.
        now: Seconds since 1970 UTC.

    Raises:
        Unavailable: A route cannot say it now.
    """
    settling = []
    for mail in await spool.select(page, _MANY):
        settlement = await _settlement(routes, mail, now)
        if settlement is not None:
            settling.append((mail.queue_id, settlement))
    await together([spool.settle(*one) for one in settling])
    return len(settling)


async def _settlement(routes: IRoutes, mail: Spooled, now: int) -> Settlement | None:
    gone: dict[Recipient, Outcome] = {}
    added: list[Pending] = []
    for one in mail.pending:
        if one.agent in (ALIAS_AGENT, LIST_AGENT):
            continue
        asked = one.recipient
        ways = await ways_for(routes, asked.address, mail.sender.address)
        led = [
            replace(
                one,
                recipient=replace(asked, address=address),
                agent=way.agent,
                targets=way.targets,
                due=now,
            )
            for address, way in ways.items()
        ]
        if led and [_way(each) for each in led] != [_way(one)]:
            gone[asked] = Expanded(tuple(ways))
            added += led
    return Settlement(gone, added=added) if gone else None


def _way(one: Pending) -> tuple[object, ...]:
    return one.recipient.address.key, one.agent, one.targets
