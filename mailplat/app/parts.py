"""Finds the part that a configuration names: ``maildir:/var/mail`` and its kin.

A description is a prefix, a colon, and an argument that is the plugin's own business.  Plugins are
found by `mailplat.app.finding`; a description that nobody answers to is told with the prefixes that
there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mailplat.app.finding import Broken, find_all
from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.imap_extensions import (
    ExtensionSettings,
    IIMAPExtension,
    IIMAPExtensionPlugin,
)
from mailplat.interfaces.plugins import (
    AgentSettings,
    BlobSettings,
    FilterSettings,
    IAccountsPlugin,
    IAgentPlugin,
    IBlobsPlugin,
    IFilterPlugin,
    IOptionsPlugin,
    IRoutePlugin,
    IStorePlugin,
    PasswordSettings,
    RouteSettings,
    StoreSettings,
)
from mailplat.interfaces.routes import IRoute
from mailplat.interfaces.store import IStore
from mailplat.model.errors import ConfigurationFault

__all__ = [
    "check_part",
    "find_plugin",
    "kinds_of",
    "make_accounts",
    "make_agent",
    "make_blobs",
    "make_filter",
    "make_imap_extension",
    "make_route",
    "make_store",
]


def find_plugin(kind: Any, prefix: str, found: Iterable[Any] | None = None) -> Any:
    """Find the plugin of a kind that has a prefix.

    Args:
        kind: One of the interfaces in `mailplat.interfaces.plugins`.
        prefix: The word before the first colon.
        found: Plugins to choose from; None for all that are installed.

    Raises:
        ConfigurationFault: There is none; the reason lists those there are.
    """
    broken: list[Broken] = []
    if found is None:
        all_found, broken = find_all()
        found = [one.plugin for one in all_found if kind.providedBy(one.plugin)]
    known: dict[str, Any] = {}
    for plugin in found:
        known.setdefault(plugin.prefix, plugin)
    if prefix not in known:
        raise ConfigurationFault(
            f"there is no {_word(kind)} called {prefix!r}; installed are: "
            + (", ".join(sorted(known)) or "none")
            + "".join(f"; {one.name} cannot be loaded: {one.why}" for one in broken)
        )
    return known[prefix]


_KINDS = {
    "store": IStorePlugin,
    "place for bodies": IBlobsPlugin,
    "accounts": IAccountsPlugin,
    "filter": IFilterPlugin,
    "agent": IAgentPlugin,
    "imap extension": IIMAPExtensionPlugin,
    "route": IRoutePlugin,
}


def kinds_of(plugin: Any) -> list[str]:
    """Name what a plugin makes: ``filter``, ``store``; empty for a plugin of something else."""
    return [word for word, kind in _KINDS.items() if kind.providedBy(plugin)]


def check_part(kind: str, prefix: str) -> type | None:
    """Make sure that there is a part, for `mailplat.config.load`; its argument is not looked at.

    Returns:
        The class of the part's own options, if it has any.

    Raises:
        ConfigurationFault: There is none; the reason lists those there are.
    """
    plugin = find_plugin(_KINDS[kind], prefix)
    return _table_of(plugin)


def _table_of(plugin: Any) -> type | None:
    table: type | None = plugin.options() if IOptionsPlugin.providedBy(plugin) else None
    return table


def _own(plugin: Any, options: Any) -> Any:
    """Give the options of a part: as they were read, or all at their defaults."""
    table = _table_of(plugin)
    return options if table is None or isinstance(options, table) else table()


def make_store(description: str, settings: StoreSettings) -> IStore:
    """Make the store that a description names; it is not opened.

    Raises:
        ConfigurationFault: There is no such store, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    plugin = find_plugin(IStorePlugin, prefix)
    settings = replace(settings, options=_own(plugin, settings.options))
    store: IStore = plugin.store(argument, settings)
    return store


def make_blobs(description: str, settings: BlobSettings) -> IBlobStore | None:
    """Make the place for large bodies that a description names; None for the store's own.

    Raises:
        ConfigurationFault: There is no such place, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    blobs: IBlobStore | None = find_plugin(IBlobsPlugin, prefix).blobs(argument, settings)
    return blobs


def make_accounts(
    description: str, reactor: Any, directory: str, passwords: PasswordSettings | None = None
) -> IAccounts:
    """Make the account backend that a description names; it is not opened.

    Raises:
        ConfigurationFault: There is no such backend, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    accounts: IAccounts = find_plugin(IAccountsPlugin, prefix).accounts(
        argument, reactor, directory, passwords or PasswordSettings()
    )
    return accounts


def make_filter(description: str, settings: FilterSettings) -> IFilter:
    """Make the filter that a description names; its name is the description's prefix.

    Raises:
        ConfigurationFault: There is no such filter, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    plugin = find_plugin(IFilterPlugin, prefix)
    settings = replace(settings, options=_own(plugin, settings.options))
    made: IFilter = plugin.filter(prefix, argument, settings)
    return made


def make_imap_extension(description: str, settings: ExtensionSettings) -> IIMAPExtension:
    """Make the extension of IMAP that a description names.

    Raises:
        ConfigurationFault: There is no such extension, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    made: IIMAPExtension = find_plugin(IIMAPExtensionPlugin, prefix).extension(argument, settings)
    return made


def make_route(description: str, settings: RouteSettings) -> IRoute:
    """Make the route that a description names; it is not opened.

    Raises:
        ConfigurationFault: There is no such route, or its argument cannot be read.
    """
    prefix, _, argument = description.partition(":")
    plugin = find_plugin(IRoutePlugin, prefix)
    settings = replace(settings, options=_own(plugin, settings.options))
    made: IRoute = plugin.route(argument, settings)
    return made


_OPTION = re.compile(r"([a-z][a-z0-9_-]*)=(.*)", re.DOTALL)


def make_agent(description: str, settings: AgentSettings) -> IDeliveryAgent:
    """Make the delivery agent that a description names: ``pipe:/usr/bin/archive:timeout=5``.

    Words are separated by colons (behind a backslash, one is a colon); those that are
    ``name=value`` are options, the others arguments.

    Raises:
        ConfigurationFault: There is no such agent, or its argument cannot be read.
    """
    prefix, *words = [
        word.replace("\\:", ":") for word in re.split(r"(?<!\\):", description) if word
    ]
    options = {found[1]: found[2] for word in words if (found := _OPTION.fullmatch(word))}
    arguments = [word for word in words if not _OPTION.fullmatch(word)]
    plugin = find_plugin(IAgentPlugin, prefix)
    settings = replace(settings, options=_own(plugin, settings.options))
    made: IDeliveryAgent = plugin.agent(arguments, options, settings)
    return made


def _word(kind: Any) -> str:
    """Say what a plugin interface makes: ``IIMAPExtensionPlugin`` makes an imap extension."""
    name: str = kind.getName().removeprefix("I").removesuffix("Plugin")
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
