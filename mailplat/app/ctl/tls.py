"""``mailplatctl tls``: what is asked of TLS with other servers, and the policies that are kept."""

from __future__ import annotations

from pathlib import Path

import click

from mailplat.app.ctl.selecting import config_option
from mailplat.config.load import load
from mailplat.config.options import Configuration

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
    from mailplat.app.ctl.running import run
    from mailplat.app.tls_telling import demands_of

    configuration = _loaded(file)
    lines = run(lambda reactor: demands_of(configuration, reactor, domain))
    click.echo("\n".join(lines))


@command.command("list")
@config_option
def list_policies(file: Path) -> None:
    """List the policies of MTA-STS that are kept: domain, mode, servers, until when they hold."""
    from mailplat.app.tls_telling import kept_policies

    click.echo("\n".join(kept_policies(_loaded(file))))


@command.command("refresh")
@config_option
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...")
def refresh(file: Path, domains: tuple[str, ...]) -> None:
    """Fetch policies anew: of some domains, or of all that have one here. A server takes them."""
    from mailplat.app.control import POLICIES_CHANGED, tell
    from mailplat.app.ctl.running import run
    from mailplat.app.tls_telling import refreshed

    configuration = _loaded(file)
    told = run(lambda reactor: refreshed(configuration, reactor, domains))
    tell(configuration.server.data_directory, POLICIES_CHANGED)
    for line, _ in told:
        click.echo(line)
    if any(failed for _, failed in told):
        raise SystemExit(1)


def _loaded(file: Path) -> Configuration:
    from mailplat.app.parts import check_part

    return load(file, check_part=check_part)
