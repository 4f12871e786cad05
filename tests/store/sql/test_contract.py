"""The SQL store on SQLite keeps the contract of every store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.upkeep import FaultKind
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


class TestRepair(Fixtures, stores.RepairContract):
    """Looking after it."""

    @pytest.fixture
    def damages(self, spoiled_index: dict[FaultKind, str]) -> stores.Damages:
        """Statements that spoil the database."""

        def spoiling(statements: str) -> Callable[[StoreSettings], None]:
            def spoil(settings: StoreSettings) -> None:
                raw = sqlite3.connect(Path(settings.directory, "mail.db"))
                raw.executescript(statements)
                raw.close()

            return spoil

        return {kind: spoiling(statements) for kind, statements in spoiled_index.items()}
