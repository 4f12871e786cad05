"""Tests for `mailplat.routes.local`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import pytest_twisted
from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.routes import Local, Refused, Remote
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.errors import AuthenticationFailed
from mailplat.routes.local import LocalRoute
from mailplat.routes.table import RouteTable
from mailplat.testing.routes import RoutesContract

ALICE = Account("alice@example.org", ("alice@example.org", "a+b@example.org"))
ROOT = Account("root@example.org", ("root@example.org",))


@implementer(IAccounts)
class TwoAccounts:
    """Alice and root, and no passwords."""

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """Nobody logs in here."""
        raise AuthenticationFailed

    async def find_account(self, name: str) -> Account | None:
        """Find by name."""
        return next((one for one in (ALICE, ROOT) if one.name == name), None)

    async def find_address(self, address: str) -> Account | None:
        """Find by address."""
        return next((one for one in (ALICE, ROOT) if address in one.addresses), None)

    async def list_accounts(self) -> Sequence[Account]:
        """List both."""
        return (ALICE, ROOT)


def routes(catch_all: str = "") -> RouteTable:
    """Routes for one domain, whose postmaster is root."""
    accounts = LocalRoute(
        TwoAccounts(),
        ["Example.ORG"],
        postmaster="root@example.org",
        catch_all={"EXAMPLE.org": catch_all},
    )
    return RouteTable([accounts])


class TestContract(RoutesContract):
    """Local routes keep the contract."""

    @pytest.fixture
    def routes(self) -> RouteTable:
        """Routes for example.org."""
        return routes()

    @pytest.fixture
    def known(self) -> Address:
        """An account's address."""
        return Address("alice", "example.org")

    @pytest.fixture
    def unknown(self) -> Address:
        """Nobody's."""
        return Address("nobody", "example.org")

    @pytest.fixture
    def remote(self) -> Address:
        """Somebody else's."""
        return Address("alice", "example.net")


@pytest.mark.parametrize(
    ("local", "domain", "account", "detail"),
    [
        ("alice", "example.org", ALICE, ""),
        ("ALICE", "EXAMPLE.ORG", ALICE, ""),
        ("alice+lists", "example.org", ALICE, "lists"),
        ("alice+", "example.org", ALICE, ""),
        ("alice+a+b", "example.org", ALICE, "a+b"),
        ("a+b", "example.org", ALICE, ""),  # an exact address goes before a subaddress
        ("Postmaster", "example.org", ROOT, ""),
        ("postmaster", "", ROOT, ""),
        ("abuse", "example.org", ROOT, ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_leads_to_an_account(local: str, domain: str, account: Account, detail: str) -> None:
    """Addresses of our domains lead to their accounts, in any case."""
    assert await routes().route(Address(local, domain)) == (Local(account, detail=detail),)


@pytest.mark.parametrize("local", ["nobody", "+alice", "nobody+alice", ""])
@pytest_twisted.ensureDeferred
async def test_refuses_unknown(local: str) -> None:
    """An unknown user is refused with 550 5.1.1, unless a catch-all takes the mail."""
    (found,) = await routes().route(Address(local, "example.org"))
    assert isinstance(found, Refused)
    assert (found.reply.code, found.reply.status) == (550, "5.1.1")
    caught = await routes(catch_all="alice@example.org").route(Address(local, "example.org"))
    assert caught == (Local(ALICE),)


@pytest_twisted.ensureDeferred
async def test_other_domains_are_remote() -> None:
    """Mail for elsewhere is not refused here: who may send there is the session's business."""
    elsewhere = Address("alice", "example.net")
    assert await routes().route(elsewhere) == (Remote(elsewhere),)
    assert not routes().is_local_domain("sub.example.org")
