"""The delivery agents ``lmtp`` and ``pipe``.

twistd imports every plugin module before it starts anything, so this one is light: an agent's own
module is imported when a configuration names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin
from mailplat.model.errors import ConfigurationFault

__all__ = ["lmtp", "pipe"]


@implementer(IPlugin, IAgentPlugin)
class LmtpPlugin:
    """``lmtp:unix:/run/dovecot/lmtp`` or ``lmtp:tcp:HOST:24``: an endpoint of Twisted's.

    Option: ``name``, what we call ourselves.
    """

    prefix = "lmtp"

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Take the words of a client endpoint, and ``name``."""
        from twisted.internet.endpoints import clientFromString

        from mailplat.agents.lmtp import LmtpAgent
        from mailplat.net.channel_options import ChannelOptions
        from mailplat.proto.smtp.offers import Dialect

        _check("lmtp", options, {"name"})
        where = ":".join(arguments)
        try:
            endpoint = clientFromString(settings.reactor, where)
        except Exception as error:
            raise ConfigurationFault(
                f"lmtp:{where} names no server: expected lmtp:unix:PATH or lmtp:tcp:HOST:PORT"
            ) from error
        name = options.get("name") or settings.hostname
        return LmtpAgent(
            settings.reactor, endpoint, f"lmtp:{where}", ChannelOptions(name, dialect=Dialect.LMTP)
        )


@implementer(IPlugin, IAgentPlugin)
class PipePlugin:
    """``pipe:/usr/bin/archive:{recipient}:timeout=5``: a program and its arguments.

    Options: ``timeout``, seconds; ``user``, to run as; ``newlines``, ``lf`` or ``crlf``.
    """

    prefix = "pipe"

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Take the program's path, its arguments and the options."""
        from mailplat.agents.pipe import PipeAgent, PipeOptions

        _check("pipe", options, {"timeout", "user", "newlines"})
        newlines = options.get("newlines", "lf")
        try:
            timeout = float(options.get("timeout", "30"))
        except ValueError:
            timeout = 0.0
        if not arguments or not arguments[0].startswith("/") or not timeout > 0:
            raise ConfigurationFault("expected pipe:/PATH/OF/PROGRAM:ARGUMENT...:timeout=SECONDS")
        if newlines not in {"lf", "crlf"}:
            raise ConfigurationFault(f"pipe: newlines={newlines} is neither lf nor crlf")
        how = PipeOptions(timeout, newlines=newlines == "lf", user=options.get("user", ""))
        return PipeAgent(settings.reactor, arguments, how)


def _check(prefix: str, options: dict[str, str], known: set[str]) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        names = ", ".join(sorted(known))
        raise ConfigurationFault(f"{prefix}: there is no option {unknown[0]!r}; known: {names}")


lmtp = LmtpPlugin()
pipe = PipePlugin()
