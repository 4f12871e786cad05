"""``mailplatctl probe``: what the server would say to a client, without delivering anything."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.explain import read_address
from mailplat.app.ctl.selecting import config_option
from mailplat.config.load import load
from mailplat.config.sections.server import ListenerProtocol

__all__ = ["command"]

_MESSAGE = b"Subject: probe\r\n\r\nA probe; it is not delivered.\r\n"
_SMTP = {
    ListenerProtocol.SMTP,
    ListenerProtocol.SUBMISSION,
    ListenerProtocol.SUBMISSIONS,
    ListenerProtocol.LMTP,
}


@click.command(short_help="Hold an SMTP dialogue with the configuration, and deliver nothing.")
@config_option
@click.option("--from", "sender", default="", metavar="ADDRESS", help="MAIL FROM; empty is <>.")
@click.option(
    "--rcpt",
    "recipients",
    multiple=True,
    required=True,
    metavar="ADDRESS",
    help="RCPT TO; may be repeated.",
)
@click.option("--ip", default="127.0.0.1", show_default=True, help="The client's address.")
@click.option("--helo", default="localhost", show_default=True, help="What it calls itself.")
@click.option("--listener", default="smtp", show_default=True, help="Where it connects.")
@click.option(
    "--file",
    "message",
    metavar="MESSAGE",
    type=click.Path(path_type=Path),
    help="The message; without one, a few words.",
)
def command(
    file: Path,
    sender: str,
    recipients: tuple[str, ...],
    ip: str,
    helo: str,
    listener: str,
    message: Path | None,
) -> None:
    """Hold a whole dialogue with what the configuration makes, in process and without a network.

    Routes, accounts and filters are the real ones; filters that ask other servers do ask them.
    Nothing is stored, queued, sent or remembered: what would have been is told below it.

    \b
    Example:
      mailplatctl probe --from a@example.net --rcpt alice@example.org --ip 192.0.2.1
    """  # noqa: D301 -- click wants the control character
    from twisted.internet import reactor

    from mailplat.app.assembly import assemble
    from mailplat.app.ctl import running
    from mailplat.app.ctl.rehearsal import Rehearsal, rehearse
    from mailplat.app.parts import check_part
    from mailplat.app.remembering import forgetful

    try:
        address = str(ip_address(ip))
    except ValueError:
        raise click.UsageError(f"{ip!r} is no IP address") from None
    parts = assemble(forgetful(load(file, check_part=check_part)), reactor)
    names = [one.name for one in parts.listeners if one.protocol in _SMTP]
    if listener not in names:
        raise click.UsageError(f"no listener takes mail as {listener!r}, but {', '.join(names)}")
    domain = parts.configuration.server.domains[0]
    data = _MESSAGE if message is None else re.sub(rb"\r?\n", b"\r\n", message.read_bytes())
    rehearsal = Rehearsal(
        listener,
        address,
        helo,
        read_address(sender, domain) if sender else None,
        [read_address(one, domain) for one in recipients],
        data,
    )

    async def work(_: Any) -> list[str]:
        opened: list[Any] = []
        try:
            for part in (
                parts.accounts,
                parts.routes,
                parts.filtering.shared.watchdog,
                parts.filtering.shared.threads,
            ):
                await part.open()
                opened.append(part)
            return await rehearse(parts, rehearsal)
        finally:
            await parts.filtering.close()
            while opened:
                await opened.pop().close()

    click.echo("\n".join(running.run(work)))
