"""``mailplatctl db``: the schema of the databases, and its revisions.

All work is in `mailplat.app.upkeep.migrating`, which is imported late, and Alembic with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailplat.app.ctl.account import config_option
from mailplat.config.load import load

if TYPE_CHECKING:
    from mailplat.app.upkeep.migrating import Revision, Schema

__all__ = ["command"]

_of = click.option(
    "--of",
    "kind",
    type=click.Choice(["store", "accounts"]),
    help="Which schema; without it, the store's, and for `upgrade` both.",
)
_force = click.option(
    "--force", is_flag=True, help="Do so though other processes are connected to PostgreSQL."
)
_to = click.argument("revision", default="")


@click.group(short_help="Bring the databases to another version's schema.")
def command() -> None:
    """Bring the databases to the schema of another version, and back.

    A server refuses a database whose schema is older or newer than its own. Stop all servers and
    make a backup before. The spool is not concerned: it follows by itself.

    \b
    Examples:
      mailplatctl db current --config /srv/mail/mailplat.toml
      mailplatctl db upgrade
      mailplatctl db downgrade 0001
      mailplatctl db history
    """  # noqa: D301 -- click wants the control character


@command.command("current")
@config_option
@click.pass_context
def current(ctx: click.Context, file: Path) -> None:
    """Tell which revision each database has; exit with 1 if one is not this version's."""
    fits = True
    for schema in _schemas(file, None):
        found, newest = schema.current(), schema.history()[0].id
        if found is None:
            what = "not made yet: the server makes it"
        elif found == newest:
            what = f"{found}, as this version needs it"
        else:
            fits = False
            way = "upgrade" if found < newest else "downgrade, by the newer version,"
            what = f"{found}; this version needs {newest}: `mailplatctl db {way}` first"
        click.echo(f"{schema.kind:<8}  {schema.name}  {what}")
    if not fits:
        ctx.exit(1)


@command.command("history")
@config_option
@_of
def history(file: Path, kind: str | None) -> None:
    """List the revisions, the newest first; `*` marks what the database has."""
    for schema in _schemas(file, kind):
        found = schema.current()
        click.echo(f"{schema.kind}  {schema.name}")
        for revision in schema.history():
            click.echo(f" {'*' if revision.id == found else ' '} {_spelt(revision)}")


@command.command("upgrade")
@config_option
@_of
@_force
@_to
def upgrade(file: Path, kind: str | None, force: bool, revision: str) -> None:
    """Bring the databases up to REVISION, or to this version's."""
    for schema in _schemas(file, kind or ("store" if revision else None)):
        if schema.current() is None:
            click.echo(f"{schema.kind}: {schema.name} is not made yet: the server makes it")
            continue
        _tell(schema, "upgraded to", schema.upgrade(revision, force=force))


@command.command("downgrade")
@config_option
@_of
@_force
@_to
def downgrade(file: Path, kind: str | None, force: bool, revision: str) -> None:
    """Take a database back to REVISION, or by one, for an older version of mailplat."""
    for schema in _schemas(file, kind or "store"):
        _tell(schema, "taken back:", schema.downgrade(revision, force=force))


def _schemas(file: Path, kind: str | None) -> Sequence[Schema]:
    from mailplat.app.upkeep.migrating import schemas

    configuration = load(file)
    found = [
        schema
        for schema in schemas(
            configuration.store.use,
            configuration.accounts.use,
            str(configuration.server.data_directory),
        )
        if kind in (None, schema.kind)
    ]
    if not found:
        raise click.ClickException("this configuration has no database with revisions")
    return found


def _tell(schema: Schema, what: str, done: Sequence[Revision]) -> None:
    for revision in done:
        click.echo(f"{schema.kind}: {what} {_spelt(revision)}")
    click.echo(f"{schema.kind}: {schema.name} has revision {schema.current()}")


def _spelt(revision: Revision) -> str:
    return f"{revision.id}  {revision.meaning}"
