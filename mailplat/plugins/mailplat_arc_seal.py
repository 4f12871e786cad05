"""The filter ``arc_seal``: ``arc_seal:example.org:SELECTOR:PATH``, behind ``authentication``.

It seals what comes in with a private key (RSA or Ed25519, in PEM), for servers to which such mail
is forwarded.  A relative path begins in the data directory.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin

__all__ = ["arc_seal"]


@implementer(IPlugin, IFilterPlugin)
class ArcSealPlugin:
    """Makes a `mailplat.filters.arc_seal.ArcSealFilter`."""

    prefix = "arc_seal"

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take a domain, a selector and the file of a key."""
        from mailplat.filters.arc_seal import ArcSealFilter, read_sealer

        return ArcSealFilter(name, read_sealer(argument, settings.directory), settings)


arc_seal = ArcSealPlugin()
