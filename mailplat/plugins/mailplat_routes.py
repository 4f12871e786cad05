"""The routes ``aliases``, ``virtual`` and ``aliases-sql``.

twistd imports every plugin module before it starts anything, so this one is light: a route's own
module is imported when a configuration names it.
"""

from __future__ import annotations

from pathlib import Path

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IOptionsPlugin, IRoutePlugin, RouteSettings
from mailplat.interfaces.routes import IRoute
from mailplat.model.errors import ConfigurationFault

__all__ = ["aliases", "aliases_sql", "virtual"]


@implementer(IPlugin, IRoutePlugin, IOptionsPlugin)
class AliasesPlugin:
    """``aliases:/etc/aliases``: names in our domains, in the format of aliases(5)."""

    prefix = "aliases"

    def options(self) -> type:
        """See `IOptionsPlugin.options`."""
        from mailplat.routes.aliases import AliasFileOptions

        return AliasFileOptions

    def route(self, argument: str, settings: RouteSettings) -> IRoute:
        """Take the file's path."""
        from mailplat.routes.aliases import AliasesOptions, AliasesRoute

        if not argument or not settings.domains:
            raise ConfigurationFault("expected aliases:PATH, and a domain of ours for its names")
        own = settings.options
        how = AliasesOptions(
            settings.domains,
            settings.delimiter,
            include=own.include,
            commands=own.commands,
            check_every=own.check_every,
        )
        path = Path(settings.directory) / argument
        route = AliasesRoute(settings.name, settings.reactor, path, how)
        route.check()  # before a port is opened, and for check-config
        return route


@implementer(IPlugin, IRoutePlugin)
class VirtualPlugin:
    """``virtual:/etc/mailplat/virtual``: a line an address or a domain, and what it stands for."""

    prefix = "virtual"

    def route(self, argument: str, settings: RouteSettings) -> IRoute:
        """Take the file's path."""
        from mailplat.routes.virtual import VirtualRoute

        if not argument:
            raise ConfigurationFault("expected virtual:PATH")
        path = Path(settings.directory) / argument
        delimiter = settings.delimiter
        route = VirtualRoute(settings.name, settings.reactor, path, delimiter=delimiter)
        route.check()
        return route


@implementer(IPlugin, IRoutePlugin)
class SQLAliasesPlugin:
    """``aliases-sql:/var/lib/mail.sqlite:SELECT goto FROM alias WHERE address = :address``."""

    prefix = "aliases-sql"

    def route(self, argument: str, settings: RouteSettings) -> IRoute:
        """Take the database's path and a query."""
        from mailplat.routes.sql import SQLRoute

        path, _, query = argument.partition(":")
        if not path or not query.strip():
            raise ConfigurationFault("expected aliases-sql:PATH:QUERY")
        database = Path(settings.directory) / path
        return SQLRoute(settings.name, settings.reactor, database, query, settings.domains)


aliases = AliasesPlugin()
virtual = VirtualPlugin()
aliases_sql = SQLAliasesPlugin()
