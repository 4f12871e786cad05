"""What may be exchanged while the server runs: the routes, and what stands behind a port.

Everybody who asks goes through here, so all of them see the newest at once; who is in the middle of
a question, or of a connection, ends it with what it began with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from zope.interface import implementer

from mailplat.interfaces.routes import Destination, Explained, IExplainedRoutes
from mailplat.model.address import Address

__all__ = ["CurrentFactory", "CurrentRoutes"]

T = TypeVar("T")


class _Held:
    """Routes, and how many questions to them are under way."""

    def __init__(self, routes: Any) -> None:
        self.routes = routes
        self.questions = 0
        self.idle: Deferred[None] | None = None


@implementer(IExplainedRoutes)
class CurrentRoutes:
    """The routes in force.

    Args:
        routes: The first ones.
    """

    def __init__(self, routes: Any) -> None:
        self._held = _Held(routes)

    async def open(self) -> None:
        """Open those that are in force."""
        await self._held.routes.open()

    async def close(self) -> None:
        """Close those that are in force."""
        await self._held.routes.close()

    async def exchange(self, routes: Any) -> None:
        """Put others in force, which are open; close the old ones when nobody asks them any more.

        What follows the call sees the new ones at once, though it returns later.
        """
        old, self._held = self._held, _Held(routes)
        if old.questions:
            old.idle = Deferred()
            await old.idle
        await old.routes.close()

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoutes.is_local_domain`."""
        local: bool = self._held.routes.is_local_domain(domain)
        return local

    async def route(
        self, address: Address, sender: Address | None = None
    ) -> tuple[Destination, ...]:
        """See `IRoutes.route`."""
        return await self._ask(lambda routes: routes.route(address, sender))

    async def explain(self, address: Address, sender: Address | None = None) -> Explained:
        """See `IExplainedRoutes.explain`."""
        return await self._ask(lambda routes: routes.explain(address, sender))

    async def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        held = self._held
        held.questions += 1
        try:
            return await question(held.routes)
        finally:
            held.questions -= 1
            if held.idle is not None and not held.questions:
                held.idle.callback(None)


@implementer(IProtocolFactory)
class CurrentFactory:
    """What a port makes connections with.

    Args:
        factory: The first one.
    """

    def __init__(self, factory: IProtocolFactory) -> None:
        self.factory = factory
        self._started = False

    def exchange(self, factory: IProtocolFactory) -> None:
        """Make new connections with another; those that there are stay as they are."""
        old, self.factory = self.factory, factory
        if self._started:
            factory.doStart()
            old.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """Make a connection."""
        return self.factory.buildProtocol(addr)

    def doStart(self) -> None:
        """The port listens."""
        self._started = True
        self.factory.doStart()

    def doStop(self) -> None:
        """It does no more."""
        self._started = False
        self.factory.doStop()
