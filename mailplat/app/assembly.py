"""From a configuration to the parts of a running server: every option lands here, once.

The parts know nothing of each other but their interfaces; this module knows all of them and does
nothing else.  `mailplat.app.listening` puts the ports in front.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

from mailplat.agents.expansion import ExpansionAgent
from mailplat.agents.mailbox import MailboxAgent
from mailplat.agents.sts_policies import StsPolicies
from mailplat.agents.tls_counts import TLSCounts
from mailplat.app.current import CurrentRoutes
from mailplat.app.filtering import Filtering, make_filtering, make_shared
from mailplat.app.keeping import scan_limits_of, store_of
from mailplat.app.logging_in import make_log_ins, make_tokens, password_settings
from mailplat.app.outgoing import make_runner, make_spool
from mailplat.app.outgoing_tls import make_counts, make_policies
from mailplat.app.parts import make_accounts, make_agent
from mailplat.app.relaying import make_relay, make_relay_hosts, make_resolver
from mailplat.app.remembering import NextServers
from mailplat.app.routing import CommandAgents, allows_commands, make_routes
from mailplat.config.listeners import Listener, listeners_of
from mailplat.config.options import Configuration
from mailplat.config.sections.server import TLSUse
from mailplat.filters.chain import Chains, Rule
from mailplat.filters.queue_hooks import QueueHooks
from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.agents import (
    ALIAS_AGENT,
    LIST_AGENT,
    MAILBOX_AGENT,
    RELAY_AGENT,
    IDeliveryAgent,
)
from mailplat.interfaces.plugins import AgentSettings, FilterSettings
from mailplat.interfaces.resolver import IResolver
from mailplat.interfaces.store import IStore
from mailplat.interfaces.tokens import ITokens
from mailplat.message.scan import ScanLimits
from mailplat.net.factory import SessionIds
from mailplat.net.limits import AccountConnections, ConnectionLimits
from mailplat.net.networks import Networks
from mailplat.net.rates import Rates
from mailplat.net.throttle import LoginIntervals
from mailplat.net.tls import CertificateFiles, TLSContexts
from mailplat.queue.runner import Runner
from mailplat.routes.table import RouteTable
from mailplat.sessions.login import LoginParts
from mailplat.sessions.smtp.mail_rates import MailRates
from mailplat.sessions.smtp.queue_ids import QueueIds
from mailplat.spool.intake import Intakes
from mailplat.spool.spool import Spool

__all__ = ["Parts", "assemble", "renew"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the ports of a server share.

    Attributes:
        configuration: As read.
        hostname: The server's own name.
        reactor: Twisted's.
        now: The time, seconds since 1970 UTC.
        accounts: Who may log in.
        store: Everybody's mail.
        routes: Where mail leads.
        resolver: Asks DNS.
        policies: Know what domains demand by MTA-STS; None where that is not heeded.
        tls_counts: Count what came of TLS; None where nobody is told.
        intakes: Take messages in.
        logins: Counts the sessions of each account.
        tokens: Judge bearer tokens; None where none are taken.
        log_ins: Find out whose credentials these are.
        intervals: Keep POP3's log-ins of an account apart.
        connections: Counts connections.
        rates: Counts the mail of each account and address.
        ids: Names sessions.
        queue_ids: Names messages.
        tls: Certificates, by the authorities of clients' certificates.
        scan_limits: How far a message is taken apart.
        listeners: The ports to be.
        filtering: The filters.
        hooks: The filters, as the queue sees them.
        agents: The delivery agents by name; the one without a name relays to other servers.
        spool: Keeps mail on its way out.
        runner: Works on it.
    """

    configuration: Configuration
    hostname: str
    reactor: Any
    now: Callable[[], float]
    accounts: IAccounts
    store: IStore
    routes: CurrentRoutes
    resolver: IResolver
    policies: StsPolicies | None
    tls_counts: TLSCounts | None
    intakes: Intakes
    logins: AccountConnections
    tokens: ITokens | None
    log_ins: LoginParts
    intervals: LoginIntervals
    connections: ConnectionLimits
    rates: MailRates
    ids: SessionIds
    queue_ids: QueueIds
    tls: Mapping[Path | None, TLSContexts]
    scan_limits: ScanLimits
    listeners: tuple[Listener, ...]
    filtering: Filtering
    hooks: QueueHooks
    agents: Mapping[str, IDeliveryAgent]
    spool: Spool
    runner: Runner

    @property
    def rules(self) -> tuple[tuple[Rule, tuple[str, ...]], ...]:
        """The filters, each with the names of its listeners; ``()`` is all."""
        return self.filtering.rules

    def chains(self, listener: Listener) -> Chains:
        """The filters of one listener."""
        return self.filtering.chains(listener.name)


def assemble(configuration: Configuration, reactor: Any) -> Parts:
    """Make all parts; nothing is opened yet.

    Raises:
        ConfigurationFault: A part cannot be made of what the configuration says.
    """
    data = configuration.server.data_directory
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    options, limits = configuration.message, configuration.limits
    quota = configuration.accounts
    accounts = make_accounts(
        quota.use,
        reactor,
        str(data),
        password_settings(configuration),
    )
    tokens = make_tokens(configuration, reactor, time)
    store = store_of(configuration, reactor)
    listeners = listeners_of(configuration)
    hostname = configuration.server.hostname or socket.getfqdn()
    routes = CurrentRoutes(make_routes(configuration, reactor, time, accounts, store))
    scan_limits = scan_limits_of(configuration)
    resolver = make_resolver(configuration, reactor)
    policies = make_policies(configuration, reactor, time, resolver)
    counts = make_counts(configuration, reactor, time)
    settings = AgentSettings(reactor, hostname, str(data), resolver)
    agents: Mapping[str, IDeliveryAgent] = {
        ALIAS_AGENT: ExpansionAgent(ALIAS_AGENT),
        LIST_AGENT: ExpansionAgent(LIST_AGENT),
        **make_relay_hosts(configuration, reactor, hostname, resolver),
        MAILBOX_AGENT: MailboxAgent(routes, store, time, scan_limits),
        RELAY_AGENT: make_relay(
            configuration, reactor, hostname, resolver, policies=policies, notes=counts
        ),
        **{
            one.name: make_agent(one.use, replace(settings, options=one.options))
            for one in configuration.agents
        },
    }
    if allows_commands(configuration):
        agents = CommandAgents(agents, reactor)
    queue_ids = QueueIds(time)
    filtering = make_filtering(
        configuration,
        FilterSettings(
            reactor,
            hostname,
            str(data),
            resolver,
            now=time,
            verify=NextServers(routes, agents).verify,
        ),
        make_shared(configuration, reactor, time),
        routes.is_local_domain,
    )
    hooks = filtering.queue_hooks()
    spool = make_spool(configuration, reactor, time)
    return Parts(
        configuration=configuration,
        hostname=hostname,
        reactor=reactor,
        now=time,
        accounts=accounts,
        store=store,
        routes=routes,
        resolver=resolver,
        policies=policies,
        tls_counts=counts,
        intakes=Intakes(
            reactor,
            str(data / "incoming"),
            spill=options.memory_size,
            budget=options.memory_total,
        ),
        logins=AccountConnections(configuration.limits.connections_by_account),
        tokens=tokens,
        log_ins=make_log_ins(configuration, accounts, tokens, reactor),
        intervals=LoginIntervals(reactor, configuration.pop3.login_delay),
        connections=ConnectionLimits(
            total=limits.connections,
            per_network=limits.connections_by_address,
            per_prefix=limits.connections_by_prefix,
            rates=Rates(reactor.seconds, limits.connection_rate_by_address, 60.0),
            prefix_rates=Rates(reactor.seconds, limits.connection_rate_by_prefix, 60.0),
            trusted=limits.trusted,
        ),
        rates=MailRates(
            Rates(reactor.seconds, configuration.submission.messages_by_hour, 3600.0),
            Rates(reactor.seconds, configuration.submission.recipients_by_hour, 3600.0),
            Rates(reactor.seconds, configuration.smtp.message_rate_by_address, 60.0),
            Rates(reactor.seconds, configuration.smtp.recipient_rate_by_address, 60.0),
            Networks(limits.trusted),
        ),
        ids=SessionIds(),
        queue_ids=queue_ids,
        tls=_tls(configuration, listeners),
        scan_limits=scan_limits,
        listeners=listeners,
        filtering=filtering,
        hooks=hooks,
        agents=agents,
        spool=spool,
        runner=make_runner(
            configuration, reactor, time, spool, agents, routes, hostname, queue_ids, hooks
        ),
    )


def renew(parts: Parts, configuration: Configuration) -> tuple[Parts, RouteTable]:
    """Make anew what may change while the server runs; all else stays the same.

    Args:
        parts: What the server is made of.
        configuration: What it is to be like now.

    Returns:
        The new parts, and routes that are to be opened and exchanged.

    Raises:
        ConfigurationFault: A part cannot be made of what the configuration says.
    """
    routes = make_routes(configuration, parts.reactor, parts.now, parts.accounts, parts.store)
    listeners = listeners_of(configuration)
    tls = _tls(configuration, listeners)
    data = str(configuration.server.data_directory)
    filtering = make_filtering(
        configuration,
        FilterSettings(
            parts.reactor,
            parts.hostname,
            data,
            parts.resolver,
            now=parts.now,
            verify=NextServers(parts.routes, parts.agents).verify,
        ),
        parts.filtering.shared,
        parts.routes.is_local_domain,
    )
    return replace(
        parts,
        configuration=configuration,
        tls=tls,
        scan_limits=scan_limits_of(configuration),
        listeners=listeners,
        filtering=filtering,
        hooks=filtering.queue_hooks(),
    ), routes


def _tls(
    configuration: Configuration, listeners: tuple[Listener, ...]
) -> Mapping[Path | None, TLSContexts]:
    """Make TLS for each file of client authorities that some listener has, and for none."""
    tls = configuration.tls
    password = tls.key_password.reveal() if tls.key_password else None
    files = [CertificateFiles(tls.certificate, tls.key, password)]
    files += [CertificateFiles(host.certificate, host.key) for host in tls.hosts]
    return {
        authorities: TLSContexts(
            files,
            minimum=f"TLSv{tls.minimum_version.value}",
            client_authorities=authorities,
        )
        for authorities in {
            one.client_authorities for one in listeners if one.tls is not TLSUse.NONE
        }
    }
