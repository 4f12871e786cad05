"""``mailplatctl tls``: what is asked of TLS with other servers, and the policies that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import click

from mailplat.agents.exchangers import find_exchangers
from mailplat.agents.sts_policies import Found, StsPolicies
from mailplat.agents.tls_demands import Demand, TLSDemands, TLSPolicy
from mailplat.app.control import POLICIES_CHANGED, tell
from mailplat.app.ctl import running
from mailplat.app.ctl.selecting import config_option
from mailplat.app.outgoing_tls import make_policies, policy_file, tls_entries
from mailplat.app.relaying import make_resolver
from mailplat.config.load import load
from mailplat.config.options import Configuration
from mailplat.config.sections.relay import RelayTLS
from mailplat.model.errors import ConfigurationFault
from mailplat.model.reply import Reply

__all__ = ["command"]


@click.group(short_help="Tell what is asked of TLS with other servers.")
def command() -> None:
    """Tell what is asked of TLS with other domains' servers: by the configuration, DANE, MTA-STS.

    \b
    Examples:
      mailplatctl tls check example.net
      mailplatctl tls list
      mailplatctl tls refresh example.net
    """  # noqa: D301 -- click wants the control character


@command.command("check")
@config_option
@click.argument("domain", metavar="DOMAIN")
def check(file: Path, domain: str) -> None:
    """Tell what would be asked of each mail server of DOMAIN, in the order they are tried.

    DNS is asked, and the domain's policy is fetched if it has one; no server is connected to.
    """
    configuration = _loaded(file)

    async def work(reactor: Any) -> list[str]:
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
            hosts = await find_exchangers(
                resolver, domain, own_names=(), shuffle=lambda records: None
            )
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

    click.echo("\n".join(running.run(work)))


@command.command("list")
@config_option
def list_policies(file: Path) -> None:
    """List the policies of MTA-STS that are kept: domain, mode, servers, until when they hold."""
    configuration = _loaded(file)
    kept = policy_file(configuration).load(int(time()), configuration.mta_sts.max_policies)
    for one in sorted(kept, key=lambda one: one.domain):
        until = datetime.fromtimestamp(one.expires, UTC).strftime("%Y-%m-%d %H:%M")
        hosts = ",".join(one.policy.hosts) or "-"
        click.echo(f"{one.domain}  {one.policy.mode.value}  {hosts}  until {until} UTC")
    if not kept:
        click.echo("no policies are kept")


@command.command("refresh")
@config_option
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...")
def refresh(file: Path, domains: tuple[str, ...]) -> None:
    """Fetch policies anew: of some domains, or of all that have one here. A server takes them."""
    configuration = _loaded(file)

    async def work(reactor: Any) -> list[tuple[str, Found]]:
        made = make_policies(configuration, reactor, time, make_resolver(configuration, reactor))
        if made is None:
            raise ConfigurationFault("mta_sts.enabled is false: no policies are heeded")
        policies: StsPolicies = made
        await policies.open()
        try:
            named = domains or tuple(one.domain for one in policies)
            return [(domain, await policies.refresh(domain)) for domain in named]
        finally:
            await policies.close()

    told = running.run(work)
    tell(configuration.server.data_directory, POLICIES_CHANGED)
    for domain, found in told:
        click.echo(f"{domain}: {_found(found)}")
    if any(found.fault for _, found in told):
        raise SystemExit(1)


def _loaded(file: Path) -> Configuration:
    from mailplat.app.parts import check_part

    return load(file, check_part=check_part)


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
