"""From a configuration to the routes: rewritten senders, tables, accounts, backups, relay hosts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mailplat.agents.pipe import PipeAgent, PipeOptions
from mailplat.app.parts import make_route
from mailplat.config.options import Configuration
from mailplat.config.values import split_part
from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.agents import COMMAND_PREFIX, IDeliveryAgent
from mailplat.interfaces.plugins import RouteSettings
from mailplat.interfaces.routes import IRoute
from mailplat.interfaces.store import IStore
from mailplat.model.errors import MailError
from mailplat.routes.aliases import AliasFileOptions
from mailplat.routes.backup import BackupRoute
from mailplat.routes.local import HasMailbox, LocalRoute
from mailplat.routes.relays import RelayChoice, RelayRoute
from mailplat.routes.returning import ReturningRoute
from mailplat.routes.srs import SenderRewriting
from mailplat.routes.table import RouteTable

__all__ = ["CommandAgents", "allows_commands", "make_routes"]


def make_routes(
    configuration: Configuration,
    reactor: Any,
    now: Callable[[], float],
    accounts: IAccounts,
    store: IStore,
) -> RouteTable:
    """Make the routes; they are not opened.

    Args:
        configuration: As read.
        reactor: Twisted's.
        now: The time, seconds since 1970 UTC.
        accounts: Whose address is whose.
        store: Knows the mailboxes of accounts.

    Raises:
        ConfigurationFault: One cannot be made of what the configuration says.
    """
    options, domains = configuration.routes, configuration.server.domains
    srs = _srs(configuration, now)
    routes: list[IRoute] = [] if srs is None else [ReturningRoute(srs)]
    for table in configuration.route_tables:
        settings = RouteSettings(
            reactor,
            table.name or split_part(table.use)[0],
            tuple(domains),
            str(configuration.server.data_directory),
            options.subaddress,
            table.options,
        )
        routes.append(make_route(table.use, settings))
    routes.append(
        LocalRoute(
            accounts,
            domains,
            postmaster=options.postmaster,
            catch_all={one.domain: one.account for one in options.catch_all},
            delimiter=options.subaddress,
            has_mailbox=_mailboxes_of(store) if options.subaddress_mailbox else None,
        )
    )
    if configuration.backups:
        domains_of_others: dict[str, Path | None] = {
            one.domain: one.recipients for one in configuration.backups
        }
        backups = BackupRoute(reactor, domains_of_others)
        backups.check()
        routes.append(backups)
    if configuration.relay_hosts:
        routes.append(
            RelayRoute(
                [
                    RelayChoice(one.name, one.domains, one.senders)
                    for one in configuration.relay_hosts
                ]
            )
        )
    return RouteTable(routes, srs=srs, depth=options.max_depth, members=options.max_members)


def _srs(configuration: Configuration, now: Callable[[], float]) -> SenderRewriting | None:
    options = configuration.srs
    if options.secret is None:
        return None
    return SenderRewriting(
        options.domain or configuration.server.domains[0],
        [one.reveal().encode() for one in (options.secret, *options.old_secrets)],
        now,
        days=int(options.max_age // 86400),
    )


def _mailboxes_of(store: IStore) -> HasMailbox:
    async def has_mailbox(account: str, name: str) -> bool:
        try:
            home = await store.open_home(account)
            return any(one.name == name for one in await home.mailboxes())
        except MailError:
            return False  # it is found out again at delivery; INBOX is never wrong

    return has_mailbox


def allows_commands(configuration: Configuration) -> bool:
    """Tell whether aliases may name commands."""
    return any(
        isinstance(table.options, AliasFileOptions) and table.options.commands
        for table in configuration.route_tables
    )


class CommandAgents(Mapping[str, IDeliveryAgent]):
    """The delivery agents by name, and one for each command that an alias names.

    Args:
        agents: Those with names of their own.
        reactor: Runs processes.
    """

    def __init__(self, agents: Mapping[str, IDeliveryAgent], reactor: Any) -> None:
        self._agents = agents
        self._reactor = reactor
        self._commands: dict[str, IDeliveryAgent] = {}

    def __getitem__(self, name: str) -> IDeliveryAgent:
        if not name.startswith(COMMAND_PREFIX):
            return self._agents[name]
        if name not in self._commands:
            self._commands[name] = self._made(name)
        return self._commands[name]

    def _made(self, name: str) -> IDeliveryAgent:
        try:
            words = shlex.split(name.removeprefix(COMMAND_PREFIX))
        except ValueError:
            words = []
        if not words or not words[0].startswith("/"):
            raise KeyError(name)
        return PipeAgent(self._reactor, words, PipeOptions())

    def __iter__(self) -> Iterator[str]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)
