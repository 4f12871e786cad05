"""``mailplatctl plugin``: what plugins there are, and a beginning for one of your own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.templates import COMMON, KINDS

__all__ = ["command"]


@click.group(short_help="List plugins, and begin a new one.")
def command() -> None:
    """List plugins, and begin a new one.

    \b
    Examples:
      mailplatctl plugin list
      mailplatctl plugin new filter acme
    """  # noqa: D301 -- click wants the control character


@dataclass(frozen=True, slots=True)
class Row:
    """A plugin, as it is listed."""

    kind: str
    prefix: str
    where: str
    distribution: str


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Tell what plugins are found, from where, and which could not be loaded, and why.

    The exit status is 1 if one could not be loaded.
    """
    from mailplat.app.finding import find_all
    from mailplat.app.parts import kinds_of

    found, broken = find_all()
    files = _distributions([one.where for one in found if one.entry_point is None])
    rows = []
    for one in found:
        dist = one.entry_point.dist if one.entry_point is not None else None
        name = f"{dist.name} {dist.version}" if dist is not None else files.get(one.where, "")
        rows += [Row(kind, one.plugin.prefix, one.where, name) for kind in kinds_of(one.plugin)]
    rows.sort(key=lambda row: (row.kind, row.prefix))
    if as_json:
        told: dict[str, Any] = {
            "plugins": [asdict(row) for row in rows],
            "broken": [{"name": one.name, "why": one.why} for one in broken],
        }
        click.echo(json.dumps(told, indent=2))
    else:
        _print(rows)
        for bad in broken:
            click.echo(f"cannot be loaded: {bad.name}: {bad.why}", err=True)
    if broken:
        ctx.exit(1)


def _print(rows: Sequence[Row]) -> None:
    heads = Row("KIND", "PREFIX", "FILE", "DISTRIBUTION")
    wide = max(len(row.kind) for row in (heads, *rows))
    long = max(len(row.prefix) for row in (heads, *rows))
    for row in (heads, *rows):
        name = f"  ({row.distribution})" if row.distribution else ""
        click.echo(f"{row.kind:{wide}}  {row.prefix:{long}}  {row.where}{name}")


def _distributions(files: Sequence[str]) -> Mapping[str, str]:
    """Tell which installed distribution brought each of these files."""
    wanted = set(files)
    names: dict[str, str] = {}
    for dist in distributions():
        for path in dist.files or ():
            if path.suffix == ".py" and "plugins" in path.parts:
                file = str(dist.locate_file(path))
                if file in wanted:
                    names[file] = f"{dist.name} {dist.version}"
    return names


_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@command.command("new")
@click.argument("kind", metavar="KIND", type=click.Choice(list(KINDS)))
@click.argument("name", metavar="NAME")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to write; ./mailplat_NAME if not said.",
)
def new(kind: str, name: str, directory: Path | None) -> None:
    """Write a package with a plugin of KIND called NAME, and with its test.

    KIND is filter, agent, store, accounts, route or imap. The package can be installed as it is.

    \b
    Example:
      mailplatctl plugin new filter acme
      cd mailplat_acme && pip install . && python -m pytest && mailplatctl plugin list
    """  # noqa: D301 -- click wants the control character
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"found {name!r}, expected lower case letters, digits and underscores: acme",
            param_hint="NAME",
        )
    module = f"mailplat_{name}"
    target = directory if directory is not None else Path(module)
    if target.exists() and any(target.iterdir()):
        raise click.ClickException(f"{target} is not empty; name another folder with --directory")
    _, usage, files = KINDS[kind]
    words = {"name": name, "module": module, "capital": name.upper().replace("_", "-")}
    words["usage"] = usage.format(**words)
    for path, text in {**COMMON, **files}.items():
        file = target / path.format(**words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**words), encoding="utf-8")
        click.echo(f"wrote {file}")
    click.echo(f"\nNext:  cd {target} && pip install . && python -m pytest")
