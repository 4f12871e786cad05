"""The reading half of an account backend that holds all its accounts in a `Directory`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from mailplat.accounts.directory import Directory, Entry
from mailplat.accounts.passwords import PasswordChecker
from mailplat.model.account import Account
from mailplat.model.credentials import ScramKeys

__all__ = ["DirectoryLookups"]


class DirectoryLookups(ABC):
    """Answers from the directory that `_current` gives."""

    def __init__(self, checker: PasswordChecker) -> None:
        self._checker = checker

    @abstractmethod
    async def _current(self) -> Directory:
        """Give the accounts as they are now."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        directory = await self._current()
        entry = directory.find_login(name)
        return await self._checker.log_in(name, password, entry, directory.decoy)

    @abstractmethod
    def scram_algorithms(self) -> Collection[str]:
        """See `IScramAccounts.scram_algorithms`."""

    async def scram_keys(self, name: str, algorithm: str) -> ScramKeys:
        """See `IScramAccounts.scram_keys`."""
        directory = await self._current()
        entry = directory.find_login(name)
        return self._checker.scram_keys(name, algorithm, entry, directory.scram_decoy(algorithm))

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        return _account_of((await self._current()).find_login(name))

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        return _account_of((await self._current()).find_address(address))

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return (await self._current()).accounts


def _account_of(entry: Entry | None) -> Account | None:
    return None if entry is None else entry.account
