"""``mailplatctl check-config``: everything that a server would refuse, before it is started."""

from __future__ import annotations

from pathlib import Path

import click

from mailplat.config.faults import ConfigurationFaults
from mailplat.config.listeners import listeners_of
from mailplat.config.load import load

__all__ = ["command"]


@click.command(short_help="Tell everything that is wrong with a configuration.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.pass_context
def command(ctx: click.Context, file: Path) -> None:
    """Tell everything that is wrong with the configuration FILE.

    Each fault is told with its line, what was found and what was expected, and the exit status is
    1. Without a fault the ports are listed that it would listen on. All is done that the server
    does before it opens a port: certificates are read too; mail is not touched.

    \b
    Example:
      mailplatctl check-config /srv/mail/mailplat.toml
    """  # noqa: D301 -- click wants the control character
    from twisted.internet import reactor

    from mailplat.app.assembly import assemble
    from mailplat.app.parts import check_part

    try:
        configuration = load(file, check_part=check_part)
        assemble(configuration, reactor)
    except ConfigurationFaults as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        count = len(error.faults)
        click.echo(f"{file}: {count} fault{'s' if count > 1 else ''}", err=True)
        ctx.exit(1)
    listeners = listeners_of(configuration)
    click.echo(f"{file}: OK, {len(listeners)} listeners")
    for listener in listeners:
        click.echo(f"  {listener}")
