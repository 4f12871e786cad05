"""Tests for `mailplat.sessions.homes`."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.task import Clock

from mailplat.interfaces.plugins import StoreSettings
from mailplat.model.account import Account
from mailplat.model.mailbox import QuotaLimit
from mailplat.sessions.homes import home_of
from mailplat.store.memory.store import MemoryStore

NAME = "alice@example.org"


@pytest_twisted.ensureDeferred
async def test_a_home_follows_its_account() -> None:
    """A quota of the account's own holds from now on; without one the home keeps what it has."""
    store = MemoryStore(StoreSettings(Clock(), "", quota=QuotaLimit(1000)))
    home = await home_of(store, Account(NAME))
    assert await home.limit() == QuotaLimit(1000)
    for quota in (QuotaLimit(2000, 5), QuotaLimit(None, 7), QuotaLimit(2000, 5)):
        home = await home_of(store, Account(NAME, quota=quota))
        assert await home.limit() == quota
    home = await home_of(store, Account(NAME))
    assert await home.limit() == QuotaLimit(2000, 5)
