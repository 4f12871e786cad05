"""Tests for `mailplat.store.memory`: the store contract, and what only this store promises."""

from __future__ import annotations

import pytest

from mailplat.store.memory.store import MemoryStore
from mailplat.testing import stores


class Fixtures:
    """What makes the stores."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """A store in memory."""
        return MemoryStore


class TestMailbox(Fixtures, stores.MailboxContract):
    """Mailboxes in memory."""


class TestHome(Fixtures, stores.HomeContract):
    """Homes in memory."""


class TestStore(Fixtures, stores.StoreContract):
    """The store in memory."""
