"""The filter ``dkim_sign``: ``dkim_sign:example.org:SELECTOR:PATH``, several with commas.

It signs the mail of accounts that logged in with the private key (RSA or Ed25519, in PEM) of the
envelope sender's domain, or of a domain above that.  Relative paths begin in the data directory.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin, IOptionsPlugin

__all__ = ["dkim_sign"]


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class DkimSignPlugin:
    """Makes a `mailplat.filters.dkim_sign.DkimSignFilter`."""

    prefix = "dkim_sign"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.dkim_sign import DkimSignOptions

        return DkimSignOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take domains, selectors and files of keys."""
        from mailplat.filters.dkim_sign import DkimSignFilter, read_signers

        return DkimSignFilter(name, read_signers(argument, settings.directory), settings)


dkim_sign = DkimSignPlugin()
