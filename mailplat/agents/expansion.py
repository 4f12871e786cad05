"""The delivery agent for addresses that others took the place of when the mail was accepted.

Their copies are on their way already.  What is left of such a recipient is what its sender asked
to be told (RFC 3461 §5.2.7): that an alias was expanded, or that a mailing list has the mail.  The
queue tells it, as it does of every recipient that is done with.
"""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Delivered, Outcome

__all__ = ["ExpansionAgent"]


@implementer(IDeliveryAgent)
class ExpansionAgent:
    """Is done with everybody at once.

    Args:
        what: What the log and reports say of it: ``alias``.
    """

    def __init__(self, what: str) -> None:
        self._delivered = Delivered(what)

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        return dict.fromkeys(attempt.recipients, self._delivered)
