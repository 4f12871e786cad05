"""How mails of the queue are chosen on the command line: options that make a `Selection`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mailplat.config.values import Unfit, read_duration
from mailplat.interfaces.spool import Selection

__all__ = ["config_option", "selected", "selection_options"]

config_option = click.option(
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

_OPTIONS = (
    click.option("--all", "everything", is_flag=True, help="All mails."),
    click.option("--sender", metavar="ADDRESS", help="By the reverse path; <> is the null sender."),
    click.option("--recipient", metavar="ADDRESS", help="By a recipient that waits."),
    click.option("--domain", metavar="DOMAIN", help="By the domain of a recipient that waits."),
    click.option("--reason", metavar="TEXT", help="By a part of what the last attempt said."),
    click.option("--agent", metavar="NAME", help="By the delivery agent; '' is the relay."),
    click.option("--older-than", metavar="TIME", help="Arrived longer ago: 30m, 4h, 2d."),
    click.option("--younger-than", metavar="TIME", help="Arrived since then."),
    click.option("--held/--not-held", default=None, help="Whether it is held."),
    click.argument("queue_ids", nargs=-1, metavar="[QUEUE-ID]..."),
)


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it gets them as keywords for `selected`."""
    for add in reversed(_OPTIONS):
        function = add(function)
    return function


def selected(chosen: dict[str, Any], *, everything: bool = False) -> Selection:
    """Make a selection out of the options.

    Args:
        chosen: The command's keywords.
        everything: Whether no choice at all means all mails.

    Raises:
        click.ClickException: Nothing is chosen, or a time cannot be read.
    """
    told_all = chosen.pop("everything")
    ids, now = chosen.pop("queue_ids"), int(time.time())
    older, younger = chosen.pop("older_than"), chosen.pop("younger_than")
    selection = Selection(
        queue_ids=tuple(ids) or None,
        before=None if older is None else now - _seconds(older),
        after=None if younger is None else now - _seconds(younger),
        **chosen,
    )
    if not everything and not told_all and selection == Selection():
        raise click.ClickException(
            "say which mails: queue ids, --sender, --recipient, --domain, --reason, --agent, "
            "--older-than, --younger-than, --held, or --all"
        )
    return selection


def _seconds(text: str) -> int:
    try:
        return int(read_duration(text))
    except Unfit as unfit:
        raise click.ClickException(f"found {text!r}, expected {unfit.expected}") from None
