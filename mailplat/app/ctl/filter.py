"""``mailplatctl filter``: what the configured filters say of a mail, without sending one."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from mailplat.config.load import load
from mailplat.model.account import Account
from mailplat.model.address import Address

__all__ = ["command"]


@click.group(short_help="Try the filters on a mail.")
def command() -> None:
    """Try the filters of a configuration on a mail.

    \b
    Example:
      mailplatctl filter test mail.eml --from a@example.net --rcpt alice --ip 192.0.2.1
    """  # noqa: D301 -- click wants the control character


@command.command("test")
@click.option(
    "--config",
    "file",
    default="mailplat.toml",
    show_default=True,
    envvar="MAILPLAT_CONFIG",
    show_envvar=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The configuration of the server.",
)
@click.option("--from", "sender", default="", metavar="ADDRESS", help="MAIL FROM; empty is <>.")
@click.option(
    "--rcpt", "recipients", multiple=True, metavar="ADDRESS", help="RCPT TO; may be repeated."
)
@click.option("--ip", default="127.0.0.1", show_default=True, help="The client's address.")
@click.option("--helo", default="localhost", show_default=True, help="What it calls itself.")
@click.option("--account", metavar="NAME", help="Who logged in.")
@click.option("--listener", default="smtp", show_default=True, help="Where it connects.")
@click.option("--all", "go_on", is_flag=True, help="Go on after a refusal, as no server does.")
@click.option("--json", "as_json", is_flag=True, help="Tell it as JSON, for programs.")
@click.argument("message", metavar="MESSAGE", type=click.Path(path_type=Path))
def test(
    file: Path,
    sender: str,
    recipients: tuple[str, ...],
    ip: str,
    helo: str,
    account: str | None,
    listener: str,
    go_on: bool,
    as_json: bool,
    message: Path,
) -> None:
    """Tell each filter's verdict on the file MESSAGE, how long it took, and what it changes.

    Nothing is stored, sent or remembered: greylisting sees everybody for the first time. Filters
    that ask other servers do ask them.
    """
    from twisted.internet import reactor

    from mailplat.app.assembly import assemble
    from mailplat.app.ctl.running import run
    from mailplat.app.ctl.trial import Trial
    from mailplat.app.parts import check_part
    from mailplat.app.remembering import forgetful

    parts = assemble(forgetful(load(file, check_part=check_part)), reactor)
    names = [one.name for one in parts.listeners]
    if listener not in names:
        raise click.UsageError(f"there is no listener {listener!r}, but {', '.join(names)}")
    domain = parts.configuration.server.domains[0]
    trial = Trial(
        re.sub(rb"\r?\n", b"\r\n", message.read_bytes()),
        _ip(ip),
        helo,
        Account(account) if account else None,
        _address(sender, domain) if sender else None,
        tuple(_address(one, domain) for one in recipients or ("postmaster",)),
        listener,
        go_on,
    )
    rules = [rule for rule, only in parts.rules if not only or listener in only]
    if not rules and not as_json:
        click.echo(f"the listener {listener} has no filters")

    async def work(reactor: Any) -> str:
        for part in (parts.accounts, parts.routes, parts.filtering.shared.threads):
            await part.open()
        try:
            asked = (rules, reactor, parts.hostname, parts.routes.is_local_domain)
            if not as_json:
                return "\n".join(await trial.told(*asked))
            steps, end = await trial.walked(*asked)
            return json.dumps({"steps": [step.as_json() for step in steps], "end": end}, indent=2)
        finally:
            await parts.filtering.close()
            for part in (parts.filtering.shared.threads, parts.routes, parts.accounts):
                await part.close()

    click.echo(run(work))


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise click.UsageError(f"{text!r} is no IP address") from None


def _address(text: str, domain: str) -> Address:
    local, at, named = text.rpartition("@")
    return Address(local, named) if at else Address(text, domain)
