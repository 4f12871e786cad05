"""Accounts of one domain, and routes on a clock that a test turns on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.errors import AuthenticationFailed


@implementer(IAccounts)
class FewAccounts:
    """Alice and Bob, of example.org, and no passwords."""

    def __init__(self) -> None:
        self._all = [Account(name, (name,)) for name in ("alice@example.org", "bob@example.org")]

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """Nobody logs in here."""
        raise AuthenticationFailed

    async def find_account(self, name: str) -> Account | None:
        """Find by name."""
        return next((one for one in self._all if one.name == name), None)

    async def find_address(self, address: str) -> Account | None:
        """Find by address."""
        return next((one for one in self._all if address in one.addresses), None)

    async def list_accounts(self) -> Sequence[Account]:
        """List both."""
        return self._all


@pytest.fixture
def accounts() -> FewAccounts:
    """Alice and Bob."""
    return FewAccounts()


@pytest.fixture
def clock() -> Clock:
    """Says when files are looked at again."""
    return Clock()


@pytest.fixture
def sender() -> Address:
    """Somebody elsewhere."""
    return Address("sender", "example.com")
