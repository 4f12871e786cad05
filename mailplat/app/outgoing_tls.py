"""What is asked of TLS with other servers, made of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mailplat.agents.sts_file import StsFile
from mailplat.agents.sts_policies import POLICY_SIZE, StsOptions, StsPolicies
from mailplat.agents.tls_counts import TLSCounts
from mailplat.agents.tls_demands import TLSEntry, TLSPolicy
from mailplat.config.options import Configuration
from mailplat.config.sections.outgoing_tls import DomainTLS
from mailplat.interfaces.resolver import IResolver
from mailplat.model.errors import ConfigurationFault
from mailplat.net.web import WebClient, WebOptions
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["make_counts", "make_policies", "policy_file", "tls_entries"]

_FILE = "mta-sts.sqlite"
_COUNTS = "tls-reports.sqlite"


def make_policies(
    configuration: Configuration, reactor: Any, now: Callable[[], float], resolver: IResolver
) -> StsPolicies | None:
    """Make what knows policies of MTA-STS; None where none are heeded.

    Args:
        configuration: As read.
        reactor: Twisted's.
        now: The time, seconds since 1970 UTC.
        resolver: Asks DNS.

    Raises:
        ConfigurationFault: The file of authorities cannot be used.
    """
    options = configuration.mta_sts
    if not options.enabled:
        return None
    web = WebOptions(
        timeout=options.timeout,
        answer=POLICY_SIZE,
        per_server=0,
        authorities=configuration.relay.authorities,
    )
    return StsPolicies(
        reactor,
        now,
        resolver,
        WebClient(reactor, web),
        policy_file(configuration),
        StsOptions(
            policies=options.max_policies,
            refresh=options.refresh,
            failure=options.failure_time,
            patience=options.timeout,
        ),
    )


def policy_file(configuration: Configuration) -> StsFile:
    """Tell where policies are kept."""
    return StsFile(configuration.server.data_directory / _FILE)


def make_counts(
    configuration: Configuration, reactor: Any, now: Callable[[], float]
) -> TLSCounts | None:
    """Make what counts for reports on TLS; None where there are none."""
    options = configuration.tls_reports
    if not options.enabled:
        return None
    path = configuration.server.data_directory / _COUNTS
    return TLSCounts(reactor, now, path, options.max_counters)


def tls_entries(configuration: Configuration) -> dict[str, TLSEntry]:
    """Read the table of what is asked of some domains.

    Raises:
        ConfigurationFault: A domain is none, or stands there twice, or names go unused.
    """
    entries: dict[str, TLSEntry] = {}
    for one in configuration.tls_policies:
        star = "*." if one.domain.startswith("*.") else ""
        domain = ascii_domain(one.domain.removeprefix(star).removesuffix("."))
        if not domain or "*" in domain:
            raise ConfigurationFault(
                f"tls_policy: {one.domain!r} is neither a domain nor *.DOMAIN, as in *.example.net"
            )
        if f"{star}{domain}" in entries:
            raise ConfigurationFault(f"tls_policy: {one.domain} stands there twice: keep one")
        if one.names and one.tls is not DomainTLS.VERIFIED:
            raise ConfigurationFault(
                f'tls_policy: {one.domain}: names belong to tls = "verified" alone'
            )
        names = tuple(name.lower() for name in one.names)
        entries[f"{star}{domain}"] = TLSEntry(TLSPolicy(one.tls.value), names)
    return entries
