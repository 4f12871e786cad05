"""What policy filters are given besides DNS: a table to remember in, next servers to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from mailplat.config.options import Configuration
from mailplat.config.values import PartText, split_part
from mailplat.interfaces.agents import IDeliveryAgent, IVerifyingAgent
from mailplat.interfaces.policy_table import IPolicyTable
from mailplat.interfaces.routes import IRoutes, Remote
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Bounced, Deferred
from mailplat.model.reply import Reply
from mailplat.store.policy.database import PolicyDatabase
from mailplat.store.policy.memory import MemoryPolicyTable
from mailplat.store.policy.sqlite import SQLitePolicyDatabase
from mailplat.store.policy.table import DatabasePolicyTable, TableLimits

__all__ = ["NextServers", "forgetful", "make_policy_table"]

_TAKEN = Reply.of(250, "The next server takes mail for it", "2.1.5")
_POSTGRESQL = "sql:postgresql:"


def make_policy_table(
    configuration: Configuration, reactor: Any, now: Callable[[], float]
) -> IPolicyTable:
    """Make the table; it connects when a filter first asks it.

    Raises:
        ConfigurationFault: It cannot be made of what the configuration says.
    """
    options = configuration.policy_table
    prefix, argument = split_part(options.use)
    if prefix == "memory":
        made: IPolicyTable = MemoryPolicyTable(now, options.max_entries)
        return made
    limits = TableLimits(options.max_entries, options.sweep, options.max_waiting, options.max_batch)
    return DatabasePolicyTable(_database(configuration, prefix, argument), reactor, now, limits)


def forgetful(configuration: Configuration) -> Configuration:
    """Let filters remember in memory alone: for trials, which leave nothing behind."""
    table = evolve(configuration.policy_table, use=PartText("memory:"))
    return evolve(configuration, policy_table=table)


def _database(configuration: Configuration, prefix: str, argument: str) -> PolicyDatabase:
    store, busy = configuration.store.use, configuration.store.lock_time
    if prefix == "store" and store.startswith(_POSTGRESQL):
        prefix, argument = "postgresql", store.removeprefix(_POSTGRESQL)
    if prefix == "postgresql":
        from mailplat.store.policy.postgresql import PostgreSQLPolicyDatabase

        return PostgreSQLPolicyDatabase(f"postgresql:{argument}", busy_seconds=busy)
    if prefix not in ("store", "sqlite"):
        raise ConfigurationFault(
            f"policy_table.use: {prefix!r} is none of store:, sqlite:FILE, postgresql:URL, memory:"
        )
    file = argument if prefix == "sqlite" else ""
    path = Path(configuration.server.data_directory, file or "policy.sqlite")
    return SQLitePolicyDatabase(path, busy_seconds=busy)


class NextServers:
    """Asks the server that a recipient's mail would go to whether it takes it.

    Args:
        routes: Where mail leads.
        agents: The delivery agents by name.
    """

    def __init__(self, routes: IRoutes, agents: Mapping[str, IDeliveryAgent]) -> None:
        self._routes = routes
        self._agents = agents

    async def verify(self, address: Address) -> Reply | None:
        """Ask; None where mail stays here, leads to several, or to an agent that cannot ask.

        Raises:
            Unavailable: It cannot be said now where mail leads.
        """
        found = await self._routes.route(address)
        if len(found) != 1 or not isinstance(found[0], Remote):
            return None
        agent: Any = self._agents.get(found[0].agent)
        if not IVerifyingAgent.providedBy(agent):
            return None
        outcome = await agent.verify(Recipient(found[0].address))
        return outcome.reply if isinstance(outcome, Bounced | Deferred) else _TAKEN
