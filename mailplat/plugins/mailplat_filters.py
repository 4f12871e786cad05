"""The filters that come with mailplat.

twistd imports every plugin module before it starts anything, so this one is light: a filter's
own module is imported when a configuration names it.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin

__all__ = ["senders"]


@implementer(IPlugin, IFilterPlugin)
class SendersPlugin:
    """``senders:bad@example.org,example.net``: refuses mail from these addresses and domains."""

    prefix = "senders"

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take addresses and domains, separated by commas."""
        from mailplat.filters.senders import SenderFilter

        return SenderFilter(name, [word.strip() for word in argument.split(",") if word.strip()])


senders = SendersPlugin()
