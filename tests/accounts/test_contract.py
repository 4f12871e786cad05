"""The contracts of `mailplat.testing.accounts`, against each backend, and against broken ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import argon2
import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface import Invalid

from mailplat.accounts.directory import Directory, Entry
from mailplat.accounts.file import FileAccounts
from mailplat.accounts.memory import MemoryAccounts
from mailplat.accounts.sql import SQLAccounts
from mailplat.accounts.text import HEADER, read_rows, rewrite, write_rows
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed
from mailplat.testing.accounts import (
    KNOWN,
    AccountsContract,
    AccountsEditorContract,
)

QUICK = PasswordSettings(scheme="SSHA512")
_some_ms = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
DIRECTORY = Directory(
    Entry(account, "{ARGON2ID}" + _some_ms.hash(password)) for account, password in KNOWN.items()
)
Failed = pytest.fail.Exception
Reopen = Callable[[], Awaitable[Any]]


class TestMemory(AccountsContract, AccountsEditorContract):
    """Accounts in memory."""

    @pytest_twisted.async_yield_fixture
    async def accounts(self) -> AsyncIterator[MemoryAccounts]:
        """The known accounts."""
        backend = MemoryAccounts(reactor, QUICK, DIRECTORY)
        await backend.open()
        yield backend
        await backend.close()

    @pytest_twisted.async_yield_fixture
    async def editor(self) -> AsyncIterator[MemoryAccounts]:
        """No accounts."""
        backend = MemoryAccounts(reactor, QUICK)
        await backend.open()
        yield backend
        await backend.close()

    @pytest.fixture
    def reopen(self, editor: MemoryAccounts) -> Reopen:
        """Nothing outlives it: the same one."""

        async def same() -> MemoryAccounts:
            return editor

        return same


class TestFile(AccountsContract, AccountsEditorContract):
    """Accounts in a text file."""

    @pytest_twisted.async_yield_fixture
    async def accounts(self, tmp_path: Path) -> AsyncIterator[FileAccounts]:
        """The known accounts."""
        file = tmp_path / "accounts"
        file.write_text(write_rows(rewrite(read_rows(HEADER, "f"), DIRECTORY)))
        backend = FileAccounts(file, reactor, QUICK)
        await backend.open()
        yield backend
        await backend.close()

    @pytest_twisted.async_yield_fixture
    async def editor(self, tmp_path: Path) -> AsyncIterator[FileAccounts]:
        """No accounts."""
        file = tmp_path / "empty"
        file.touch()
        backend = FileAccounts(file, reactor, QUICK)
        await backend.open()
        yield backend
        await backend.close()

    @pytest_twisted.async_yield_fixture
    async def reopen(self, tmp_path: Path) -> AsyncIterator[Reopen]:
        """A second backend on the file."""
        second = FileAccounts(tmp_path / "empty", reactor, QUICK)

        async def open_second() -> FileAccounts:
            await second.open()
            return second

        yield open_second
        await second.close()


class TestSQL(AccountsContract, AccountsEditorContract):
    """Accounts in an SQLite database."""

    @pytest_twisted.async_yield_fixture
    async def accounts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
        """The known accounts, with hashes that take some milliseconds."""
        backend = SQLAccounts(tmp_path / "accounts.sqlite", reactor, QUICK)
        await backend.open()
        with monkeypatch.context() as quick:
            quick.setattr(
                "mailplat.accounts.passwords.hash_password",
                lambda password, scheme, *keys: "{ARGON2ID}" + _some_ms.hash(password),
            )
            for account, password in KNOWN.items():
                await backend.add(account, password)
        yield backend
        await backend.close()

    @pytest_twisted.async_yield_fixture
    async def editor(self, tmp_path: Path) -> AsyncIterator[SQLAccounts]:
        """No accounts."""
        backend = SQLAccounts(tmp_path / "empty.sqlite", reactor, QUICK)
        await backend.open()
        yield backend
        await backend.close()

    @pytest_twisted.async_yield_fixture
    async def reopen(self, tmp_path: Path) -> AsyncIterator[Reopen]:
        """A second backend on the database."""
        second = SQLAccounts(tmp_path / "empty.sqlite", reactor, QUICK)

        async def open_second() -> SQLAccounts:
            await second.open()
            return second

        yield open_second
        await second.close()


class OldPasswords(MemoryAccounts):
    """Remembers whom it let in, whatever happens since."""

    def __init__(self) -> None:
        super().__init__(reactor, QUICK)
        self._let_in: dict[tuple[str, str], Account] = {}

    async def check_password(self, name: str, password: str) -> Account:
        """Ask only once."""
        if (name, password) not in self._let_in:
            self._let_in[name, password] = await super().check_password(name, password)
        return self._let_in[name, password]


class QuickToRefuse(MemoryAccounts):
    """Refuses unknown names at once."""

    async def check_password(self, name: str, password: str) -> Account:
        """Look for the name first."""
        if await self.find_account(name) is None:
            raise AuthenticationFailed("no such account")
        return await super().check_password(name, password)


class Talkative(MemoryAccounts):
    """Tells the peer that there is no such account."""

    async def check_password(self, name: str, password: str) -> Account:
        """Look for the name first."""
        if await self.find_account(name) is None:
            raise AuthenticationFailed("no such account", public="No such account")
        return await super().check_password(name, password)


class Gossip(MemoryAccounts):
    """Writes passwords into the log."""

    async def check_password(self, name: str, password: str) -> Account:
        """Tell all."""
        try:
            return await super().check_password(name, password)
        except AuthenticationFailed:
            raise AuthenticationFailed(f"{password} is not the password of {name}") from None


class Lenient(MemoryAccounts):
    """Lets disabled accounts in."""

    async def check_password(self, name: str, password: str) -> Account:
        """Overlook that it is disabled."""
        account = await self.find_account(name)
        if account is not None and not account.enabled:
            return account
        return await super().check_password(name, password)


class NamesAreAddresses(MemoryAccounts):
    """Takes a name for an address."""

    async def find_address(self, address: str) -> Account | None:
        """Look for the name as well."""
        return await super().find_address(address) or await self.find_account(address)


class Particular(MemoryAccounts):
    """Compares names with their case."""

    async def find_account(self, name: str) -> Account | None:
        """Find only what is in lower case."""
        return await super().find_account(name) if name == name.lower() else None


class Unordered(MemoryAccounts):
    """Lists accounts in any order."""

    async def list_accounts(self) -> Sequence[Account]:
        """List them backwards."""
        return list(reversed(await super().list_accounts()))


class Curt(MemoryAccounts):
    """Has a method that lost its argument."""

    async def find_address(self) -> Account | None:  # type: ignore[override]
        """Find nobody."""
        return None


class Forgetful(MemoryAccounts):
    """Loses the password when the account changes."""

    async def replace(self, account: Account) -> None:
        """Make it anew."""
        await self.remove(account.name)
        await self.add(account, "forgotten")


class Grabbing(MemoryAccounts):
    """Takes an alias from another account."""

    async def add(self, account: Account, password: str) -> None:
        """Drop what is taken."""
        free = [alias for alias in account.aliases if await self.find_account(alias) is None]
        await super().add(replace(account, aliases=tuple(free)), password)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (QuickToRefuse, AccountsContract.test_refusals_take_alike),
        (Talkative, AccountsContract.test_refusals_look_alike),
        (Gossip, AccountsContract.test_no_reason_tells_a_password),
        (Lenient, AccountsContract.test_refusals_look_alike),
        (NamesAreAddresses, AccountsContract.test_finds_addresses),
        (Particular, AccountsContract.test_finds_accounts),
        (Unordered, AccountsContract.test_lists),
    ],
)
async def test_contract_bites(broken: Any, test: Any) -> None:
    """A backend with a fault fails the contract's test of it."""
    backend = broken(reactor, QUICK, DIRECTORY)
    await backend.open()
    try:
        with pytest.raises((AssertionError, Failed)):
            await test(AccountsContract(), backend)
    finally:
        await backend.close()


@pytest_twisted.ensureDeferred
async def test_editor_contract_bites() -> None:
    """An editor with a fault fails the contract's test of it."""
    suite = AccountsEditorContract()
    taken = Account("x", aliases=("y", "al.ice"))
    attempts: list[tuple[MemoryAccounts, Any, tuple[Any, ...]]] = [
        (OldPasswords(), suite.test_set_password, ()),
        (Forgetful(reactor, QUICK), suite.test_replace, ()),
        (Grabbing(reactor, QUICK), suite.test_add_taken, (taken,)),
    ]
    for backend, test, arguments in attempts:
        await backend.open()
        try:

            async def again(backend: MemoryAccounts = backend) -> MemoryAccounts:
                return backend

            with pytest.raises((AssertionError, Failed, AuthenticationFailed)):
                await test(backend, *(arguments or (again,)))
        finally:
            await backend.close()


def test_a_lost_argument_is_seen() -> None:
    """A method with another signature fails the contract."""
    with pytest.raises(Invalid):
        AccountsContract().test_provides(Curt(reactor))
