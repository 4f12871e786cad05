"""The delivery agent that hands mail to an LMTP server (RFC 2033): a mailbox server, a list.

All recipients of an attempt go in one transaction, and each has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from mailplat.agents.contents import examine
from mailplat.agents.handover import Letter, Server, Tried, answered, hand_over
from mailplat.interfaces.agents import Attempt, IClosingAgent
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Outcome
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.factory import SessionIds
from mailplat.net.smtp_client import (
    SmtpChannel,
    open_channel,
)
from mailplat.net.smtp_pool import ChannelPool, PoolOptions

__all__ = ["LmtpAgent"]


@implementer(IClosingAgent)
class LmtpAgent:
    """Brings mail to one LMTP server.

    Args:
        reactor: Tells the time.
        endpoint: Where the server is.
        where: What it is called in the log and in reports.
        options: How to speak; the dialect is `Dialect.LMTP`.
        pool: How many connections wait.
        at_once: Recipients of one transaction.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        where: str,
        options: ChannelOptions,
        *,
        pool: PoolOptions | None = None,
        at_once: int = 1000,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._options = options
        self._pool = ChannelPool(pool)
        self._at_once = at_once
        self._ids = SessionIds()
        self._where = where
        self._server = Server(where, where, self._connect)

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        contents, body = await examine(attempt.body)
        letter = Letter(attempt.queue_id, attempt.sender, contents, body)
        tried = Tried(left=attempt.recipients)
        handing = hand_over(self._server, self._pool, letter, tried, at_once=self._at_once)
        await answered(
            self._settled(handing, tried), tried.outcomes, attempt.recipients, self._where
        )
        return tried.outcomes

    async def _settled(self, handing: Awaitable[None], tried: Tried) -> None:
        await handing
        if tried.why is not None:
            tried.settle(tried.why, self._where)

    async def close(self) -> None:
        """Say goodbye; comes back when the last connection is gone."""
        await self._pool.close()

    async def _connect(self) -> SmtpChannel:
        return await open_channel(
            self._endpoint,
            self._options,
            clock=self._reactor,
            session_id=self._ids(),
            begun=self._pool.add,
        )
