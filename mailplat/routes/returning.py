"""The route of rewritten reverse paths: reports on forwarded mail find back to its sender (SRS)."""

from __future__ import annotations

from zope.interface import implementer

from mailplat.interfaces.routes import Expanded, Found, IRoute, Refused
from mailplat.model.address import Address
from mailplat.model.reply import Reply
from mailplat.routes.srs import SenderRewriting

__all__ = ["ReturningRoute"]

_NOT_OURS = Reply.of(550, "This address is too old, or was not made here", "5.1.1")


@implementer(IRoute)
class ReturningRoute:
    """Leads mail for rewritten addresses to those that they stand for.

    Args:
        srs: Made them.
    """

    name = "srs"

    def __init__(self, srs: SenderRewriting) -> None:
        self._srs = srs

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`."""
        return domain.lower() == self._srs.domain

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        if not self._srs.is_rewritten(address):
            return None
        original = self._srs.backward(address)
        if original is None:
            return Found(Refused(_NOT_OURS), "a rewritten sender that does not hold")
        return Found(Expanded((original,)), "a rewritten sender")
