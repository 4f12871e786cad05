"""Stores whose large bodies are blobs, and disks and servers that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.plugins import StoreSettings
from mailplat.store.blobs.bodies import BlobRules, SharedBodies
from mailplat.store.blobs.memory import MemoryBlobs
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.store import IndexedStore, IndexLimits

OpenStore = Callable[..., Awaitable[IndexedStore]]

LARGER = BlobRules(larger=1000, least=1000, keep_seconds=3600)


@pytest.fixture
def memory() -> MemoryBlobs:
    """Blobs in memory."""
    return MemoryBlobs(reactor.seconds)


@pytest_twisted.async_yield_fixture
async def open_store(tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens stores on one SQLite file, each after the one before was closed, and closes them."""
    opened: list[IndexedStore] = []

    async def opener(
        blobs: IBlobStore | None = None,
        rules: BlobRules = LARGER,
        database: SQLiteDatabase | None = None,
    ) -> IndexedStore:
        for store in opened:
            await store.close()
        opened.clear()
        database = database or SQLiteDatabase(tmp_path / "mail.db", busy_seconds=2)
        bodies = SharedBodies(database.dialect, reactor, blobs, rules)
        settings = StoreSettings(reactor, str(tmp_path), keyword_limit=20)
        store = IndexedStore(database, bodies, settings, IndexLimits())
        await store.open()
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()
