"""The delivery agent ``smtp``: ``smtp:HOST`` or ``smtp:HOST:PORT``, one server that takes mail.

Its options are those of `mailplat.agents.smtp_options.SmtpOptions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin, IOptionsPlugin

__all__ = ["smtp"]


@implementer(IPlugin, IAgentPlugin, IOptionsPlugin)
class SmtpPlugin:
    """Makes a `mailplat.agents.smtp.RelayAgent` for one server."""

    prefix = "smtp"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.agents.smtp_options import SmtpOptions

        return SmtpOptions

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Take the host and the port."""
        from mailplat.agents.smtp_options import make_smtp

        return make_smtp(arguments, settings)


smtp = SmtpPlugin()
