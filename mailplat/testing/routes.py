"""What all routes must do, as tests that any table of routes can run::

from mailplat.testing import routes

class TestAcmeRoutes(routes.RoutesContract):
@pytest.fixture
def routes(self):
return AcmeRoutes()

@pytest.fixture
def known(self):
return Address("alice", "example.org")

@pytest.fixture
def unknown(self):
return Address("nobody", "example.org")

@pytest.fixture
def remote(self):
return Address("alice", "example.net")
"""

from __future__ import annotations

import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.interfaces.routes import Expanded, Found, IRoute, IRoutes, Local, Refused, Remote
from mailplat.model.address import Address

__all__ = ["RouteContract", "RoutesContract"]


class RouteContract:
    """The contract of `IRoute`, for one part of the routes.

    A subclass adds ``route``, open, and ``known`` (an address that it knows) and ``other`` (one
    that it leaves to other routes).
    """

    def test_provides(self, route: IRoute) -> None:
        """A route has every member of the interface, with its signature, and a name."""
        verifyObject(IRoute, route)
        assert route.name

    def test_local_domains(self, route: IRoute, known: Address) -> None:
        """Domains are compared without regard to case; there is an answer for every text."""
        for domain in (known.domain, "", "[192.0.2.1]", "exämple.org", "nowhere.invalid"):
            assert route.is_local_domain(domain) == route.is_local_domain(domain.upper())

    @pytest_twisted.ensureDeferred
    async def test_known(self, route: IRoute, known: Address) -> None:
        """What it knows it knows in any case, for any sender; it says why, and never nobody."""
        shouted = Address(known.local.upper(), known.domain.upper())
        for address in (known, shouted):
            for sender in (None, Address("somebody", "example.net")):
                found = await route.find(address, sender)
                assert isinstance(found, Found)
                assert found.because
                if isinstance(found.result, Expanded):
                    assert found.result.addresses or found.result.also
                else:
                    assert isinstance(found.result, Local | Remote | Refused)

    @pytest_twisted.ensureDeferred
    async def test_other(self, route: IRoute, other: Address) -> None:
        """What it does not know it leaves to the routes behind it."""
        assert await route.find(other, None) is None

    @pytest_twisted.ensureDeferred
    async def test_strange(self, route: IRoute) -> None:
        """No address is too strange to be asked about."""
        for local in ("", "+", "a" * 1000, 'a"\\b', "ü\x00", "@", "a@b", "\ud800"):
            for domain in ("", "example.org", "[IPv6:::1]", "xn--", "a" * 1000):
                assert isinstance(await route.find(Address(local, domain), None), Found | None)


class RoutesContract:
    """The contract of `IRoutes`.

    A subclass adds ``routes``, ``known`` (an address that leads into a mailbox here), ``unknown``
    (one of a local domain that leads nowhere) and ``remote`` (one of somebody else's domain).
    """

    def test_provides(self, routes: IRoutes) -> None:
        """Routes have every member of the interface, with its signature."""
        verifyObject(IRoutes, routes)

    def test_local_domains(self, routes: IRoutes, known: Address, remote: Address) -> None:
        """Our domains are ours in any case, other people's are not."""
        assert routes.is_local_domain(known.domain)
        assert routes.is_local_domain(known.domain.upper())
        assert not routes.is_local_domain(remote.domain)

    @pytest_twisted.ensureDeferred
    async def test_known(self, routes: IRoutes, known: Address) -> None:
        """An address here leads into mailboxes, no mailbox twice, in any case."""
        found = await routes.route(known)
        assert found
        assert len(set(found)) == len(found)
        assert any(isinstance(one, Local) for one in found)
        shouted = Address(known.local.upper(), known.domain.upper())
        assert await routes.route(shouted) == found

    @pytest_twisted.ensureDeferred
    async def test_unknown(self, routes: IRoutes, unknown: Address) -> None:
        """An address that leads nowhere is refused for good, and nothing else is said."""
        (found,) = await routes.route(unknown)
        assert isinstance(found, Refused)
        assert found.reply.permanent
        assert found.reply.status.startswith("5.")

    @pytest_twisted.ensureDeferred
    async def test_remote(self, routes: IRoutes, remote: Address) -> None:
        """Mail for elsewhere is not refused: who may send there is decided elsewhere."""
        assert all(isinstance(one, Remote) for one in await routes.route(remote))
