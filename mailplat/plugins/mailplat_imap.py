"""The extensions of IMAP that come with mailplat.

twistd imports every plugin module before it starts anything, so this one is light: an extension's
own module is imported when a configuration names it.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.imap_extensions import (
    ExtensionSettings,
    IIMAPExtension,
    IIMAPExtensionPlugin,
)
from mailplat.model.errors import ConfigurationFault

__all__ = ["unauthenticate"]


@implementer(IPlugin, IIMAPExtensionPlugin)
class UnauthenticatePlugin:
    """``unauthenticate``: the command UNAUTHENTICATE (RFC 8437)."""

    prefix = "unauthenticate"

    def extension(self, argument: str, settings: ExtensionSettings) -> IIMAPExtension:
        """Make it; nothing may follow the colon."""
        from mailplat.sessions.imap.unauthenticate import UnauthenticateExtension

        if argument:
            raise ConfigurationFault(
                f"unauthenticate: takes nothing behind the colon, not {argument!r}"
            )
        return UnauthenticateExtension()


unauthenticate = UnauthenticatePlugin()
