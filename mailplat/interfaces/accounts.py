"""What mailplat asks of an account backend."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence

from zope.interface import Interface

from mailplat.model.account import Account
from mailplat.model.credentials import ScramKeys

__all__ = ["IAccounts", "IAccountsEditor", "IScramAccounts"]


class IAccounts(Interface):
    """Knows who may log in, and whose address is whose.

    Names and addresses are compared in lower case.

    Conformance: `mailplat.testing.accounts.AccountsContract`.
    """

    def open() -> Awaitable[None]:
        """Make ready.

        Raises:
            ConfigurationFault: The accounts cannot be read; the reason says the remedy.
        """

    def close() -> Awaitable[None]:
        """Let go of everything."""

    def check_password(name: str, password: str) -> Awaitable[Account]:
        """Log in by a name (or an alias of it) and a password.

        Unknown names take as long as wrong passwords.  Never blocks the reactor.

        Raises:
            AuthenticationFailed: No such account, wrong password, or disabled; not told
                apart to the peer, only in the reason.
        """

    def find_account(name: str) -> Awaitable[Account | None]:
        """Find an account by its name or a log-in alias."""

    def find_address(address: str) -> Awaitable[Account | None]:
        """Find the account that gets an address's mail (``local@domain``), if there is one."""

    def list_accounts() -> Awaitable[Sequence[Account]]:
        """List all accounts by name."""


class IScramAccounts(Interface):
    """An account backend that keeps keys for SCRAM (optional; RFC 5802, RFC 7677).

    Conformance: `mailplat.testing.accounts.ScramContract`.
    """

    def scram_algorithms() -> Collection[str]:
        """Tell by which algorithms (``SCRAM-SHA-256``) whoever can log in can do so.

        A mechanism that some accounts have no keys for must not be offered: clients take the
        strongest one, and do not try another.  Answers at once, as far as is known.
        """

    def scram_keys(name: str, algorithm: str) -> Awaitable[ScramKeys]:
        """Give the keys of an account, found by its name or an alias.

        Who is unknown, disabled or has none gets keys too that no password fits, always with the
        same salt for the same name, and with as many iterations as others (RFC 5802 §9).
        """


class IAccountsEditor(Interface):
    """An account backend that can be changed from here (optional).

    Conformance: `mailplat.testing.accounts.AccountsEditorContract`.
    """

    def add(account: Account, password: str) -> Awaitable[None]:
        """Make an account; the password is kept hashed.  Durable on return.

        Raises:
            AlreadyExists: The name or one of the addresses is taken.
            Cannot: The name cannot be (`model.account.is_account_name`).
        """

    def set_password(name: str, password: str) -> Awaitable[None]:
        """Change a password; log-ins with the old one fail from now on.

        Raises:
            NoSuchAccount: There is none of that name.
        """

    def replace(account: Account) -> Awaitable[None]:
        """Change all but the password of the account of that name.

        Raises:
            NoSuchAccount: There is none of that name.
            AlreadyExists: One of the addresses belongs to another.
        """

    def remove(name: str) -> Awaitable[None]:
        """Remove an account; its mail stays in the store.

        Raises:
            NoSuchAccount: There is none of that name.
        """
