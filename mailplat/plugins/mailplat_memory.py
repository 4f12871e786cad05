"""The store ``memory``: written ``memory:``, it keeps all mail until the process ends.

twistd imports every plugin module before it starts anything, so the store's own modules are
imported when a configuration names it.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IStorePlugin, StoreSettings
from mailplat.interfaces.store import IStore
from mailplat.model.errors import ConfigurationFault

__all__ = ["memory"]


@implementer(IPlugin, IStorePlugin)
class MemoryPlugin:
    """Makes a `mailplat.store.memory.store.MemoryStore`."""

    prefix = "memory"

    def store(self, argument: str, settings: StoreSettings) -> IStore:
        """Make one; nothing may follow the colon."""
        from mailplat.store.memory.store import MemoryStore

        if argument:
            raise ConfigurationFault(f"memory: takes nothing behind the colon, not {argument!r}")
        return MemoryStore(settings)


memory = MemoryPlugin()
