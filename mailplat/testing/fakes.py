"""Stand-ins for parts of a server, for tests: simple, complete, and in step with the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed

__all__ = ["KnownAccounts"]


@implementer(IAccounts)
class KnownAccounts:
    """Accounts with their passwords in clear, answered at once.

    Args:
        passwords: Each account's password, by its name (``alice@example.org``); the part before
            the ``@`` logs in too.
    """

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = dict(passwords)
        self._accounts = {name: Account(name, (name,)) for name in passwords}

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        account = await self.find_account(name)
        if account is None or self._passwords[account.name] != password:
            raise AuthenticationFailed(f"wrong name or password of {name}")
        return account

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        name = name.lower()
        return self._accounts.get(name) or next(
            (one for one in self._accounts.values() if one.name.partition("@")[0] == name), None
        )

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        return self._accounts.get(address.lower())

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return [self._accounts[name] for name in sorted(self._accounts)]
