"""The SQL store on SQLite keeps the contract of every store."""

from __future__ import annotations

import pytest

from mailplat.store.sql.store import sql_store
from mailplat.testing import stores


class Fixtures:
    """Makes stores in a file below the directory given."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """Make a store."""
        return lambda settings: sql_store("sqlite:///mail.db", settings)


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
