"""The delivery agent ``python``: ``python:package.module:function``."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin, IOptionsPlugin

__all__ = ["python"]


@implementer(IPlugin, IAgentPlugin, IOptionsPlugin)
class PythonPlugin:
    """Makes a `mailplat.agents.function.FunctionAgent`."""

    prefix = "python"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.agents.function_options import FunctionOptions

        return FunctionOptions

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Take the module and the function."""
        from mailplat.agents.function_options import make_function

        return make_function(":".join(arguments), settings)


python = PythonPlugin()
