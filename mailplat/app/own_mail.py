"""Mail that the server itself writes, such as reports to other domains, handed to its queue.

It is signed by the filters that sign for the sender's domain, as an account's mail would be, and
nobody is told if it cannot be delivered (RFC 7489 §7.2.1.1 wants it signed; NOTIFY=NEVER keeps
reports from causing reports).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailplat.app.filtering import Filtering
from mailplat.filters.dkim_sign import DkimSignFilter
from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import ISpool, NewMail
from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, Envelope, Notify, Recipient, Sender
from mailplat.queue.contents import Contents
from mailplat.queue.ways import ways_for

__all__ = ["OwnMail"]


class OwnMail:
    """Hands mail to the queue.

    Args:
        spool: The queue's.
        routes: Say where mail leads.
        new_queue_id: Names mails.
        filtering: Gives the filters in force, of which some sign.
    """

    def __init__(
        self,
        spool: ISpool,
        routes: IRoutes,
        new_queue_id: Callable[[], str],
        filtering: Callable[[], Filtering],
    ) -> None:
        self._spool = spool
        self._routes = routes
        self._new_queue_id = new_queue_id
        self._filtering = filtering

    async def send(self, sender: Address, recipients: Sequence[Address], message: bytes) -> str:
        """Sign a message and take it on; on return it is on stable storage.

        Args:
            sender: The reverse path.
            recipients: Whom it is for.
            message: All of it, with CRLF at the ends of its lines.

        Returns:
            The mail's queue id; ``""`` where no recipient leads anywhere.

        Raises:
            MailError: It cannot be taken on now.
        """
        agents: dict[Recipient, str] = {}
        targets = {}
        for address in dict.fromkeys(recipients):
            ways = await ways_for(self._routes, address, sender)
            for led, way in ways.items():
                recipient = Recipient(led, frozenset({Notify.NEVER}))
                agents[recipient] = way.agent
                if way.targets:
                    targets[recipient] = way.targets
        if not agents:
            return ""
        for rule, _ in self._filtering().rules:
            if isinstance(rule.filter, DkimSignFilter):
                message = await rule.filter.signed(sender.domain, message)
        queue_id = self._new_queue_id()
        body = BodyType.SEVEN_BIT if message.isascii() else BodyType.EIGHT_BIT
        envelope = Envelope(Sender(sender, body=body), tuple(agents))
        await self._spool.accept([NewMail(queue_id, envelope, agents, Contents(message), targets)])
        return queue_id
