"""The SQL store on PostgreSQL keeps the contract of every store."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.upkeep import FaultKind
from mailplat.store.index.store import IndexLimits
from mailplat.store.sql.store import sql_store
from mailplat.testing import stores
from mailplat.testing.postgresql import PostgreSQLServer


class Fixtures:
    """Makes stores in a schema that belongs to the directory given."""

    @pytest.fixture
    def url(self, postgresql: PostgreSQLServer) -> str:
        """Name an empty schema."""
        return postgresql.new_schema()

    @pytest.fixture
    def make_store(self, url: str) -> stores.MakeStore:
        """Make a store."""
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


class TestRepair(Fixtures, stores.RepairContract):
    """Looking after it."""

    @pytest.fixture
    def damages(self, url: str, spoiled_index: dict[FaultKind, str]) -> stores.Damages:
        """Statements that spoil the database."""

        def spoiling(statements: str) -> Callable[[StoreSettings], None]:
            def spoil(settings: StoreSettings) -> None:
                with psycopg.connect(url, autocommit=True) as raw:
                    for statement in statements.replace("x'00'", "'\\x00'").split(";"):
                        raw.execute(statement.encode())

            return spoil

        return {kind: spoiling(statements) for kind, statements in spoiled_index.items()}
