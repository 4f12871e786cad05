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

from mailplat.interfaces.routes import IRoutes, Local, Refused, Remote
from mailplat.model.address import Address

__all__ = ["RoutesContract"]


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
