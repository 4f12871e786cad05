"""What people call an account on the command line, and what the account is then called.

A bare name becomes an address in the server's first domain and stays a log-in alias, so that
``alice`` logs in both as ``alice`` and as ``alice@example.org``.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from mailplat.config.values import Unfit, read_domain
from mailplat.model.account import Account, is_account_name

__all__ = ["account_named", "split_password"]


def split_password(text: str) -> tuple[str, str | None]:
    """Split ``NAME:PASSWORD`` at the first colon; a password may hold further ones."""
    name, colon, password = text.partition(":")
    return name, password if colon else None


def account_named(name: str, domains: Sequence[str]) -> Account:
    """Make the account that a name on the command line means.

    Raises:
        click.ClickException: It cannot name an account here; with the remedy.
    """
    name = name.strip().lower()
    local, at, domain = name.rpartition("@")
    bare = not at
    if bare:
        local, domain = name, domains[0]
    try:
        usable = bool(local) and is_account_name(f"{local}@{read_domain(domain)}")
    except Unfit:
        usable = False
    if not usable:
        raise click.ClickException(
            f"{name!r} cannot name an account; say a name such as alice, or an address such as "
            f"alice@{domains[0]}"
        )
    if domain not in domains:
        raise click.ClickException(
            f"{domain} is not a domain of this server ({', '.join(domains)}), so {name} would "
            "get no mail; add it to server.domains (with init: --domain)"
        )
    address = f"{local}@{domain}"
    return Account(address, addresses=(address,), aliases=(local,) if bare else ())
