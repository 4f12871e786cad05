"""``mailplatctl``: the command, and where its sub-commands are.

A sub-command's module is imported when it is asked for, so that the command answers at once.  What
goes wrong is told in a line with its remedy, never as a traceback.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from mailplat.model.errors import MailError

__all__ = ["main"]

COMMANDS = {
    "init": "mailplat.app.ctl.init",
    "account": "mailplat.app.ctl.account",
    "store": "mailplat.app.ctl.store",
    "db": "mailplat.app.ctl.db",
    "queue": "mailplat.app.ctl.queue",
    "explain": "mailplat.app.ctl.explain",
    "probe": "mailplat.app.ctl.probe",
    "tls": "mailplat.app.ctl.tls",
    "dns": "mailplat.app.ctl.dns",
    "dkim": "mailplat.app.ctl.dkim",
    "dmarc": "mailplat.app.ctl.dmarc",
    "check-config": "mailplat.app.ctl.check",
    "filter": "mailplat.app.ctl.filter",
    "plugin": "mailplat.app.ctl.plugin",
}
"""Each sub-command with the module whose ``command`` it is."""


class LateGroup(click.Group):
    """A command whose sub-commands are imported late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name them in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run one, and tell what goes wrong as people need to read it."""
        try:
            return super().invoke(ctx)
        except MailError as error:
            raise click.ClickException(error.reason or error.public) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailplat")
def main() -> None:
    """Set up and look after a mailplat server.

    \b
    A server in three lines:
      mailplatctl init /srv/mail --domain example.org --account alice:secret
      mailplatctl check-config /srv/mail/mailplat.toml
      twistd --nodaemon mailplat --config /srv/mail/mailplat.toml
    """  # noqa: D301 -- click wants the control character
