"""``mailplatctl dkim``: keys that sign mail, made and held against the DNS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.dns import known_domain
from mailplat.app.ctl.selecting import config_option

__all__ = ["command"]

_BITS = 2048


@click.group(name="dkim", short_help="Make keys that sign mail, and look whether the DNS has them.")
def command() -> None:
    """Make keys that sign mail, and look whether the DNS has them.

    \b
    Example:
      mailplatctl dkim new example.org 2026
    """  # noqa: D301 -- click wants the control character


@command.command(short_help="Make keys, and tell what to put where.")
@config_option
@click.option(
    "--kind",
    type=click.Choice(["both", "rsa", "ed25519"]),
    default="both",
    show_default=True,
    help="RSA, which all can verify; Ed25519, which is shorter; or one of each.",
)
@click.argument("domain", metavar="DOMAIN")
@click.argument("selector", metavar="SELECTOR")
def new(file: Path, kind: str, domain: str, selector: str) -> None:
    """Make keys for DOMAIN, named SELECTOR, in the folder dkim of the data directory.

    RSA keys have 2048 bits. An Ed25519 key's name is SELECTOR-ed25519 where both are made. What
    to put into the DNS and into the configuration is printed; nothing is overwritten, and nothing
    is signed before the configuration says so. Use another SELECTOR, such as the year, for the
    next keys, and take the old ones out of the DNS some days after they signed last.

    \b
    Examples:
      mailplatctl dkim new example.org 2026
      mailplatctl dkim new example.org 2026b --kind rsa
    """  # noqa: D301 -- click wants the control character
    import re

    from mailplat.app.domain_records import KEYS, DomainRecord
    from mailplat.app.parts import check_part
    from mailplat.config.load import load
    from mailplat.message.auth.keys import load_private_key

    name, label = known_domain(domain), selector.lower()
    if not re.fullmatch(r"(?!-)[a-z0-9-]{1,50}(?<!-)", label):
        raise click.UsageError(
            f"{selector!r} is not a selector; write letters, digits and hyphens, as in 2026"
        )
    data = load(file, check_part=check_part).server.data_directory
    kinds = ["rsa", "ed25519"] if kind == "both" else [kind]
    made: list[tuple[str, Path, bytes]] = []
    for one in kinds:
        own = f"{label}-ed25519" if one == "ed25519" and kind == "both" else label
        made.append((own, Path(KEYS) / f"{name}.{own}.pem", _key(one)))
    for _, path, _ in made:
        if (data / path).exists():
            raise click.ClickException(f"{data / path} is there already; choose another selector")
    for _, path, pem in made:
        _write(data / path, pem, data)
        click.echo(f"; {data / path}")
    click.echo("; into the DNS:")
    for own, _, pem in made:
        record = load_private_key(pem).record
        click.echo(str(DomainRecord(f"{own}._domainkey.{name}", "TXT", record, "")))
    words = ",".join(f"{name}:{own}:{path}" for own, path, _ in made)
    click.echo(f"\n# into {file}, once the DNS has them (mailplatctl dkim check {name}):")
    click.echo(f'[[filter]]\nuse = "dkim_sign:{words}"')


def _key(kind: str) -> bytes:
    """Make a private key in PEM."""
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key: Any
    if kind == "rsa":
        key = rsa.generate_private_key(65537, _BITS)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def _write(path: Path, pem: bytes, data: Path) -> None:
    """Write a file that was not there, for the data directory's owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(pem)
        if os.geteuid() == 0:  # the server may run as another user
            owner = data.stat()
            os.chown(path.parent, owner.st_uid, owner.st_gid)
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)


@command.command(name="check", short_help="Hold the configuration's keys against the DNS.")
@config_option
@click.argument("domain", metavar="DOMAIN")
@click.pass_context
def check(ctx: click.Context, file: Path, domain: str) -> None:
    """Look whether the DNS has each key of DOMAIN.

    These are the keys of the filters dkim_sign and arc_seal, and those that `dkim new` made. The
    exit status is 1 if one is missing or another one.

    \b
    Example:
      mailplatctl dkim check example.org
    """  # noqa: D301 -- click wants the control character
    from twisted.internet import reactor

    from mailplat.app.ctl import running
    from mailplat.app.domain_records import DomainRecord, Found, Seen, check_key, signers_of
    from mailplat.app.parts import check_part
    from mailplat.app.relaying import make_resolver
    from mailplat.config.load import load

    configuration = load(file, check_part=check_part)
    name = known_domain(domain)
    signers = signers_of(configuration, name)
    if not signers:
        raise click.ClickException(
            f"{file}: there is no key for {name}; `mailplatctl dkim new {name} SELECTOR` makes one"
        )
    resolver = make_resolver(configuration, reactor)

    async def work(_: Any) -> list[Found]:
        return [await check_key(resolver, one) for one in signers]

    found = running.run(work)
    for signer, one in zip(signers, found, strict=True):
        where = f"{signer.selector}._domainkey.{name}"
        detail = f": {one.detail}" if one.detail else ""
        click.echo(f"{where} {signer.key.algorithm} {one.seen}{detail}")
        if one.seen is not Seen.OK:
            click.echo(f"  should be: {DomainRecord(where, 'TXT', signer.key.record, '')}")
    ctx.exit(0 if all(one.seen is Seen.OK for one in found) else 1)
