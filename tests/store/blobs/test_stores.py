"""SQL stores keep the contract of every store when bodies are shared, and when they are blobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet import reactor

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IStore
from mailplat.store.blobs.bodies import BlobRules
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.index.store import IndexLimits
from mailplat.store.sql.store import sql_store
from mailplat.testing import stores
from mailplat.testing.postgresql import PostgreSQLServer
from mailplat.testing.store_contract.arriving import Appending
from mailplat.testing.store_contract.reading import Bodies, ExpungedBodies
from mailplat.testing.store_contract.transfers import Copying, Moving

ALL = BlobRules(larger=0, least=0, keep_seconds=3600)


class Shared:
    """Makes stores that share every body in the database."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """Make a store."""
        return lambda settings: sql_store("sqlite:///mail.db", settings, rules=ALL)


class InFiles:
    """Makes stores that have every body in a file."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """Make a store."""
        return lambda settings: sql_store("sqlite:///mail.db", with_files(settings), rules=ALL)


class OnPostgreSQL:
    """Makes stores on PostgreSQL that have every body in a file."""

    @pytest.fixture
    def make_store(self, postgresql: PostgreSQLServer) -> stores.MakeStore:
        """Make a store."""
        url = postgresql.new_schema()

        def make(settings: StoreSettings) -> IStore:
            return sql_store(url, with_files(settings), IndexLimits(reader_threads=1), ALL)

        return make


def with_files(settings: StoreSettings) -> StoreSettings:
    """Let large bodies be files in the store's directory."""
    return replace(settings, blobs=FileBlobs(f"{settings.directory}/bodies", reactor))


class TestSharedBodies(Shared, Bodies, ExpungedBodies):
    """Reading bodies."""


class TestSharedStore(Shared, stores.StoreContract):
    """The store as a whole."""


class TestFilesBodies(InFiles, Appending, Copying, Moving, Bodies, ExpungedBodies):
    """Bodies on their way in, from mailbox to mailbox, and read."""


class TestFilesStore(InFiles, stores.StoreContract):
    """The store as a whole."""


class TestFilesDurable(InFiles, stores.DurableStoreContract):
    """What outlives the process."""


class TestFilesSearch(InFiles, stores.SearchContract):
    """The index of text."""


class TestPostgreSQLBodies(OnPostgreSQL, Bodies, ExpungedBodies):
    """Reading bodies."""


class TestPostgreSQLSearch(OnPostgreSQL, stores.SearchContract):
    """The index of text."""


class TestPostgreSQLDurable(OnPostgreSQL, stores.DurableStoreContract):
    """What outlives the process."""
