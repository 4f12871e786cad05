"""What brings mail to other servers, made of the configuration: the resolver and the relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailplat.agents.smtp import RelayAgent, RelayOptions, Smarthost
from mailplat.agents.sts_policies import StsPolicies
from mailplat.agents.tls_demands import TLSPolicy
from mailplat.agents.tls_notes import TLSNotes
from mailplat.app.outgoing_tls import tls_entries
from mailplat.config.options import Configuration
from mailplat.config.sections.relay import SmarthostOptions
from mailplat.config.sections.routing import RelayHostOptions
from mailplat.interfaces.agents import RELAY_PREFIX
from mailplat.interfaces.resolver import IResolver
from mailplat.model.credentials import CertificateCredentials, PasswordCredentials, TokenCredentials
from mailplat.model.errors import ConfigurationFault
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.resolver import (
    Resolver,
    ResolverOptions,
    hosts_of,
    servers_of,
    system_resolver,
)
from mailplat.net.smtp_pool import PoolOptions
from mailplat.net.tls import CertificateFiles
from mailplat.proto.sasl.client import ClientCredentials

__all__ = ["make_relay", "make_relay_hosts", "make_resolver"]


def make_resolver(configuration: Configuration, reactor: Any) -> Resolver:
    """Make what asks DNS; reads the system's files."""
    options = configuration.resolver
    named = options.validators or options.servers
    servers = tuple((server, options.port) for server in named)
    return system_resolver(
        reactor,
        ResolverOptions(
            servers=servers or servers_of(_read("/etc/resolv.conf"), options.port),
            timeouts=options.timeouts,
            entries=options.cache_entries,
            memory=options.cache_size,
            failure_time=options.failure_time,
            at_once=options.max_questions,
            validating=bool(options.validators),
        ),
        hosts=hosts_of(_read("/etc/hosts")) if options.hosts_file else None,
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def make_relay(
    configuration: Configuration,
    reactor: Any,
    hostname: str,
    resolver: IResolver,
    host: Smarthost | None = None,
    *,
    policies: StsPolicies | None = None,
    notes: TLSNotes | None = None,
) -> RelayAgent:
    """Make the agent that brings mail to other servers; its `close` ends its connections.

    Args:
        configuration: As read.
        reactor: Twisted's.
        hostname: The server's own name.
        resolver: Asks DNS.
        host: The server that takes all of it; None for what ``[smarthost]`` says.
        policies: What domains demand by MTA-STS.
        notes: Takes note of what came of TLS.

    Raises:
        ConfigurationFault: A file cannot be used, or options contradict each other.
    """
    options = configuration.relay
    smarthost = host or _smarthost(configuration)
    tls = TLSPolicy.OPPORTUNISTIC if smarthost is None else TLSPolicy.VERIFIED
    if options.tls is not None:
        tls = TLSPolicy(options.tls.value)
    return RelayAgent(
        reactor,
        resolver,
        ClientContexts(
            minimum=f"TLSv{options.tls_version.value}",
            authorities=options.authorities,
            identity=None if host is not None else _identity(configuration.smarthost),
        ),
        RelayOptions(
            channel=ChannelOptions(
                hostname,
                chunking=options.chunking,
                handshake=options.handshake_timeout,
                greeting=options.greeting_timeout,
                command=options.command_timeout,
                data=options.data_timeout,
                block=options.block_timeout,
                end=options.end_timeout,
                idle=options.idle_timeout,
            ),
            pool=PoolOptions(
                per_server=options.idle_by_server,
                total=options.idle_total,
                transfers=options.max_mails,
            ),
            tls=tls,
            tls_entries=tls_entries(configuration),
            dane=options.dane,
            smarthost=smarthost,
            port=options.port,
            connect=options.connect_timeout,
            addresses=options.max_addresses,
            at_once=options.max_recipients,
            domains=options.parallel_domains,
            dead_time=options.dead_time,
        ),
        policies=policies,
        notes=notes,
    )


def make_relay_hosts(
    configuration: Configuration, reactor: Any, hostname: str, resolver: IResolver
) -> dict[str, RelayAgent]:
    """Make an agent for each relay host, by the agent's name."""
    return {
        f"{RELAY_PREFIX}{one.name}": make_relay(
            configuration, reactor, hostname, resolver, _relay_host(one)
        )
        for one in configuration.relay_hosts
    }


def _relay_host(options: RelayHostOptions) -> Smarthost:
    credentials = None
    if options.password is not None:
        credentials = PasswordCredentials(options.user, options.password.reveal())
    return Smarthost(
        options.host.lower().removesuffix("."),
        port=options.port,
        implicit_tls=options.implicit_tls,
        credentials=credentials,
        clear_passwords=options.clear_password,
    )


def _smarthost(configuration: Configuration) -> Smarthost | None:
    options = configuration.smarthost
    if not options.host:
        return None
    ways = [way for way in ("password", "token", "token_file") if getattr(options, way) is not None]
    if len(ways) > 1 or (options.password is not None and not options.user):
        raise ConfigurationFault(
            "smarthost: say one of password (with user), token and token_file to log in with"
        )
    if options.user and not ways and options.certificate is None:
        raise ConfigurationFault(
            "smarthost.user and smarthost.password belong together: say both, or neither"
        )
    credentials: ClientCredentials | None = None
    if options.password is not None:
        credentials = PasswordCredentials(options.user, options.password.reveal())
    elif options.token is not None or options.token_file is not None:
        token = "" if options.token is None else options.token.reveal()
        credentials = TokenCredentials(token, options.user)
    elif options.certificate is not None:
        credentials = CertificateCredentials(options.user)
    return Smarthost(
        options.host.lower().removesuffix("."),
        port=options.port,
        implicit_tls=options.implicit_tls,
        credentials=credentials,
        clear_passwords=options.clear_password,
        token_file=options.token_file,
    )


def _identity(options: SmarthostOptions) -> CertificateFiles | None:
    if options.certificate is None:
        return None
    return CertificateFiles(options.certificate, options.certificate_key or options.certificate)
