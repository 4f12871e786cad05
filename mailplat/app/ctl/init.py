"""``mailplatctl init``: a whole installation in one folder.

Invariants:

- Nothing that is there already is overwritten.
- Folders are their owner's alone (0700), and so are files (0600).
- The configuration is written last: where it is, the rest is.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from mailplat.app.ctl.naming import account_named, split_password
from mailplat.config.listeners import listeners_of
from mailplat.config.options import Configuration
from mailplat.config.render import render_toml
from mailplat.config.values import (
    Domain,
    IPAddress,
    PartText,
    Unfit,
    read_address,
    read_domain,
    read_part,
    split_part,
)

__all__ = ["command", "install"]


class _Value(click.ParamType):  # type: ignore[type-arg]  # generic in click's later releases
    """A value that the configuration's own reader takes."""

    def __init__(self, name: str, read: Callable[[object], object]) -> None:
        self.name = name
        self._read = read

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Read it."""
        try:
            return self._read(value)
        except Unfit as unfit:
            self.fail(f"found {value!r}, expected {unfit.expected}", param, ctx)


@click.command(short_help="Make a new installation in a folder.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--domain",
    "domains",
    multiple=True,
    type=_Value("NAME", read_domain),
    help="A domain whose mail is kept here; may be repeated. [default: those of the accounts, "
    "else localhost]",
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="NAME:PASSWORD",
    help="Someone who may log in; may be repeated. A bare NAME becomes NAME@DOMAIN. Other users "
    "of this machine may see the password while the command runs; `mailplatctl account add` asks "
    "for it instead.",
)
@click.option(
    "--listen",
    multiple=True,
    type=_Value("ADDRESS", read_address),
    help="An IP address to listen on; may be repeated. [default: 0.0.0.0, every IPv4 address]",
)
@click.option(
    "--port-offset",
    default=0,
    metavar="N",
    type=click.IntRange(0, 64000),
    help="Added to every standard port, so that it needs no root: 10000 turns 25 into 10025.",
)
@click.option(
    "--store",
    type=_Value("SPEC", read_part),
    help="Where mail is kept: sql:sqlite:///PATH, maildir:PATH or memory:. A relative PATH begins "
    "in DIR/data. [default: sql:sqlite:///mail.sqlite]",
)
def command(
    directory: Path,
    domains: tuple[Domain, ...],
    accounts: tuple[str, ...],
    listen: tuple[IPAddress, ...],
    port_offset: int,
    store: PartText | None,
) -> None:
    """Make a new installation in the folder DIR.

    It gets a configuration with every option in it, a key and a certificate signed by itself, the
    accounts, and a folder for the mail. What is there already is never overwritten.

    \b
    For a real server (as root, or with the right to open ports below 1024):
      mailplatctl init /srv/mail --domain example.org --account alice:secret
    To try it out as yourself:
      mailplatctl init ~/mail --domain example.org --account alice:secret \\
          --listen 127.0.0.1 --port-offset 10000
    With Maildirs instead of a database:
      mailplatctl init /srv/mail --domain example.org --store maildir:/var/vmail
    """  # noqa: D301 -- click wants the control character
    directory = directory.expanduser()
    configuration = install(
        directory,
        domains=domains,
        accounts=accounts,
        listen=listen,
        port_offset=port_offset,
        store=store,
    )
    _tell(directory / "mailplat.toml", configuration, len(accounts))


def install(
    directory: Path,
    *,
    domains: tuple[Domain, ...],
    accounts: tuple[str, ...],
    listen: tuple[IPAddress, ...],
    port_offset: int,
    store: PartText | None = None,
) -> Configuration:
    """Make an installation; see `command` for the arguments.

    Raises:
        click.ClickException: It cannot be made, and nothing was written.
    """
    people = [split_password(text) for text in accounts]
    domains = domains or _domains_of(name for name, _ in people)
    configuration = _configuration(domains, listen, port_offset, store)
    if store is not None:
        from mailplat.app.parts import check_part

        check_part("store", split_part(store)[0])
    file, key = directory / "mailplat.toml", directory / "tls/server.key"
    certificate, book = directory / "tls/server.pem", directory / "data/accounts"
    for path in (file, key, certificate, book):
        if path.exists():
            raise click.ClickException(
                f"{path} is there already, and nothing is overwritten; choose another folder, or "
                "move that one away"
            )
    text = _accounts_text(people, domains)
    for folder in (directory, directory / "tls", directory / "data"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_certificate(certificate, key, _names(domains, listen))
    _write(book, text)
    _write(file, render_toml(configuration))
    return configuration


def _domains_of(names: Iterable[str]) -> tuple[Domain, ...]:
    """Give the domains of the accounts, for who did not say any."""
    found = [name.rpartition("@")[2] for name in names if "@" in name]
    try:
        return tuple(dict.fromkeys(map(read_domain, found))) or (Domain("localhost"),)
    except Unfit as unfit:
        raise click.ClickException(f"an account's domain: expected {unfit.expected}") from None


def _configuration(
    domains: tuple[Domain, ...],
    listen: tuple[IPAddress, ...],
    port_offset: int,
    store: PartText | None,
) -> Configuration:
    plain = Configuration()
    return attrs.evolve(
        plain,
        server=attrs.evolve(
            plain.server,
            domains=domains,
            listen=listen or plain.server.listen,
            port_offset=port_offset,
        ),
        store=plain.store if store is None else attrs.evolve(plain.store, use=store),
    )


def _accounts_text(people: Sequence[tuple[str, str | None]], domains: Sequence[Domain]) -> str:
    from mailplat.accounts.directory import Directory
    from mailplat.accounts.schemes import hash_password
    from mailplat.accounts.text import HEADER, read_rows, rewrite, write_rows

    directory, options = Directory(), Configuration().accounts
    algorithms = [one.value for one in options.scram]
    for name, password in people:
        if not password:
            raise click.ClickException(
                f"--account {name} has no password; say --account {name}:PASSWORD, or add it "
                "afterwards with `mailplatctl account add`, which asks for one"
            )
        hashed = hash_password(password, options.scheme.value, algorithms, options.scram_iterations)
        directory = directory.adding(account_named(name, domains), hashed)
    return write_rows(rewrite(read_rows(HEADER, "accounts"), directory))


def _names(domains: Sequence[Domain], listen: Sequence[IPAddress]) -> list[str]:
    """Name what clients may call this server, for the certificate."""
    names = [*domains, *(f"mail.{domain}" for domain in domains if domain != "localhost")]
    with suppress(Unfit):  # a machine may be called anything
        names.append(read_domain(socket.gethostname()))
    addresses = [address for address in listen if address not in {"0.0.0.0", "::"}]
    return list(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1", *addresses]))


def _write_certificate(certificate: Path, key: Path, names: Sequence[str]) -> None:
    from mailplat.net.selfsigned import self_signed

    pem = self_signed(names, datetime.now(UTC)).decode("ascii")
    start = pem.index("-----BEGIN PRIVATE KEY-----")
    _write(key, pem[start:])
    _write(certificate, pem[:start])


def _write(path: Path, text: str) -> None:
    """Write a new file, readable to its owner alone, and flush it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _tell(file: Path, configuration: Configuration, count: int) -> None:
    people = "one account" if count == 1 else f"{count or 'no'} accounts"
    click.echo(f"Wrote {file}, a self-signed certificate, and {people}. It will listen on:")
    for listener in listeners_of(configuration):
        click.echo(f"  {listener}")
    where = shlex.quote(str(file))
    if not count:
        click.echo(f"Add people:  mailplatctl account add --config {where} NAME")
    click.echo(f"Run it:      twistd --nodaemon mailplat --config {where}")
