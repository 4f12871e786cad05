"""The search index beside its store: backups, damage, contents that go; and its contract bites."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings, strategies
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.search import Searched
from mailplat.interfaces.store import IHome
from mailplat.message.text import fold
from mailplat.model.errors import Unavailable
from mailplat.model.numset import NumSet
from mailplat.store.index import trigrams
from mailplat.store.index.mailbox import IndexedMailbox
from mailplat.store.index.store import IndexedStore, IndexLimits
from mailplat.store.index.trigrams import Document, TrigramFile
from mailplat.store.sql.store import sql_store
from mailplat.testing import stores
from mailplat.testing.mails import new_message
from mailplat.testing.store_contract.fixtures import uids_in
from mailplat.testing.store_contract.trial import Broken, passes, run_one
from mailplat.testing.turns import until

Open = Callable[..., Awaitable[tuple[IndexedStore, IHome]]]


@pytest_twisted.async_yield_fixture
async def open_store(tmp_path: Path) -> Any:
    """Opens a SQL store in a directory, with Alice's home; closes it after the test."""
    opened = []

    async def opener(**limits: float) -> tuple[IndexedStore, IHome]:
        store = sql_store(
            "sqlite:///mail.db",
            StoreSettings(reactor, str(tmp_path)),
            IndexLimits(**limits),  # type: ignore[arg-type]
        )
        await store.open()
        opened.append(store)
        return store, await store.open_home("alice")

    yield opener
    for store in opened:
        await store.close()


async def put(home: IHome, *words: str) -> Sequence[int]:
    """Append a message for each word."""
    new = [new_message(f"Subject: s\r\n\r\nIt is {word}.\r\n".encode()) for word in words]
    return (await home.append("INBOX", new)).uids


async def find(home: IHome, word: str) -> Sequence[int] | None:
    """Ask the index of INBOX."""
    mailbox = await home.open_mailbox("INBOX")
    assert isinstance(mailbox, IndexedMailbox)
    uids = (await mailbox.state(False)).uids
    found = await mailbox.candidates(fold(word), Searched.BODY, uids)
    mailbox.close()
    return None if found is None else list(found)


@pytest_twisted.ensureDeferred
async def test_follows_by_itself(open_store: Open) -> None:
    """Nobody needs to ask: a moment after a commit the message is in."""
    store, home = await open_store(search_seconds=0.01)
    assert await find(home, "zebra") is None
    await put(home, "zebra", "horse")
    assert store.text is not None
    await until(lambda: store.text is not None and store.text._ready)
    found: Sequence[int] | None = None
    while found != [1]:
        found = await find(home, "zebra")
        assert found is None or 1 in found
    await put(home, "zebra")
    assert await find(home, "zebra") == [1, 3]


@pytest_twisted.ensureDeferred
async def test_a_restored_backup(open_store: Open, tmp_path: Path) -> None:
    """A database older than its index, whose ids are given again, is indexed anew."""
    path, backup = tmp_path / "mail.db", tmp_path / "backup"
    store, home = await open_store()
    await put(home, "zebra")
    await store.close()
    shutil.copy(path, backup)
    store, home = await open_store()
    await put(home, "horse", "mouse")
    await store.catch_up()
    assert await find(home, "horse") == [2]
    await store.close()
    shutil.copy(f"{path}.search", tmp_path / "old-search")
    for suffix in ("-wal", "-shm"):  # they belong to the newer database, not to the backup
        (tmp_path / f"mail.db{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, path)

    store, home = await open_store()
    await put(home, "otter")
    await store.catch_up()
    assert await find(home, "otter") == [2]
    assert await find(home, "horse") == []
    await put(home, "horse")
    await store.close()
    shutil.copy(tmp_path / "old-search", f"{path}.search")  # of the other branch

    store, home = await open_store()
    await store.catch_up()
    assert await find(home, "horse") == [3]
    assert await find(home, "otter") == [2]


@pytest.mark.parametrize("damage", [b"no database at all", b""])
@pytest_twisted.ensureDeferred
async def test_a_damaged_file(damage: bytes, open_store: Open, tmp_path: Path) -> None:
    """A file that cannot be read is made anew."""
    store, home = await open_store()
    await put(home, "zebra")
    await store.catch_up()
    await store.close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"mail.db.search{suffix}").unlink(missing_ok=True)
    (tmp_path / "mail.db.search").write_bytes(damage)
    store, home = await open_store()
    await store.catch_up()
    assert await find(home, "zebra") == [1]
    assert await find(home, "horse") == []


@pytest_twisted.ensureDeferred
async def test_damaged_while_it_is_open(open_store: Open, tmp_path: Path) -> None:
    """A search does without the index then, and it is built anew."""
    store, home = await open_store()
    await put(home, *(f"zebra{number}" for number in range(300)))
    await store.catch_up()
    assert await find(home, "zebra17.") == [18]
    path = tmp_path / "mail.db.search"
    assert store.text is not None
    with (tmp_path / "mail.db.search-wal").open("r+b") as wal:
        wal.truncate(0)
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40960)
    found = await find(home, "zebra17.")
    assert found is None or 18 in found
    with suppress(Unavailable):
        await store.catch_up()
    await store.rebuild()
    assert await find(home, "zebra17.") == [18]


@pytest_twisted.ensureDeferred
async def test_two_processes(open_store: Open, tmp_path: Path) -> None:
    """One builds the index anew, or finds its file gone: the other goes on with it."""
    store, home = await open_store()
    other, others_home = await open_store()
    await put(home, "zebra")
    await store.catch_up()
    await other.catch_up()
    assert await find(others_home, "zebra") == [1]
    await other.rebuild()
    await put(home, "horse")
    await store.catch_up()
    await other.settled()
    for one in (home, others_home):
        assert await find(one, "zebra") == [1]
        assert await find(one, "horse") == [2]
    (tmp_path / "mail.db.search").unlink()
    await put(home, "otter")
    for follower in (store, other):
        with suppress(Unavailable):
            await follower.catch_up()
        await follower.catch_up()
        await follower.settled()
    for one in (home, others_home):
        assert await find(one, "otter") == [3]
        assert await find(one, "zebra") == [1]


@pytest_twisted.ensureDeferred
async def test_stops_and_goes_on(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling that is broken off after each batch goes on there; nothing is missed meanwhile."""
    monkeypatch.setattr("mailplat.store.index.search_file.SEARCHED_CONTENTS", 5)
    store, home = await open_store()
    await put(home, *(f"zebra{number:03}" for number in range(20)))
    await store.close()
    unknown = []
    for _ in range(5):
        store, home = await open_store()
        assert store.text is not None
        await store.text._prepare()
        await deferToThread(store.text.keeper.take_in)
        assert await find(home, "zebra") == list(range(1, 21))
        found = await find(home, "zebra017")
        assert found is not None
        assert 18 in found
        unknown.append(len(found))
        await store.close()
    assert unknown == [15, 10, 5, 1, 1]


@pytest_twisted.ensureDeferred
async def test_a_body_that_cannot_be_read(open_store: Open) -> None:
    """It is always a candidate, so that whoever searches hears of it; the others are in."""
    store, home = await open_store()
    await put(home, "zebra", "horse")
    await store.writer.submit(lambda tx: tx.run("DELETE FROM bodies WHERE id >> 16 = 2"), "test")
    await store.catch_up()
    assert await find(home, "zebra") == [1, 2]
    assert await find(home, "mouse") == [2]


@pytest_twisted.ensureDeferred
async def test_gone_contents_leave(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of deleted messages nothing stays, once enough of them are gone."""
    monkeypatch.setattr(trigrams, "_SPAN", 16)
    store, home = await open_store()
    for start in range(0, 100, 10):
        await put(home, *(f"zebra{number:03}" for number in range(start, start + 10)))
        await store.catch_up()
    file = TrigramFile(tmp_path / "mail.db.search")
    connection = file.connect(writes=False)
    assert sum(span.docs for span in trigrams.spans(connection)) == 100
    assert len(trigrams.spans(connection)) > 4
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.expunge(NumSet.span(1, 97) - NumSet.of([50]))
    mailbox.close()
    await store.settled()
    await store.settled()
    assert store.text is not None
    store.text.forget(1000)
    await store.catch_up()
    await store.catch_up()
    assert await uids_in(home) == [50, 98, 99, 100]
    assert await find(home, "zebra") == [50, 98, 99, 100]
    assert await find(home, "zebra097") == [98]
    assert await find(home, "zebra049") == [50]
    assert sum(span.docs for span in trigrams.spans(connection)) <= 8
    connection.close()


@settings(max_examples=60, deadline=None)
@given(
    text=strategies.text(
        strategies.sampled_from(list("aAbBß \n\0'\"*é漢😀\ud800\ufffe")), max_size=60
    ),
    data=strategies.data(),
)
def test_every_piece_of_a_text_is_found(text: str, data: strategies.DataObject) -> None:
    """Any run of three characters or more, of any text."""
    text = fold(text)
    if len(text) < 3:
        return
    start = data.draw(strategies.integers(0, len(text) - 3))
    stop = data.draw(strategies.integers(start + 3, len(text)))
    with TemporaryDirectory() as directory:
        file = TrigramFile(Path(directory, "search"))
        file.create()
        connection = file.connect(writes=True)
        trigrams.empty(connection, 7)
        (span,) = trigrams.spans(connection)
        trigrams.add(connection, span, [Document(5, "", text), Document(6, "", "x")], 6)
        found = trigrams.match(connection, text[start:stop], 0, 1, 9, 100)
        assert found is not None
        assert 5 in found.contents
        assert list(found.known) == [(1, 6)]
        connection.close()


# the contract bites


def _whole_words(right: Any) -> Any:
    async def candidates(self: Any, needle: str, where: Searched, uids: Any) -> Any:
        found = await right(self, f" {needle} ", where, uids)
        return found if len(needle) > 2 else None

    return candidates


def _bodies_alone(right: Any) -> Any:
    async def candidates(self: Any, needle: str, where: Searched, uids: Any) -> Any:
        return await right(self, needle, Searched.BODY, uids)

    return candidates


def _everything(right: Any) -> Any:
    async def candidates(self: Any, needle: str, where: Searched, uids: Any) -> Any:
        return uids

    return candidates


def _forgets_what_is_new(right: Any) -> Any:
    async def candidates(self: Any, needle: str, where: Searched, uids: Any) -> Any:
        found = await right(self, needle, where, uids)
        return found if found is None else [uid for uid in found if uid < 10]

    return candidates


def _all_of_the_mailbox(right: Any) -> Any:
    async def candidates(self: Any, needle: str, where: Searched, uids: Any) -> Any:
        return await right(self, needle, where, (await self.state(False)).uids)

    return candidates


BROKEN = {
    "knows whole words only": (_whole_words, "test_names_every_hit"),
    "knows no headers": (_bodies_alone, "test_names_every_hit"),
    "names everything": (_everything, "test_leaves_away_most"),
    "forgets what is new": (_forgets_what_is_new, "test_many_come_and_go"),
    "names what nobody asked about": (_all_of_the_mailbox, "test_picks_from_what_is_asked_about"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest_twisted.ensureDeferred
async def test_the_contract_notices(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that breaks this rule fails the test that is about it."""
    breaking, test = BROKEN[what]
    broken = Broken(IndexedMailbox, "candidates", breaking, stores.SearchContract, test)
    await run_one(stores.SearchContract, test, _make, tmp_path, {})
    (tmp_path / "broken").mkdir()
    assert not await passes(broken, _make, tmp_path / "broken", monkeypatch)


def _make(settings: StoreSettings) -> IndexedStore:
    return sql_store("sqlite:///mail.db", settings)
