"""The SQL store on PostgreSQL keeps the contract of every store."""

from __future__ import annotations

import pytest

from mailplat.store.index.store import IndexLimits
from mailplat.store.sql.store import sql_store
from mailplat.testing import stores
from mailplat.testing.postgresql import PostgreSQLServer


class Fixtures:
    """Makes stores in a schema that belongs to the directory given."""

    @pytest.fixture
    def make_store(self, postgresql: PostgreSQLServer) -> stores.MakeStore:
        """Make a store."""
        url = postgresql.new_schema()
        return lambda settings: sql_store(url, settings, IndexLimits(reader_threads=1))


class TestMailbox(Fixtures, stores.MailboxContract):
    """Mailboxes."""


class TestHome(Fixtures, stores.HomeContract):
    """Homes."""


class TestStore(Fixtures, stores.StoreContract):
    """The store as a whole."""


class TestDurable(Fixtures, stores.DurableStoreContract):
    """What outlives the process."""


class TestSearch(Fixtures, stores.SearchContract):
    """The index of text."""
