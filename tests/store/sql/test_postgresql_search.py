"""The search index in a PostgreSQL database: what it finds, shares, forgets and does without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psycopg
import pytest
import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.search import Searched
from mailplat.message.text import fold
from mailplat.model.errors import Corrupt
from mailplat.model.numset import NumSet
from mailplat.store.index.mailbox import IndexedMailbox
from mailplat.store.index.store import IndexedStore, IndexLimits
from mailplat.store.sql import search
from mailplat.store.sql.store import sql_store
from mailplat.testing.mails import new_message
from mailplat.testing.postgresql import PostgreSQLServer

Open = Callable[[], Awaitable[IndexedStore]]


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> str:
    """An empty schema."""
    return postgresql.new_schema()


@pytest_twisted.async_yield_fixture
async def open_store(url: str, settings: StoreSettings) -> AsyncIterator[Open]:
    """Opens stores on one schema, and closes them after the test."""
    opened: list[IndexedStore] = []

    async def opener() -> IndexedStore:
        store = sql_store(url, settings, IndexLimits(reader_threads=1, search_seconds=3600))
        await store.open()
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()


def count(url: str, sql: str) -> Any:
    """Ask for one value, by another connection."""
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.encode()).fetchone()
        return row and row[0]


async def put(store: IndexedStore, *words: str) -> None:
    """Append a message for each word to Alice's mail."""
    home = await store.open_home("alice")
    new = [new_message(f"Subject: s\r\n\r\nIt is {word}.\r\n".encode()) for word in words]
    await home.append("INBOX", new)


async def find(
    store: IndexedStore, word: str, where: Searched = Searched.BODY
) -> Sequence[int] | None:
    """Ask the index for a word in INBOX."""
    mailbox = await (await store.open_home("alice")).open_mailbox("INBOX")
    assert isinstance(mailbox, IndexedMailbox)
    found = await mailbox.candidates(fold(word), where, (await mailbox.state(False)).uids)
    mailbox.close()
    return None if found is None else list(found)


@pytest_twisted.ensureDeferred
async def test_shared(open_store: Open, url: str) -> None:
    """Two stores fill one table, each message once, and both find what both took."""
    one, two = await open_store(), await open_store()
    await put(one, "zebra", "horse", "50%_off")
    await one.catch_up()
    await put(two, "mouse", "zebra")
    await two.catch_up()
    assert count(url, "SELECT count(*) FROM search_texts") == 5
    await put(one, "otter")
    for store in (one, two):
        assert await find(store, "zebra") == [1, 5, 6]  # the last one is not known yet
        assert await find(store, "50%_off") == [3, 6]
        assert await find(store, "ebra", Searched.TEXT) == [1, 5, 6]
        assert await find(store, "subject", Searched.HEADER) == [1, 2, 3, 4, 5, 6]
        assert await find(store, "%%%") is None  # no letters: reading is quicker
        assert await find(store, "ze") is None


@pytest_twisted.ensureDeferred
async def test_forgotten(open_store: Open, url: str) -> None:
    """Text goes with the message, a while later; all of it comes back when it is built anew."""
    store = await open_store()
    await put(store, *(f"word{number}" for number in range(20)))
    await store.catch_up()
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    await box.expunge(NumSet.span(1, 18))
    box.close()
    assert store.text is not None
    store.text.forget(1000)
    await store.catch_up()
    assert count(url, "SELECT count(*) FROM search_texts") == 2
    await store.rebuild()
    assert count(url, "SELECT count(*) FROM search_texts") == 2
    assert await find(store, "word19") == [20]


@pytest_twisted.ensureDeferred
async def test_damaged(open_store: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that the server finds damaged is built anew; searches do without meanwhile."""
    store = await open_store()
    await put(store, "zebra", "horse")
    await store.catch_up()

    def damaged(*_: object, **__: object) -> None:
        raise Corrupt("invalid page in block 7")

    monkeypatch.setattr(search, "_pick", damaged)
    assert await find(store, "zebra") is None
    monkeypatch.undo()
    await store.catch_up()
    assert await find(store, "zebra") == [1]


@pytest_twisted.ensureDeferred
async def test_without_the_extension(
    open_store: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pg_trgm is missing nothing is kept, and who searches is told to read."""
    monkeypatch.setattr(search, "_EXTENSION", "SELECT 1 WHERE false")
    said: list[str] = []
    monkeypatch.setattr(search._log, "warn", lambda text, **_: said.append(text))
    store = await open_store()
    await put(store, "zebra", "horse")
    await store.catch_up()
    assert await find(store, "zebra") is None
    assert "CREATE EXTENSION pg_trgm" in said[0]
    assert count(url, "SELECT to_regclass('search_texts')") is None


@pytest_twisted.ensureDeferred
async def test_letters_of_the_locale(open_store: Open) -> None:
    """A database whose locale knows ASCII letters alone is asked for those alone."""
    store = await open_store()
    await put(store, "жук", "zebra")
    await store.catch_up()
    assert await find(store, "жук") == [1]
    assert store.text is not None
    table = store.text.keeper
    assert isinstance(table, search.TextTable)
    table._run = search._ASCII_RUN
    assert await find(store, "жук") is None
    assert await find(store, "zebra") == [2]


@pytest_twisted.ensureDeferred
async def test_a_slow_answer(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that takes too long is broken off; the mail is read instead."""
    store = await open_store()
    await put(store, "zebra")
    await store.catch_up()
    monkeypatch.setattr(search, "_PATIENT", "SELECT set_config('statement_timeout', '5', true)")
    monkeypatch.setitem(search._LIKE, Searched.BODY, "body LIKE ? AND pg_sleep(1) IS NOT NULL")
    assert await find(store, "zebra") is None
    monkeypatch.undo()
    assert await find(store, "zebra") == [1]
