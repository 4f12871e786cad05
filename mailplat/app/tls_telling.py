"""What is asked of TLS with other servers, for the command line: asked as the relay asks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any

from mailplat.agents.exchangers import find_exchangers
from mailplat.agents.sts_policies import Found, StsPolicies
from mailplat.agents.tls_demands import Demand, TLSDemands, TLSPolicy
from mailplat.app.outgoing_tls import make_policies, policy_file, tls_entries
from mailplat.app.relaying import make_resolver
from mailplat.config.options import Configuration
from mailplat.config.sections.relay import RelayTLS
from mailplat.model.errors import ConfigurationFault
from mailplat.model.reply import Reply

__all__ = ["demands_of", "kept_policies", "refreshed"]


async def demands_of(configuration: Configuration, reactor: Any, domain: str) -> list[str]:
    """Tell, in lines, what would be asked of each mail server of a domain.

    Raises:
        Unavailable: DNS cannot be asked.
    """
    resolver = make_resolver(configuration, reactor)
    policies = make_policies(configuration, reactor, time, resolver)
    if policies is not None:
        await policies.open()
    least = configuration.relay.tls or RelayTLS.OPPORTUNISTIC
    demands = TLSDemands(
        resolver,
        TLSPolicy(least.value),
        entries=tls_entries(configuration),
        dane=configuration.relay.dane,
        policies=policies,
    )
    try:
        hosts = await find_exchangers(resolver, domain, own_names=(), shuffle=lambda records: None)
        if isinstance(hosts, Reply):
            return [f"{domain}: {hosts.text}"]
        asked = demands.domain(domain, hosts, configuration.relay.port)
        signed = "signed" if hosts.authentic else "not signed, or nobody here checks it"
        lines = [f"{domain}: its servers in DNS are {signed}"]
        for host in hosts.hosts:
            demand = await asked.demand(host)
            lines += [f"{host or '(none)'}", *(f"  {line}" for line in _spelled(demand))]
        return lines
    finally:
        if policies is not None:
            await policies.close()


def kept_policies(configuration: Configuration) -> list[str]:
    """Tell, in lines, which policies of MTA-STS are kept; reads a file."""
    kept = policy_file(configuration).load(int(time()), configuration.mta_sts.max_policies)
    lines = []
    for one in sorted(kept, key=lambda one: one.domain):
        until = datetime.fromtimestamp(one.expires, UTC).strftime("%Y-%m-%d %H:%M")
        hosts = ",".join(one.policy.hosts) or "-"
        lines.append(f"{one.domain}  {one.policy.mode.value}  {hosts}  until {until} UTC")
    return lines or ["no policies are kept"]


async def refreshed(
    configuration: Configuration, reactor: Any, domains: Sequence[str]
) -> list[tuple[str, bool]]:
    """Fetch policies anew; tell what came of each in a line, and whether it failed.

    Args:
        configuration: As read.
        reactor: Twisted's.
        domains: Whose; none for all that have one here.

    Raises:
        ConfigurationFault: Policies are not heeded.
    """
    made = make_policies(configuration, reactor, time, make_resolver(configuration, reactor))
    if made is None:
        raise ConfigurationFault("mta_sts.enabled is false: no policies are heeded")
    policies: StsPolicies = made
    await policies.open()
    try:
        told = []
        for domain in domains or tuple(one.domain for one in policies):
            found = await policies.refresh(domain)
            told.append((f"{domain}: {_found(found)}", bool(found.fault)))
        return told
    finally:
        await policies.close()


def _found(found: Found) -> str:
    if found.fault:
        return f"{found.fault}: {found.why}"
    if found.policy is None:
        return "it has no policy"
    return f"{found.policy.mode.value}: {', '.join(found.policy.hosts) or 'no servers'}"


_MEANINGS = {
    TLSPolicy.NEVER: "in clear",
    TLSPolicy.OPPORTUNISTIC: "TLS where it is offered, in clear where it is not",
    TLSPolicy.REQUIRED: "TLS, whoever it is",
    TLSPolicy.VERIFIED: "TLS, with a certificate of a known authority for its name",
}


def _spelled(demand: Demand | Reply) -> Iterator[str]:
    if isinstance(demand, Reply):
        yield f"not used: {demand.text}"
        return
    if demand.dane is not None:
        yield "TLS, with a certificate that DNS names (DANE)"
    else:
        yield _MEANINGS[demand.tls]
    if demand.names:
        yield f"names: {', '.join(demand.names)}"
    if demand.applied is not None:
        for line in demand.applied.lines:
            yield f"{demand.applied.kind.value}: {line}"
