"""The store ``sql``: ``sql:sqlite:///mail.db``, or with a full path ``sql:sqlite:////srv/mail.db``."""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IStorePlugin, StoreSettings
from mailplat.interfaces.store import IStore

__all__ = ["sql"]


@implementer(IPlugin, IStorePlugin)
class SQLPlugin:
    """Makes a `mailplat.store.index.store.IndexedStore` out of a database's URL."""

    prefix = "sql"

    def store(self, argument: str, settings: StoreSettings) -> IStore:
        """Take the URL of a database."""
        from mailplat.store.sql.store import sql_store

        return sql_store(argument, settings)


sql = SQLPlugin()
