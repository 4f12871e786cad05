"""The delivery agent ``webhook``: ``webhook:https://example.org/mail``.

Its options are those of `mailplat.agents.webhook_options.WebhookOptions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin, IOptionsPlugin

__all__ = ["webhook"]


@implementer(IPlugin, IAgentPlugin, IOptionsPlugin)
class WebhookPlugin:
    """Makes a `mailplat.agents.webhook.WebhookAgent`."""

    prefix = "webhook"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.agents.webhook_options import WebhookOptions

        return WebhookOptions

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Take the colons of the URL as what they are."""
        from mailplat.agents.webhook_options import make_webhook

        words = [*arguments, *(f"{name}={value}" for name, value in options.items())]
        return make_webhook(":".join(words), settings)


webhook = WebhookPlugin()
