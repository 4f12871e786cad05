"""The store ``maildir``: ``maildir:/var/mail`` keeps each account's mail in ``/var/mail/ACCOUNT``.

The directory is absolute, or begins in the data directory.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IOptionsPlugin, IStorePlugin, StoreSettings
from mailplat.interfaces.store import IStore

__all__ = ["maildir"]


@implementer(IPlugin, IStorePlugin, IOptionsPlugin)
class MaildirPlugin:
    """Makes a store out of `mailplat.store.maildir`."""

    prefix = "maildir"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.store.maildir.options import MaildirOptions

        return MaildirOptions

    def store(self, argument: str, settings: StoreSettings) -> IStore:
        """Take the directory that the accounts' Maildirs are in."""
        from mailplat.store.maildir.options import MaildirOptions, limits_of
        from mailplat.store.maildir.store import maildir_store

        limits = limits_of(settings.options or MaildirOptions())
        return maildir_store(argument, settings, limits)


maildir = MaildirPlugin()
