"""What the configuration says of a function that takes mail, and the agent made of it."""

from __future__ import annotations

import attrs

from mailplat.agents.function import FunctionAgent, find_function
from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.interfaces.plugins import AgentSettings

__all__ = ["FunctionOptions", "make_function"]


@attrs.frozen(kw_only=True)
class FunctionOptions:
    """A Python function that takes mail."""

    timeout: Duration = option(
        duration("30s"), least=0.01, meaning="How long one call may take, before mail is deferred."
    )
    threads: int = option(
        4,
        unit="calls",
        least=1,
        most=100,
        meaning="How many calls of a function that is not `async` run at once.",
    )


def make_function(name: str, settings: AgentSettings) -> FunctionAgent:
    """Import the function and make the agent.

    Raises:
        ConfigurationFault: There is no such function.
    """
    options: FunctionOptions = settings.options or FunctionOptions()
    return FunctionAgent(
        settings.reactor,
        find_function(name),
        f"python:{name}",
        timeout=options.timeout,
        threads=options.threads,
    )
