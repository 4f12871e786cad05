"""The filter ``authentication``: SPF, DKIM and DMARC checked, Authentication-Results written.

``authentication:`` or ``authentication:reject=quarantine,spf_fail=reject``.  What becomes of mail
is said for each policy that it fails: ``none`` (continue), ``quarantine`` (quarantine), ``reject``
(reject), for ``spf_fail`` and ``temperror`` (both continue); ``host`` is the name that results
are vouched for with.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin, IOptionsPlugin

__all__ = ["authentication"]


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class AuthenticationPlugin:
    """Makes a `mailplat.filters.authentication.AuthenticationFilter`."""

    prefix = "authentication"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.authentication import CheckOptions

        return CheckOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take what becomes of mail."""
        from mailplat.filters.authentication import AuthenticationFilter, read_options

        return AuthenticationFilter(name, read_options(argument, settings.hostname), settings)


authentication = AuthenticationPlugin()
