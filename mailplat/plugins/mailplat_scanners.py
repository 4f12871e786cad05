"""The filters that ask somebody else's daemon: scanners, web services, milters.

twistd imports every plugin module before it starts anything, so this one is light: a filter's
own module is imported when a configuration names it.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin, IOptionsPlugin
from mailplat.model.errors import ConfigurationFault

__all__ = ["clamd", "icap", "milter", "mta_hook", "policy_service", "rspamd", "spamd"]


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class ClamdPlugin:
    """``clamd:unix:/run/clamav/clamd.ctl``: ClamAV, at an endpoint of Twisted's."""

    prefix = "clamd"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.clamd import ClamdOptions

        return ClamdOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the endpoint."""
        from mailplat.filters.clamd import ClamdFilter

        return ClamdFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class SpamdPlugin:
    """``spamd:tcp:127.0.0.1:783``: SpamAssassin, at an endpoint of Twisted's."""

    prefix = "spamd"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.spamd import SpamdOptions

        return SpamdOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the endpoint."""
        from mailplat.filters.spamd import SpamdFilter

        return SpamdFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class RspamdPlugin:
    """``rspamd:http://127.0.0.1:11333``: a normal worker of rspamd's."""

    prefix = "rspamd"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.rspamd import RspamdOptions

        return RspamdOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the address."""
        from mailplat.filters.rspamd import RspamdFilter

        _check_url(self.prefix, argument)
        return RspamdFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class MtaHookPlugin:
    """``mta_hook:https://hook.example.org/mail``: a web service that decides (MTA Hooks)."""

    prefix = "mta_hook"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.mta_hook import MtaHookOptions

        return MtaHookOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the address."""
        from mailplat.filters.mta_hook import MtaHookFilter

        _check_url(self.prefix, argument)
        return MtaHookFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class MilterPlugin:
    """``milter:unix:/run/opendkim/opendkim.sock``: a milter, at an endpoint of Twisted's."""

    prefix = "milter"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.milter import MilterOptions

        return MilterOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the endpoint."""
        from mailplat.filters.milter import MilterFilter

        return MilterFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class PolicyServicePlugin:
    """``policy_service:tcp:127.0.0.1:10023``: a policy service as Postfix has them."""

    prefix = "policy_service"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.policy_service import PolicyServiceOptions

        return PolicyServiceOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the endpoint."""
        from mailplat.filters.policy_service import PolicyServiceFilter

        return PolicyServiceFilter(name, argument, settings.options, settings)


@implementer(IPlugin, IFilterPlugin, IOptionsPlugin)
class IcapPlugin:
    """``icap:icap://127.0.0.1:1344/avscan``: a service of an ICAP server."""

    prefix = "icap"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.filters.icap import IcapOptions

        return IcapOptions

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the service's URL."""
        from mailplat.filters.icap import IcapFilter

        return IcapFilter(name, argument, settings.options, settings)


def _check_url(prefix: str, url: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii()
        fits = fits and parts.port != 0 and parts.username is None
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationFault(f"{prefix}: expected {prefix}:http://HOST:PORT, not {url!r}")


clamd = ClamdPlugin()
spamd = SpamdPlugin()
rspamd = RspamdPlugin()
mta_hook = MtaHookPlugin()
milter = MilterPlugin()
icap = IcapPlugin()
policy_service = PolicyServicePlugin()
