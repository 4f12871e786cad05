"""Mails that are late: their senders are warned, and those whose time is up are given up.

Invariant: a block at a time is looked at, so that what is due does not wait for what is late,
however long the server was off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mailplat.interfaces.hooks import IQueueHooks
from mailplat.interfaces.spool import IQueueSpool, Pending, Spooled
from mailplat.queue.hooked import tell_settled
from mailplat.queue.results import Results, log_outcome
from mailplat.queue.schedule import Schedule
from mailplat.queue.together import all_of

__all__ = ["Deadlines"]

_TOGETHER = 100
"""Mails that are looked at together."""


class Deadlines:
    """Looks at mails whose deadline is past.

    Args:
        spool: Where they are.
        results: Says what is to be noted.
        schedule: Says what is to be done.
        is_tried: Whether a recipient of a mail is being tried just now.
        leave: Told of a mail and a recipient that is given up, before it is written down.
        later: Told when to look again, seconds since 1970.
    """

    def __init__(
        self,
        spool: IQueueSpool,
        results: Results,
        schedule: Schedule,
        is_tried: Callable[[Spooled, Pending], bool],
        leave: Callable[[Spooled, Pending], None],
        later: Callable[[int], None],
    ) -> None:
        self._spool = spool
        self._results = results
        self._schedule = schedule
        self._is_tried = is_tried
        self._leave = leave
        self._later = later

    async def look(self, now: int, hooks: IQueueHooks | None) -> bool:
        """Look at a block of them; tell whether there may be more.

        Args:
            now: Seconds since 1970.
            hooks: Who is told; None for nobody.

        Raises:
            MailError: It cannot be read or noted now; look again later.
        """
        mails = await self._spool.overdue(now, _TOGETHER)
        await all_of(self._look_at(mail, now, hooks) for mail in mails)
        return len(mails) >= _TOGETHER

    async def _look_at(self, mail: Spooled, now: int, hooks: IQueueHooks | None) -> None:
        free = tuple(one for one in mail.pending if not self._is_tried(mail, one))
        mail = replace(mail, pending=free)
        todo = self._schedule.overdue(mail, now)
        for one in free:
            if one.recipient in todo.bounced:
                self._leave(mail, one)
        settlement = await self._results.of_deadline(mail, todo)
        await self._spool.settle(mail.queue_id, settlement)
        self._later(todo.deadline)
        for recipient, outcome in todo.bounced.items():
            log_outcome(mail, recipient, outcome)
        if hooks is not None:
            tell_settled(hooks, mail, settlement, None, now)
