"""``mailplatctl account``: who may log in, while the server runs or not.

Works with every account backend that can be edited (`IAccountsEditor`).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.naming import account_named, split_password
from mailplat.config.load import load
from mailplat.config.options import Configuration
from mailplat.config.values import Size, Unfit, read_size, spell_size
from mailplat.model.account import Account
from mailplat.model.mailbox import QuotaLimit

__all__ = ["command", "config_option"]

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
_stdin = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from the first line of the standard input instead of asking for it.",
)


@click.group(short_help="Add, list and remove accounts, change passwords.")
def command() -> None:
    """Add, list and remove accounts, and change passwords.

    A running server follows within a second.

    \b
    Examples:
      mailplatctl account add --config /srv/mail/mailplat.toml alice
      pwgen 20 1 | mailplatctl account add --password-stdin bob
      mailplatctl account add carol --address sales@example.org --quota 5GiB
      mailplatctl account list
      mailplatctl account passwd alice
      mailplatctl account set alice quota-storage 10GiB
      mailplatctl account remove bob
    """  # noqa: D301 -- click wants the control character


@command.command("add")
@config_option
@_stdin
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="A further address whose mail it gets; may be repeated.",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME",
    help="A further name to log in with; may be repeated.",
)
@click.option("--full-name", default="", help="For people.")
@click.option("--quota", metavar="SIZE", help="What it may keep: 500MiB, 5GiB.")
@click.argument("name", metavar="NAME")
def add(
    file: Path,
    password_stdin: bool,
    addresses: tuple[str, ...],
    aliases: tuple[str, ...],
    full_name: str,
    quota: str | None,
    name: str,
) -> None:
    """Add an account.

    NAME is an address in one of the server's domains. A bare name becomes an address in the first
    one and can still be used to log in. The password is asked for; NAME:PASSWORD gives it at once,
    where other users of this machine may see it.
    """
    configuration = load(file)
    name, given = split_password(name)
    plain = account_named(name, configuration.server.domains)
    account = Account(
        plain.name,
        addresses=_once(plain.addresses, addresses),
        full_name=full_name,
        quota=QuotaLimit(_size(quota)),
        aliases=_once(plain.aliases, aliases),
    )
    password = _password(given, password_stdin, account.name)

    async def work(accounts: Any) -> None:
        await accounts.add(account, password)

    _edit(configuration, work)
    also = f" (also {', '.join(account.aliases)})" if account.aliases else ""
    click.echo(f"Added {account.name}; logs in as {account.name}{also}.")


@command.command("list")
@config_option
def list_them(file: Path) -> None:
    """List all accounts."""

    async def work(accounts: Any) -> Any:
        return await accounts.list_accounts()

    found = _read(load(file), work)
    for account in found:
        click.echo(_describe(account))
    if not found:
        click.echo("There are no accounts.", err=True)


@command.command("passwd")
@config_option
@_stdin
@click.argument("name", metavar="NAME")
def passwd(file: Path, password_stdin: bool, name: str) -> None:
    """Change the password of the account NAME; an alias of it will do."""
    configuration = load(file)
    name, given = split_password(name)
    password = _password(given, password_stdin, name)

    async def work(accounts: Any) -> str:
        account = await _get(accounts, name, configuration)
        await accounts.set_password(account.name, password)
        return account.name

    click.echo(f"Changed the password of {_edit(configuration, work)}.")


@command.command("set")
@config_option
@click.argument("name", metavar="NAME")
@click.argument("setting", metavar="SETTING")
@click.argument("value", metavar="[VALUE]", required=False)
def set_(file: Path, name: str, setting: str, value: str | None) -> None:
    """Change a setting of the account NAME; without VALUE, go back to what is usual.

    \b
    quota-storage   what it may keep: 500MiB, 5GiB
    quota-messages  how many messages it may keep
    full-name       for people
    disabled        yes or no: whether nobody may log in
    imap-disabled   capabilities it is not offered by IMAP: IDLE,QRESYNC
    x-...           what a plugin asks for

    It holds from the account's next log-in on.
    """  # noqa: D301 -- click wants the control character
    configuration = load(file)

    async def work(accounts: Any) -> str:
        account = await _get(accounts, name, configuration)
        await accounts.replace(_with(account, setting, value))
        return account.name

    click.echo(f"Changed {setting} of {_edit(configuration, work)}.")


def _with(account: Account, setting: str, value: str | None) -> Account:
    """Give an account with a setting changed."""
    if setting == "quota-storage":
        return replace(account, quota=replace(account.quota, storage=_size(value, setting)))
    if setting == "quota-messages":
        return replace(account, quota=replace(account.quota, messages=_size(value, setting)))
    if setting == "full-name":
        return replace(account, full_name=value or "")
    if setting == "disabled":
        if value not in (None, "yes", "no"):
            raise click.ClickException(f"disabled: found {value!r}, expected yes or no")
        return replace(account, enabled=value != "yes")
    if setting in _SETTINGS or setting.startswith("x-"):
        return account.with_setting(setting, value)
    known = ", ".join(["quota-storage", "quota-messages", "full-name", "disabled", *_SETTINGS])
    raise click.ClickException(f"there is no setting {setting!r}; expected one of {known}, x-...")


_SETTINGS = ("imap-disabled",)
"""What the server itself looks for among `Account.settings`."""


@command.command("remove")
@config_option
@click.argument("name", metavar="NAME")
def remove(file: Path, name: str) -> None:
    """Remove the account NAME; an alias of it will do. Its mail stays in the store."""
    configuration = load(file)

    async def work(accounts: Any) -> str:
        account = await _get(accounts, name, configuration)
        await accounts.remove(account.name)
        return account.name

    click.echo(f"Removed {_edit(configuration, work)}; its mail stays in the store.")


async def _get(accounts: Any, name: str, configuration: Configuration) -> Account:
    """Find an account by its name, an alias, or its name in the first domain."""
    for spelled in (name, f"{name}@{configuration.server.domains[0]}"):
        account: Account | None = await accounts.find_account(spelled)
        if account is not None:
            return account
    raise click.ClickException(
        f"there is no account {name}; `mailplatctl account list` names those there are"
    )


def _read(configuration: Configuration, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Open the accounts that a configuration names, do something, and close them."""
    from mailplat.app.ctl import running
    from mailplat.app.parts import make_accounts
    from mailplat.interfaces.plugins import PasswordSettings

    options = configuration.accounts

    async def whole(reactor: Any) -> Any:
        accounts = make_accounts(
            options.use,
            reactor,
            str(configuration.server.data_directory),
            PasswordSettings(
                scheme=options.scheme.value,
                scram=tuple(one.value for one in options.scram),
                scram_iterations=options.scram_iterations,
            ),
        )
        await accounts.open()
        try:
            return await work(accounts)
        finally:
            await accounts.close()

    return running.run(whole)


def _edit(configuration: Configuration, work: Callable[[Any], Awaitable[Any]]) -> Any:
    from mailplat.interfaces.accounts import IAccountsEditor

    async def checked(accounts: Any) -> Any:
        if not IAccountsEditor.providedBy(accounts):
            raise click.ClickException(
                f"the accounts in {configuration.accounts.use} can only be read from here; "
                "change them where they are kept"
            )
        return await work(accounts)

    return _read(configuration, checked)


def _once(*names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for some in names for name in some))


def _size(text: str | None, what: str = "--quota") -> int | None:
    try:
        return None if text is None else read_size(text)
    except Unfit as unfit:
        raise click.ClickException(f"{what}: found {text!r}, expected {unfit.expected}") from None


def _password(given: str | None, from_stdin: bool, name: str) -> str:
    if given is not None:
        password = given
    elif from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    if not password:
        raise click.ClickException("the password is empty")
    return password


def _describe(account: Account) -> str:
    words = [account.name]
    if account.aliases:
        words.append(f"logs in also as {', '.join(account.aliases)}")
    others = [address for address in account.addresses if address != account.name]
    if others:
        words.append(f"gets mail for {', '.join(others)}")
    if account.name not in account.addresses and not others:
        words.append("gets no mail")
    if account.full_name:
        words.append(account.full_name)
    if account.quota.storage is not None:
        words.append(f"quota {spell_size(Size(account.quota.storage))}")
    if account.quota.messages is not None:
        words.append(f"quota {account.quota.messages} messages")
    words += [f"{name} {value}" for name, value in account.settings]
    if not account.enabled:
        words.append("disabled")
    return "  ".join([f"{words[0]:<32}", "; ".join(words[1:])]).rstrip()
