"""From a configuration to the filters: their rules, what they share, and who may read reports.

What filters share outlives a configuration that is read again: threads and the report stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from mailplat.app.parts import make_filter
from mailplat.app.remembering import make_policy_table
from mailplat.config.options import Configuration
from mailplat.config.sections.filtering import Direction, FilterOptions
from mailplat.filters.breaker import Breaker
from mailplat.filters.chain import Chains, Rule
from mailplat.filters.condition import Condition
from mailplat.filters.dmarc_results import DmarcResults
from mailplat.filters.queue_hooks import QueueHooks
from mailplat.filters.reports import Reports
from mailplat.filters.threads import FilterThreads
from mailplat.filters.watchdog import Watchdog
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.policy_table import IPolicyTable
from mailplat.message.auth.lookups import ascii_domain
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import Action

__all__ = ["CurrentFiltering", "Filtering", "SharedFiltering", "make_filtering", "make_shared"]

_log = Logger()

ListedRule = tuple[Rule, tuple[str, ...]]
"""A filter, and the names of its listeners; none is for all."""


@dataclass(frozen=True, slots=True)
class SharedFiltering:
    """What all filters share, as long as the server runs.

    Attributes:
        threads: Where those are asked that block.
        reports: What happens.
        watchdog: Tells what holds the reactor up.
        policy: Where policy filters remember what they saw.
        dmarc_results: Gathers what domains are told of mail in their name; None if they are not.
    """

    threads: FilterThreads
    reports: Reports
    watchdog: Watchdog
    policy: IPolicyTable
    dmarc_results: DmarcResults | None = None


@dataclass(frozen=True, slots=True)
class Filtering:
    """The filters of one configuration.

    Attributes:
        rules: Each with the names of its listeners.
        shared: What they share.
        reactor: Twisted's.
        now: The time, seconds since 1970 UTC.
        is_local: Whether a domain is ours.
    """

    rules: tuple[ListedRule, ...]
    shared: SharedFiltering
    reactor: Any
    now: Callable[[], float]
    is_local: Callable[[str], bool]

    def chains(self, listener: str) -> Chains:
        """The filters of one listener."""
        return Chains(
            [rule for rule, names in self.rules if not names or listener in names],
            self.reactor,
            reports=self.shared.reports,
            is_local=self.is_local,
            now=self.now,
        )

    def queue_hooks(self) -> QueueHooks:
        """All filters, as the queue sees them."""
        return QueueHooks(
            [rule for rule, _ in self.rules],
            self.reactor,
            reports=self.shared.reports,
            is_local=self.is_local,
            now=self.now,
        )

    async def close(self) -> None:
        """Let filters let go of what they hold; one that cannot holds nobody up."""
        for rule, _ in self.rules:
            close = getattr(rule.filter, "close", None)
            if close is not None:
                try:
                    await maybeDeferred(close).addTimeout(rule.timeout, self.reactor)
                except BaseException:  # as in `mailplat.filters.rule`
                    _log.failure("{filter} cannot be closed", filter=rule.filter.name)


class CurrentFiltering:
    """The filters in force, to be closed in the end.

    Args:
        filtering: The first ones.

    Attributes:
        filtering: Those in force.
    """

    def __init__(self, filtering: Filtering) -> None:
        self.filtering = filtering

    async def open(self) -> None:
        """Nothing to begin: filters begin with their first connection."""

    async def close(self) -> None:
        """Let them go, and what they remembered in."""
        await self.filtering.close()
        await self.filtering.shared.policy.close()


def make_shared(
    configuration: Configuration, reactor: Any, now: Callable[[], float]
) -> SharedFiltering:
    """Make what all filters share; nothing is opened yet."""
    options = configuration.filtering
    return SharedFiltering(
        FilterThreads(
            reactor,
            threads=options.threads,
            abandoned=options.abandoned_threads,
            waiting=options.waiting_questions,
        ),
        Reports(),
        Watchdog(reactor, options.stall_notice),
        make_policy_table(configuration, reactor, now),
        make_dmarc_results(configuration, reactor),
    )


def make_dmarc_results(configuration: Configuration, reactor: Any) -> DmarcResults | None:
    """Make what gathers results of DMARC; None where no reports are sent.

    Raises:
        ConfigurationFault: Nobody could send them.
    """
    options = configuration.dmarc
    if not options.reports:
        return None
    dmarc_sender(configuration)
    return DmarcResults(
        reactor,
        configuration.server.data_directory / "dmarc.sqlite",
        interval=int(options.interval),
        max_rows=options.max_rows,
    )


def dmarc_sender(configuration: Configuration) -> Address:
    """Give the address that reports on DMARC come from.

    Raises:
        ConfigurationFault: `dmarc.sender` is not an address.
    """
    said, domain = configuration.dmarc.sender, configuration.server.domains[0]
    local, _, host = said.rpartition("@")
    if said and (not local or ascii_domain(host) is None):
        raise ConfigurationFault(f"dmarc.sender: {said!r} is not an address; write dmarc@{domain}")
    return Address(local, host) if said else Address("postmaster", domain)


def make_filtering(
    configuration: Configuration,
    settings: FilterSettings,
    shared: SharedFiltering,
    is_local: Callable[[str], bool],
) -> Filtering:
    """Make the filters that a configuration names.

    Args:
        configuration: As read.
        settings: What every filter is told; its own options are put in.
        shared: What filters share.
        is_local: Whether a domain is ours.

    Raises:
        ConfigurationFault: One cannot be made.
    """
    settings = replace(settings, reports=shared.reports, policy=shared.policy)
    settings = replace(settings, dmarc_results=shared.dmarc_results)
    rules = tuple(_rules(configuration, settings, shared))
    return Filtering(rules, shared, settings.reactor, settings.now, is_local)


def _rules(
    configuration: Configuration, settings: FilterSettings, shared: SharedFiltering
) -> Iterator[ListedRule]:
    for options in configuration.filters:
        one = make_filter(options.use, replace(settings, options=options.options))
        if options.name:
            one.name = options.name
        rule = Rule(
            one,
            timeout=options.timeout,
            on_error=Action[options.on_error.name],
            max_changes=options.max_changes,
            max_header_bytes=options.max_header,
            max_body=configuration.message.max_size,
            remap=_remap(options),
            condition=_condition(options),
            breaker=Breaker(options.max_failures, options.rest),
            threads=shared.threads,
        )
        yield rule, options.listeners


def _remap(options: FilterOptions) -> Mapping[Action, Action]:
    said = {
        Action.ACCEPT: options.on_accept,
        Action.QUARANTINE: options.on_quarantine,
        Action.HOLD: options.on_hold,
        Action.DISCARD: options.on_discard,
        Action.DEFER: options.on_defer,
        Action.REJECT: options.on_reject,
    }
    return {action: Action[word.name] for action, word in said.items() if word is not None}


def _condition(options: FilterOptions) -> Condition:
    local = None if options.direction is None else options.direction is Direction.LOCAL
    return Condition(
        authenticated=options.authenticated,
        sender_domains=frozenset(options.sender_domains),
        recipient_domains=frozenset(options.recipient_domains),
        size_from=options.size_from,
        size_to=options.size_to,
        local=local,
    )
