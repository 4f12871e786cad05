"""Accounts in memory: for tests, and for a demonstration that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from zope.interface import implementer

from mailplat.accounts.directory import Directory
from mailplat.accounts.lookups import DirectoryLookups
from mailplat.accounts.passwords import PasswordChecker
from mailplat.interfaces.accounts import IAccounts, IAccountsEditor, IScramAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account

__all__ = ["MemoryAccounts"]


@implementer(IAccounts, IAccountsEditor, IScramAccounts)
class MemoryAccounts(DirectoryLookups):
    """Holds accounts as long as the process lives.

    Args:
        reactor: Twisted's reactor, for its threads and its clock.
        passwords: How passwords are kept and checked.
        directory: Those that are there at the start.
    """

    def __init__(
        self,
        reactor: Any,
        passwords: PasswordSettings | None = None,
        directory: Directory | None = None,
    ) -> None:
        super().__init__(PasswordChecker(reactor, passwords or PasswordSettings()))
        self._directory = directory or Directory()

    async def open(self) -> None:
        """See `IAccounts.open`."""
        self._checker.open()

    async def close(self) -> None:
        """See `IAccounts.close`."""
        await self._checker.close()

    async def _current(self) -> Directory:
        return self._directory

    def scram_algorithms(self) -> Collection[str]:
        """See `IScramAccounts.scram_algorithms`."""
        return self._directory.scram_algorithms

    async def add(self, account: Account, password: str) -> None:
        """See `IAccountsEditor.add`."""
        self._directory.adding(account, "")  # refused before the hash is paid for
        hashed = await self._checker.hash(password)
        self._directory = self._directory.adding(account, hashed)

    async def set_password(self, name: str, password: str) -> None:
        """See `IAccountsEditor.set_password`."""
        self._directory.get(name)
        hashed = await self._checker.hash(password)
        self._directory = self._directory.with_password(name, hashed)

    async def replace(self, account: Account) -> None:
        """See `IAccountsEditor.replace`."""
        self._directory = self._directory.replacing(account)

    async def remove(self, name: str) -> None:
        """See `IAccountsEditor.remove`."""
        self._directory = self._directory.removing(name)
