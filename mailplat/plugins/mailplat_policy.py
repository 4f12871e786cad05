"""The policy filters: ``dns_lists``, ``greylist``, ``rate_limits``, ``helo``, ``early_talker``...

twistd imports every plugin module before it starts anything, so this one is light: a filter's
own module is imported when a configuration names it.  All of them have typed options; what
``access_list:`` has behind its colon is a file, the others have nothing there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin, IOptionsPlugin

__all__ = [
    "access_list",
    "content_rules",
    "dns_lists",
    "early_talker",
    "greylist",
    "helo",
    "rate_limits",
    "reverse_name",
    "sender_domain",
    "verify_recipient",
]


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class PolicyPlugin:
    """Makes the filter of a module `mailplat.filters.PREFIX`.

    Args:
        prefix: The module's name.
        word: What its classes are called: ``Helo`` for ``HeloFilter`` and ``HeloOptions``.
    """

    def __init__(self, prefix: str, word: str) -> None:
        self.prefix = prefix
        self._word = word

    def _found(self, kind: str) -> Any:
        module = import_module(f"mailplat.filters.{self.prefix}")
        return getattr(module, self._word + kind)

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        table: type = self._found("Options")
        return table

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """See `IFilterPlugin.filter`."""
        made: IFilter = self._found("Filter")(name, argument, settings.options, settings)
        return made


access_list = PolicyPlugin("access_list", "AccessList")
content_rules = PolicyPlugin("content_rules", "ContentRules")
dns_lists = PolicyPlugin("dns_lists", "DnsLists")
early_talker = PolicyPlugin("early_talker", "EarlyTalker")
greylist = PolicyPlugin("greylist", "Greylist")
helo = PolicyPlugin("helo", "Helo")
rate_limits = PolicyPlugin("rate_limits", "RateLimits")
reverse_name = PolicyPlugin("reverse_name", "ReverseName")
sender_domain = PolicyPlugin("sender_domain", "SenderDomain")
verify_recipient = PolicyPlugin("verify_recipient", "VerifyRecipient")
