"""Tests for the routes that are read from files and databases."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.routes import Expanded, IOpenRoute, Local, Refused, Remote
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.routes.aliases import AliasesOptions, AliasesRoute
from mailplat.routes.backup import BackupRoute
from mailplat.routes.local import LocalRoute
from mailplat.routes.sql import SQLRoute
from mailplat.routes.table import RouteTable
from mailplat.routes.virtual import VirtualRoute
from mailplat.testing.routes import RouteContract
from mailplat.testing.turns import wait_for

ALIASES = """\
postmaster: root
root: alice
list: bob, x@example.net, :include:more
owner-list: alice
self: \\self, bob
"""
VIRTUAL = """\
# who has moved
carol@old.example   alice@example.org, x@example.net
@old.example        @new.example
all@one.example     bob@example.org
@one.example        alice@example.org
"""


def at(text: str) -> Address:
    """Make an address."""
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of all kinds."""
    (tmp_path / "aliases").write_text(ALIASES)
    (tmp_path / "more").write_text("# more\nzoe@example.com\n")
    (tmp_path / "virtual").write_text(VIRTUAL)
    (tmp_path / "known").write_text("Ann@backup.example\nben\n")
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TABLE alias (address, goto, owner)")
        database.executemany(
            "INSERT INTO alias VALUES (?, ?, ?)",
            [
                ("staff@example.org", "alice, x@example.net", ""),
                ("news@example.org", "bob", "editor"),
                ("broken@example.org", "/dev/null", ""),
            ],
        )
    database.close()
    return tmp_path


MakeRoute = Callable[[Clock, Path], Any]

QUERY = "SELECT goto, owner FROM alias WHERE address = :address"


def aliases(clock: Clock, folder: Path, **how: Any) -> AliasesRoute:
    """Aliases of example.org."""
    options = AliasesOptions(("example.org",), **how)
    return AliasesRoute("aliases", clock, folder / "aliases", options)


def virtual(clock: Clock, folder: Path) -> VirtualRoute:
    """A map of addresses."""
    return VirtualRoute("virtual", clock, folder / "virtual")


def sql(clock: Clock, folder: Path, query: str = QUERY) -> SQLRoute:
    """A query."""
    return SQLRoute("sql", reactor, folder / "db", query, ["example.org"])


def backup(clock: Clock, folder: Path) -> BackupRoute:
    """A backup of two domains."""
    return BackupRoute(clock, {"backup.example": folder / "known", "Open.example": None})


CASES: dict[str, tuple[MakeRoute, str, str]] = {
    "aliases": (aliases, "root@example.org", "alice@example.org"),
    "virtual": (virtual, "carol@old.example", "carol@example.org"),
    "sql": (sql, "staff@example.org", "alice@example.org"),
    "backup": (backup, "ann@backup.example", "ann@example.org"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
class TestContract(RouteContract):
    """All of them keep the contract of a route."""

    @pytest.fixture
    def route(self, case: Any, clock: Clock, folder: Path) -> Iterator[IOpenRoute]:
        """One of them, open."""
        route = case[0](clock, folder)
        wait_for(route.open())
        yield route
        wait_for(route.close())

    @pytest.fixture
    def known(self, case: Any) -> Address:
        """Something that it knows."""
        return at(case[1])

    @pytest.fixture
    def other(self, case: Any) -> Address:
        """Something that it does not."""
        return at(case[2])


async def led(route: Any, address: str) -> list[str]:
    """Say what an address stands for."""
    found = await route.find(at(address), None)
    assert found is not None
    assert isinstance(found.result, Expanded)
    return [str(one) for one in found.result.addresses]


@pytest_twisted.ensureDeferred
async def test_aliases(clock: Clock, folder: Path) -> None:
    """Names lead to names of the same domain, with subaddresses too; a list has an owner."""
    route = aliases(clock, folder)
    await route.open()
    assert await led(route, "Postmaster@EXAMPLE.org") == ["root@example.org"]
    assert await led(route, "root+x@example.org") == ["alice@example.org"]
    assert await led(route, "postmaster@") == ["root@example.org"]
    assert await led(route, "list@example.org") == [
        "bob@example.org",
        "x@example.net",
        "zoe@example.com",
    ]
    found = await route.find(at("list@example.org"), None)
    assert found is not None
    assert isinstance(found.result, Expanded)
    assert found.result.owner == at("owner-list@example.org")
    assert found.because == f"{folder / 'aliases'}:3"
    assert await route.find(at("root@example.net"), None) is None


@pytest_twisted.ensureDeferred
async def test_itself_is_looked_up_no_further(clock: Clock, folder: Path, accounts: Any) -> None:
    """A name behind a backslash goes on with the accounts."""
    (folder / "aliases").write_text("alice: \\alice, \\bob\nbob: nobody\n")
    route = aliases(clock, folder)
    routes = RouteTable([route, LocalRoute(accounts, ["example.org"])])
    await routes.open()
    found = await routes.route(at("alice@example.org"))
    assert [one.account.name for one in found if isinstance(one, Local)] == [
        "alice@example.org",
        "bob@example.org",
    ]
    await routes.close()


@pytest_twisted.ensureDeferred
async def test_files_are_read_again(clock: Clock, folder: Path) -> None:
    """A change is in use after two seconds; a broken file leaves what was."""
    route = aliases(clock, folder)
    await route.open()
    (folder / "aliases").write_text(ALIASES + "new: alice\n")
    assert await route.find(at("new@example.org"), None) is None
    clock.advance(2)
    assert await led(route, "new@example.org") == ["alice@example.org"]
    (folder / "more").write_text("yan@example.com\n")
    clock.advance(2)
    assert "yan@example.com" in await led(route, "list@example.org")
    for broken in ("what is this", "", None):
        if broken is None:
            os.unlink(folder / "aliases")
        else:
            (folder / "aliases").write_text(broken or "a: |/bin/true\n")
        clock.advance(2)
        assert await led(route, "new@example.org") == ["alice@example.org"]
    (folder / "aliases").write_text("new: bob\n")
    clock.advance(2)
    assert await led(route, "new@example.org") == ["bob@example.org"]


@pytest_twisted.ensureDeferred
async def test_commands_have_to_be_allowed(clock: Clock, folder: Path) -> None:
    """A command is refused with its line; allowed, it is an agent beside the other members."""
    (folder / "aliases").write_text('hook: "|/bin/hook -x", bob\n')
    with pytest.raises(ConfigurationFault, match="aliases:1: commands are not allowed"):
        await aliases(clock, folder).open()
    route = aliases(clock, folder, commands=True)
    await route.open()
    found = await RouteTable([route]).route(at("hook@example.org"))
    assert [one.agent for one in found if isinstance(one, Remote)] == ["|/bin/hook -x", ""]
    (folder / "aliases").write_text("list: :include:more\n")
    (folder / "more").write_text("|/bin/true\n")
    with pytest.raises(ConfigurationFault, match="more:1: "):
        await aliases(clock, folder, commands=True).open()
    with pytest.raises(ConfigurationFault, match="may not be included"):
        await aliases(clock, folder, include=False).open()


@pytest_twisted.ensureDeferred
async def test_virtual(clock: Clock, folder: Path, accounts: IAccounts) -> None:
    """Addresses and whole domains lead on; who has no key in such a domain is unknown."""
    route = virtual(clock, folder)
    routes = RouteTable([route, LocalRoute(accounts, ["example.org"])])
    assert not routes.is_local_domain("old.example")
    await routes.open()
    assert routes.is_local_domain("OLD.example")
    assert await led(route, "carol@old.example") == ["alice@example.org", "x@example.net"]
    assert await led(route, "Carol+Tag@old.example") == [
        "alice+tag@example.org",
        "x+tag@example.net",
    ]
    assert await led(route, "Dave+x@old.example") == ["Dave+x@new.example"]
    assert await led(route, "all@one.example") == ["bob@example.org"]
    assert await led(route, "any@one.example") == ["alice@example.org"]
    (folder / "virtual").write_text("a@two.example b@example.net\n")
    clock.advance(2)
    (found,) = await routes.route(at("a@two.example"))
    assert isinstance(found, Remote)
    (found,) = await routes.route(at("b@two.example"))
    assert isinstance(found, Refused)
    await routes.close()


@pytest.mark.parametrize("text", ["a", "a@b", "a b@c", "a@b c", "a@b @c", "a@b x@y\nA@b x@y"])
@pytest_twisted.ensureDeferred
async def test_virtual_faults(clock: Clock, folder: Path, text: str) -> None:
    """A line that cannot be read is told with its number."""
    (folder / "virtual").write_text(f"{text}\n")
    with pytest.raises(ConfigurationFault, match=r"virtual:\d: "):
        await virtual(clock, folder).open()


@pytest_twisted.ensureDeferred
async def test_sql(clock: Clock, folder: Path) -> None:
    """A query gives members and an owner; what it cannot say is tried again."""
    route = sql(clock, folder)
    await route.open()
    assert await led(route, "Staff@example.org") == ["alice@example.org", "x@example.net"]
    found = await route.find(at("news@example.org"), None)
    assert found is not None
    assert isinstance(found.result, Expanded)
    assert found.result.owner == at("editor@example.org")
    assert await route.find(at("staff@example.net"), None) is None
    with pytest.raises(Unavailable):
        await route.find(at("broken@example.org"), None)
    await route.close()
    with pytest.raises(Unavailable):
        await route.find(at("staff@example.org"), None)
    for query in ("SELECT nothing", "DELETE FROM alias"):
        with pytest.raises(ConfigurationFault):
            await sql(clock, folder, query).open()
    with pytest.raises(ConfigurationFault):
        await SQLRoute("sql", reactor, folder / "none", QUERY, []).open()


@pytest_twisted.ensureDeferred
async def test_backup(clock: Clock, folder: Path) -> None:
    """Mail is taken for those who are known, or for everybody; it goes to their exchangers."""
    routes = RouteTable([backup(clock, folder)])
    await routes.open()
    assert routes.is_local_domain("open.example")
    for address in ("ann@backup.example", "Ben@Backup.example", "who@open.example"):
        assert await routes.route(at(address)) == (Remote(at(address)),)
    (found,) = await routes.route(at("zoe@backup.example"))
    assert isinstance(found, Refused)
    await routes.close()


@pytest_twisted.ensureDeferred
async def test_subaddress_mailboxes(accounts: IAccounts) -> None:
    """A subaddress names the mailbox, if the account has it."""

    async def has_mailbox(account: str, name: str) -> bool:
        return (account, name) == ("alice@example.org", "lists")

    routes = RouteTable([LocalRoute(accounts, ["example.org"], has_mailbox=has_mailbox)])
    found = [
        one.mailbox
        for local in ("alice+lists", "alice+other", "bob+lists", "alice")
        for one in await routes.route(Address(local, "example.org"))
        if isinstance(one, Local)
    ]
    assert found == ["lists", "INBOX", "INBOX", "INBOX"]
