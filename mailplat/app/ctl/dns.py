"""``mailplatctl dns``: the records that a domain should have, and whether the DNS has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.selecting import config_option

__all__ = ["command", "known_domain"]


@click.command(short_help="Tell which DNS records a domain should have.")
@config_option
@click.option(
    "--check/--no-check",
    "asked",
    default=True,
    help="Whether to ask the DNS which of them are there.  [default: --check]",
)
@click.argument("domain", metavar="DOMAIN")
@click.pass_context
def command(ctx: click.Context, file: Path, asked: bool, domain: str) -> None:
    """Print the records that DOMAIN should have, as lines of a zone file, and look for them.

    MX, SPF, the keys that sign or were made to, DMARC, MTA-STS, TLSRPT, and SRV for
    mail programs. A line that begins with a semicolon says what for, and what the DNS has. The
    exit status is 1 if a record is missing or wrong. SRV is not looked for.

    \b
    Examples:
      mailplatctl dns example.org
      mailplatctl dns example.org --no-check >>example.org.zone
    """  # noqa: D301 -- click wants the control character
    import socket
    from time import time

    from twisted.internet import reactor

    from mailplat.app.ctl import running
    from mailplat.app.domain_records import DomainRecord, Found, Seen, domain_records
    from mailplat.app.parts import check_part
    from mailplat.app.relaying import make_resolver
    from mailplat.config.listeners import listeners_of
    from mailplat.config.load import load

    configuration = load(file, check_part=check_part)
    name = known_domain(domain)
    records = list(
        domain_records(
            configuration,
            listeners_of(configuration),
            configuration.server.hostname or socket.getfqdn(),
            name,
            make_resolver(configuration, reactor),
            int(time()),
        )
    )

    async def work(_: Any) -> list[tuple[DomainRecord, Found | None]]:
        return [(one, await one.look() if one.look else None) for one in records]

    told = running.run(work) if asked else [(one, None) for one in records]
    for record, found in told:
        seen = f" [{found.seen}{f': {found.detail}' if found.detail else ''}]" if found else ""
        click.echo(f"; {record.why}{seen}")
        click.echo(str(record))
    if name not in configuration.server.domains:
        click.echo(f"; {name} is not one of server.domains in {file}: no mail is taken for it")
    bad = [one for _, one in told if one and one.seen in (Seen.MISSING, Seen.WRONG)]
    ctx.exit(1 if bad else 0)


def known_domain(text: str) -> str:
    """Read a domain from the command line.

    Raises:
        click.UsageError: It is none.
    """
    from mailplat.message.auth.lookups import ascii_domain

    name = ascii_domain(text)
    if name is None:
        raise click.UsageError(f"{text!r} is not a domain; write one such as example.org")
    return name
