"""From a configuration to the spool and the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import Any

from mailplat.config.options import Configuration
from mailplat.interfaces.agents import IClosingAgent, IDeliveryAgent
from mailplat.interfaces.hooks import IQueueHooks
from mailplat.interfaces.routes import IRoutes
from mailplat.interfaces.spool import IQueueSpool
from mailplat.queue.bounces import Bounces
from mailplat.queue.results import Results
from mailplat.queue.runner import QueueLimits, Runner
from mailplat.queue.schedule import Schedule
from mailplat.spool.spool import Spool

__all__ = ["ClosingAgents", "make_bounces", "make_runner", "make_spool"]


def make_spool(
    configuration: Configuration, reactor: Any, now: Callable[[], float], *, works: bool = True
) -> Spool:
    """Make the spool; it is not opened.

    Args:
        configuration: Says where, and how patient the queue is.
        reactor: Its threads touch the disk.
        now: The time, seconds since 1970 UTC.
        works: Whether the queue runs in this process.
    """
    return Spool(
        reactor,
        configuration.server.data_directory / "spool",
        now,
        works=works,
        inline=configuration.queue.inline_size,
        warn_after=int(configuration.queue.warn_after),
    )


def make_bounces(
    configuration: Configuration,
    now: Callable[[], float],
    spool: IQueueSpool,
    routes: IRoutes,
    hostname: str,
    new_queue_id: Callable[[], str],
) -> Bounces:
    """Make what writes reports."""
    return Bounces(
        spool,
        routes,
        hostname,
        new_queue_id,
        now,
        full_size=configuration.queue.full_report_size,
    )


def make_runner(
    configuration: Configuration,
    reactor: Any,
    now: Callable[[], float],
    spool: IQueueSpool,
    agents: Mapping[str, IDeliveryAgent],
    routes: IRoutes,
    hostname: str,
    new_queue_id: Callable[[], str],
    hooks: IQueueHooks | None = None,
) -> Runner:
    """Make what works on the spool; it is not opened."""
    options = configuration.queue
    schedule = Schedule(
        first=options.first_retry,
        longest=options.longest_retry,
        lifetime=options.lifetime,
        warn_after=options.warn_after,
    )
    random = SystemRandom().random
    bounces = make_bounces(configuration, now, spool, routes, hostname, new_queue_id)
    return Runner(
        spool,
        agents,
        Results(bounces, routes, schedule, now, random),
        schedule,
        reactor,
        now,
        random,
        QueueLimits(
            attempts=options.attempts,
            per_destination=options.attempts_by_destination,
            recipients=options.recipients_by_attempt,
            grace=configuration.server.shutdown_timeout,
        ),
        hooks,
    )


class ClosingAgents:
    """Lets agents end what they hold, after the queue has stopped.

    Args:
        agents: The delivery agents.
    """

    def __init__(self, agents: Mapping[str, IDeliveryAgent]) -> None:
        self._agents = agents

    async def open(self) -> None:
        """Nothing to begin: agents begin with their first attempt."""

    async def close(self) -> None:
        """Close those that can be closed."""
        for agent in self._agents.values():
            if IClosingAgent.providedBy(agent):
                closing: Any = agent
                await closing.close()
