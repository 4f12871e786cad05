"""Tests for `mailplat.routes.table`: many routes as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.routes import (
    Expanded,
    Found,
    IRoute,
    Local,
    Onward,
    Refused,
    Remote,
)
from mailplat.model.address import Address
from mailplat.model.errors import LimitReached
from mailplat.routes.local import LocalRoute
from mailplat.routes.relays import RelayChoice, RelayRoute
from mailplat.routes.returning import ReturningRoute
from mailplat.routes.srs import SenderRewriting
from mailplat.routes.table import RouteTable
from mailplat.testing.routes import RouteContract, RoutesContract


def at(text: str) -> Address:
    """Make an address; one without a domain is in example.org."""
    local, _, domain = text.partition("@")
    return Address(local, domain or "example.org")


@implementer(IRoute)
class Lists:
    """Addresses that stand for others."""

    name = "lists"

    def __init__(self, lists: Mapping[str, Sequence[str]], **owners: str) -> None:
        self._lists = {at(one).key: [at(other) for other in more] for one, more in lists.items()}
        self._owners = owners

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`."""
        return False

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        found = self._lists.get(address.key)
        if found is None:
            return None
        owner = self._owners.get(address.local)
        return Found(Expanded(tuple(found), at(owner) if owner else None), "the test")


def table(accounts: IAccounts, lists: Mapping[str, Sequence[str]], **more: Any) -> RouteTable:
    """Put lists in front of the accounts of example.org."""
    owners = more.pop("owners", {})
    return RouteTable([Lists(lists, **owners), LocalRoute(accounts, ["example.org"])], **more)


class TestTable(RoutesContract):
    """The contract of routes, with a list in front of accounts."""

    @pytest.fixture
    def routes(self, accounts: IAccounts) -> RouteTable:
        """Routes for example.org."""
        return table(accounts, {"team": ["alice", "bob"]})

    @pytest.fixture
    def known(self) -> Address:
        """A list."""
        return at("team")

    @pytest.fixture
    def unknown(self) -> Address:
        """Nobody's."""
        return at("nobody")

    @pytest.fixture
    def remote(self) -> Address:
        """Somebody else's."""
        return at("alice@example.net")


class TestRelays(RouteContract):
    """Relay hosts keep the contract of a route."""

    @pytest.fixture
    def route(self) -> RelayRoute:
        """A host for example.net."""
        return RelayRoute([RelayChoice("office", ["example.net"])])

    @pytest.fixture
    def known(self) -> Address:
        """Goes through it."""
        return at("ann@example.net")

    @pytest.fixture
    def other(self) -> Address:
        """Does not."""
        return at("ann@example.com")


def brief(found: Sequence[Any]) -> list[str]:
    """Say where mail goes in a word for each."""
    return [
        one.account.name.partition("@")[0]
        if isinstance(one, Local)
        else str(one.address)
        if isinstance(one, Remote)
        else f"{one.reply.status} {one.address.local if one.address else ''}".strip()
        for one in found
    ]


@pytest.mark.parametrize(
    ("lists", "ends"),
    [
        ({"a": ["alice"]}, ["alice"]),
        ({"a": ["b", "alice"], "b": ["bob", "alice"]}, ["bob", "alice"]),  # none twice
        ({"a": ["b"], "b": ["a"]}, ["5.4.6 a"]),
        ({"a": ["b", "bob"], "b": ["c"], "c": ["b"]}, ["5.4.6 b", "bob"]),
        ({"a": ["alice", "nobody"]}, ["alice", "5.1.1 nobody"]),
        ({"alice": ["alice", "bob"]}, ["alice", "bob"]),  # itself too
        ({"a": ["b", "x@example.net"], "b": ["x@Example.NET"]}, ["x@Example.NET"]),
        ({f"a{n}": [f"a{n + 1}"] for n in range(9)} | {"a": ["a0"], "a9": ["bob"]}, ["5.4.6 bob"]),
        ({f"a{n}": [f"a{n + 1}"] for n in range(8)} | {"a": ["a0"], "a8": ["bob"]}, ["bob"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_expands(
    accounts: IAccounts, lists: Mapping[str, Sequence[str]], ends: list[str]
) -> None:
    """Aliases are followed to their ends; circles and chains without end are refused."""
    found = await table(accounts, lists, depth=10).route(at("a" if "a" in lists else "alice"))
    assert brief(found) == ends


@pytest_twisted.ensureDeferred
async def test_too_many_members(accounts: IAccounts) -> None:
    """One address cannot stand for more than the limit: that is put off, not cut short."""
    routes = table(accounts, {"a": [f"u{n}@example.net" for n in range(50)]}, members=50)
    with pytest.raises(LimitReached):
        await routes.route(at("a"))
    assert len(await table(accounts, {"a": ["b@x.example"]}, members=50).route(at("a"))) == 1


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.lists(st.sampled_from([*"abcdef", "alice", "x@example.net"]), min_size=1, max_size=4),
    )
)
@settings(max_examples=60)
def test_every_way_ends(lists: dict[str, list[str]]) -> None:
    """Whatever stands for whatever, the answer comes, is not empty and names nobody twice."""
    routes = RouteTable([Lists(lists)], depth=4)
    for start in "abcdef":
        walk = routes.explain(at(start))
        with pytest.raises(StopIteration) as told:
            walk.send(None)
        found = told.value.value
        assert found.destinations
        assert len(set(brief(found.destinations))) == len(found.destinations)
        assert len(found.steps) < 5000


@pytest_twisted.ensureDeferred
async def test_forwarded_mail_says_so(accounts: IAccounts, sender: Address) -> None:
    """A copy for elsewhere has the address that forwards it, and a sender of ours with SRS."""
    lists = {"away": ["x@example.net", "alice"]}
    plain = await table(accounts, lists).route(at("away"), sender)
    assert plain[0] == Remote(at("x@example.net"), onward=Onward(at("away")))
    assert isinstance(plain[1], Local)
    assert (plain[1].onward, plain[1].address) == (None, at("alice"))
    srs = SenderRewriting("example.org", [b"key"], lambda: 0.0)
    routes = RouteTable(
        [ReturningRoute(srs), Lists(lists), LocalRoute(accounts, ["example.org"])], srs=srs
    )
    (found, _) = await routes.route(at("away"), sender)
    assert isinstance(found, Remote)
    assert found.onward is not None
    rewritten = found.onward.sender
    assert rewritten is not None
    assert rewritten.local.startswith("SRS0=")
    (back,) = await routes.route(rewritten)
    assert isinstance(back, Remote)
    assert (back.address, back.onward) == (sender, Onward(rewritten))
    for ours in (None, at("alice")):
        (found, _) = await routes.route(at("away"), ours)
        assert isinstance(found, Remote)
        assert found.onward == Onward(at("away"))
    (invented,) = await routes.route(Address("SRS0=AAAAAAAA=AA=example.net=x", "example.org"))
    assert isinstance(invented, Refused)


@pytest_twisted.ensureDeferred
async def test_mailing_lists(accounts: IAccounts, sender: Address) -> None:
    """The copies of a list, here and elsewhere, go under its owner's name."""
    lists = {"list": ["alice", "x@example.net", "inner"], "inner": ["bob", "nobody"]}
    routes = table(accounts, lists, owners={"list": "owner-list"})
    found = await routes.route(at("list"), sender)
    assert brief(found) == ["alice", "x@example.net", "bob", "5.1.1 nobody"]
    assert {one.onward for one in found} == {
        Onward(at("list"), at("owner-list"), mailing_list=True)
    }


@pytest.mark.parametrize(
    ("recipient", "sender", "agent"),
    [
        ("x@example.net", "a@example.com", "relay:net"),
        ("x@sub.example.net", "a@example.com", "relay:below"),
        ("x@a.sub.example.net", "a@example.com", "relay:sub"),
        ("x@example.com", "boss@example.org", "relay:boss"),
        ("x@example.com", "a@example.org", "relay:ours"),
        ("x@example.com", "", ""),
        ("x@example.com", "a@example.net", ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_relay_hosts(recipient: str, sender: str, agent: str) -> None:
    """What is most exact decides, a recipient's domain before a sender."""
    relays = RelayRoute(
        [
            RelayChoice("below", ["*.example.net"]),
            RelayChoice("sub", ["*.Sub.example.net"]),
            RelayChoice("net", ["example.net"]),
            RelayChoice("ours", senders=["@example.org"]),
            RelayChoice("boss", senders=["Boss@example.org"]),
        ]
    )
    (found,) = await RouteTable([relays]).route(at(recipient), at(sender) if sender else None)
    assert found == Remote(at(recipient), agent)


@pytest_twisted.ensureDeferred
async def test_explains(accounts: IAccounts, sender: Address) -> None:
    """Each step is told: who was asked about, which route knew it, and why."""
    routes = table(accounts, {"a": ["alice", "a2"], "a2": ["x@example.net"]})
    told = await routes.explain(at("a"), sender)
    assert [(step.depth, str(step.address), step.route, step.because) for step in told.steps] == [
        (0, "a@example.org", "lists", "the test"),
        (1, "alice@example.org", "accounts", "an address of alice@example.org"),
        (1, "a2@example.org", "lists", "the test"),
        (2, "x@example.net", "", ""),
    ]
    assert told.destinations == await routes.route(at("a"), sender)
