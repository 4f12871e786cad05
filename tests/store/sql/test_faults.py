"""What is left when the database fails, or the machine stops, at any step."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, IStore, NewMessage, Target
from mailplat.model.errors import Corrupt, MailError, NoSuchMailbox, StorageFull, Unavailable
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.store.index.database import Row
from mailplat.store.index.sqlite import SQLiteConnection, SQLiteDatabase
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.bodies import DatabaseBodies

Make = Callable[..., NewMessage]


class Faults:
    """Decides which step of the writer's connection fails.

    Attributes:
        steps: How many there were.
        first: The first step that fails; 0 for none.
        last: The last one that fails.
        after: Whether a commit that fails was carried out all the same.
    """

    def __init__(self) -> None:
        self.steps = self.first = self.last = 0
        self.after = False

    def fails(self) -> bool:
        """Count a step; say whether it fails."""
        self.steps += 1
        return 0 < self.first <= self.steps <= self.last


class FaultyConnection(SQLiteConnection):
    """Fails where it is told to."""

    faults: Faults

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Fail or query."""
        if self.faults.fails():
            raise Unavailable("the disk stopped")
        return super().all(sql, args)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Fail or run, the commit also after it ran."""
        fails = self.faults.fails()
        if fails and not (self.faults.after and sql == "COMMIT"):
            raise Unavailable("the disk stopped")
        done = super().run(sql, args)
        if fails:
            raise Unavailable("the disk stopped")
        return done


class FaultyDatabase(SQLiteDatabase):
    """Gives the writer a connection that fails."""

    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(path, busy_seconds=0.1)
        self.faults = faults

    def connect(self, *, writes: bool) -> SQLiteConnection:
        """Connect."""
        made = super().connect(writes=writes)
        if writes:
            made.run("PRAGMA synchronous=OFF")  # files are copied, no power is cut: save the time
            made.__class__ = FaultyConnection
            made.faults = self.faults  # type: ignore[attr-defined]
        return made


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A database with nothing in it."""
    path = tmp_path / "empty.db"
    SQLiteDatabase(path).create()
    return path


@dataclass
class Expected:
    """What the answers to a scenario promise.

    Attributes:
        there: Bodies that are there, and in how many mailboxes.
        unsure: Bodies that may be in one mailbox less, and bodies that nothing was said about.
    """

    there: Counter[bytes] = field(default_factory=Counter)
    unsure: set[bytes] = field(default_factory=set)


def text(word: str) -> bytes:
    """Make a body."""
    return f"Subject: {word}\r\n\r\n".encode() + word.encode() * 20


async def scenario(store: IStore, make: Make) -> Expected:
    """Do many things, some at once, and go on where one fails."""
    expected = Expected()

    async def attempt(call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (Unavailable, NoSuchMailbox):
            return None

    async def deliver(word: str, *targets: Target) -> None:
        expected.unsure.add(text(word))
        if await attempt(store.deliver(make(text(word)), targets)):
            expected.unsure.remove(text(word))
            expected.there[text(word)] = len(targets)

    at_once = [deliver(f"d{i}", Target("alice"), Target("bob", "List")) for i in range(3)]
    await DeferredList([Deferred.fromCoroutine(call) for call in at_once])
    home = await attempt(store.open_home("alice"))
    if home is None:
        return expected
    both = {text("a1"), text("a2")}
    expected.unsure |= both
    messages = [make(text("a1")), make(text("a2"), "\\Deleted", "$Junk")]
    if await attempt(home.append("INBOX", messages)):
        expected.unsure -= both
        expected.there.update(both)
    inbox = await attempt(home.open_mailbox("INBOX"))
    if inbox is None:
        return expected
    await attempt(inbox.store_flags(NumSet.span(1, 3), FlagAction.ADD, ["\\Seen"], None))
    await attempt(home.create("Work", ()))
    await attempt(inbox.move(NumSet.span(2, 2), "Work"))
    await attempt(home.rename("Work", "Play"))
    state = await inbox.state(False)
    for uid in state.uids[:1]:
        (body,) = await inbox.bodies([BodyRange(uid, 0, 1000)])
        if await attempt(inbox.expunge(NumSet.of([uid]))) is not None:
            expected.there[body] -= 1
        else:
            expected.unsure.add(body)
    inbox.close()
    await deliver("d9", Target("alice", "Play"))
    return expected


def check(found: Counter[bytes], expected: Expected) -> None:
    """Hold what is there against what was acknowledged."""
    for body, count in expected.there.items():
        less = body in expected.unsure
        assert count - less <= found[body] <= count, body
    assert found.keys() <= expected.there.keys() | expected.unsure
    assert max(found.values(), default=0) <= 2


async def contents(store: IStore) -> Counter[bytes]:
    """Count all bodies there are."""
    found: Counter[bytes] = Counter()
    for account in await store.accounts():
        home = await store.open_home(account)
        for info in await home.mailboxes():
            if not info.exists:
                continue
            box = await home.open_mailbox(info.name)
            state = await box.state(False)
            for data in await box.bodies([BodyRange(uid, 0, 1 << 20) for uid in state.uids]):
                assert data is not None
                found[data] += 1
            box.close()
    return found


def make_store(path: Path, settings: StoreSettings, faults: Faults) -> IndexedStore:
    """Make a store whose writer can fail."""
    database = FaultyDatabase(path, faults)
    return IndexedStore(database, DatabaseBodies(database.dialect), settings)


def copy_database(source: Path, target: Path) -> None:
    """Take the files as they are, as after a crash; nothing else is known then."""
    for suffix in ("", "-wal"):
        file = source.with_name(source.name + suffix)
        if file.exists():
            shutil.copy(file, target.with_name(target.name + suffix))


@pytest.mark.parametrize("after", [False, True])
@pytest_twisted.ensureDeferred
async def test_disk_stops_at_any_step(
    after: bool,
    empty: Path,
    settings: StoreSettings,
    message: Make,
    tmp_path: Path,
    recount: Callable[[Path], None],
) -> None:
    """Whatever step is the last one: all that was acknowledged is there, once, and counted."""
    first, finished = 1, False
    while not finished:
        path, left = tmp_path / f"{first}.db", tmp_path / f"{first}-left.db"
        shutil.copy(empty, path)
        faults = Faults()
        store = make_store(path, settings, faults)
        await store.open()
        faults.first, faults.last = faults.steps + first, 1 << 60
        faults.after = after
        expected = await scenario(store, message)
        finished = faults.steps < faults.first
        copy_database(path, left)
        faults.first = 0
        await store.close()

        again = make_store(left, settings, Faults())
        await again.open()
        check(await contents(again), expected)
        (appended,) = await again.deliver(message(b"Subject: new\r\n\r\n"), [Target("alice")])
        home = await again.open_home("alice")
        box = await home.open_mailbox("INBOX")
        assert (await box.state(False)).uids[-1] == appended.uids[0]
        box.close()
        await again.close()
        recount(left)
        first += 1
    assert first > 40


@pytest_twisted.ensureDeferred
async def test_goes_on_after_any_fault(
    empty: Path,
    settings: StoreSettings,
    message: Make,
    tmp_path: Path,
    recount: Callable[[Path], None],
) -> None:
    """One step fails, whichever: nobody else is harmed, memory and database agree."""
    first, finished = 1, False
    while not finished:
        path = tmp_path / f"{first}.db"
        shutil.copy(empty, path)
        faults = Faults()
        store = make_store(path, settings, faults)
        await store.open()
        faults.first = faults.last = faults.steps + first
        expected = await scenario(store, message)
        finished = faults.steps < faults.first
        found = await contents(store)
        check(found, expected)
        await store.close()
        recount(path)
        again = make_store(path, settings, Faults())
        await again.open()
        assert await contents(again) == found
        await again.close()
        first += 1


@pytest_twisted.ensureDeferred
async def test_batch_fails_alone(
    empty: Path, settings: StoreSettings, message: Make, recount: Callable[[Path], None]
) -> None:
    """Of many deliveries that share a commit, one that is refused late is the only one."""
    faults = Faults()
    store = make_store(empty, settings, faults)
    await store.open()
    home = await store.open_home("alice")
    words = [f"word{i}" for i in range(30)]  # more keywords than the limit

    async def append(*flags: str) -> None:
        await home.append("INBOX", [message(b"x" * 30, *flags)])

    calls = [append(), append(*words), append("one"), append("bad word"), append("two")]
    results = await DeferredList(
        [Deferred.fromCoroutine(call) for call in calls], consumeErrors=True
    )
    assert [bool(ok) for ok, _ in results] == [True, False, True, False, True]
    assert (await home.status(["INBOX"]))["INBOX"].messages == 3
    await store.close()
    recount(empty)


@pytest_twisted.ensureDeferred
async def test_disk_full(
    empty: Path, settings: StoreSettings, message: Make, recount: Callable[[Path], None]
) -> None:
    """A full disk is said as such; nothing half is kept, and mail goes on when there is room."""

    class SmallDatabase(SQLiteDatabase):
        def connect(self, *, writes: bool) -> SQLiteConnection:
            made = super().connect(writes=writes)
            made.all("PRAGMA max_page_count=120")
            connections.append(made)
            return made

    connections: list[SQLiteConnection] = []
    database = SmallDatabase(empty)
    store = IndexedStore(database, DatabaseBodies(database.dialect), settings)
    await store.open()
    stored = 0

    async def fill() -> None:
        nonlocal stored
        for _ in range(100):
            await store.deliver(message(bytes(20_000)), [Target("alice")])
            stored += 1

    with pytest.raises(StorageFull) as caught:
        await fill()
    assert "alice" in caught.value.reason
    assert 1 < stored < 100
    home = await store.open_home("alice")
    assert (await home.usage()).messages == stored
    for connection in connections:
        connection.all("PRAGMA max_page_count=100000")
    await store.deliver(message(bytes(20_000)), [Target("alice")])
    assert (await home.usage()).messages == stored + 1
    await store.close()
    recount(empty)


@pytest_twisted.ensureDeferred
async def test_locked(empty: Path, settings: StoreSettings, message: Make) -> None:
    """Another process that does not let go makes writing unavailable, and only that."""
    store = make_store(empty, settings, Faults())
    await store.open()
    await store.deliver(message(), [Target("alice")])
    other = SQLiteDatabase(empty).connect(writes=True)
    other.begin()
    with pytest.raises(Unavailable):
        await store.deliver(message(), [Target("alice")])
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    for _ in range(2):  # who cannot write may read; what is recent stays recent
        state = await box.state(True)
        assert (len(state.uids), state.recent_uid) == (1, 1)
    other.rollback()
    other.close()
    await store.deliver(message(), [Target("alice")])
    assert [(await box.state(True)).recent_uid for _ in range(2)] == [1, 3]
    box.close()
    await store.close()


@pytest_twisted.ensureDeferred
async def test_file_vanished(empty: Path, settings: StoreSettings, message: Make) -> None:
    """Mail is not put into a file that nobody will find again."""
    store = make_store(empty, settings, Faults())
    await store.open()
    await store.deliver(message(), [Target("alice")])
    empty.rename(empty.with_name("elsewhere.db"))
    with pytest.raises(Unavailable):
        await store.deliver(message(), [Target("alice")])
    await store.close()


@pytest.mark.parametrize("table", ["bodies", "contents"])
@pytest_twisted.ensureDeferred
async def test_missing_rows(
    table: str, empty: Path, settings: StoreSettings, message: Make
) -> None:
    """A body or summary that is missing is said with mailbox and UID; the rest is served."""
    store = make_store(empty, settings, Faults())
    await store.open()
    for number in range(3):
        await store.deliver(message(b"Subject: %d\r\n\r\n" % number), [Target("alice")])
    raw = SQLiteDatabase(empty).connect(writes=True)
    raw.run(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT 1 OFFSET 1)"
    )
    raw.close()
    box = await (await store.open_home("alice")).open_mailbox("INBOX")

    async def read(uid: int) -> Any:
        if table == "bodies":
            return await box.bodies([BodyRange(uid, 0, 99)])
        return await box.rows([uid], [Column.ENVELOPE])

    with pytest.raises(Corrupt) as caught:
        await read(2)
    assert "alice/INBOX" in caught.value.reason
    assert "UID 2" in caught.value.reason
    assert await read(1)
    assert await read(3)
    box.close()
    await store.close()


@pytest_twisted.ensureDeferred
async def test_closed(empty: Path, settings: StoreSettings, message: Make) -> None:
    """A store that is closed does nothing any more, and says so."""
    store = make_store(empty, settings, Faults())
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(MailError):
        await store.deliver(message(), [Target("alice")])
    with pytest.raises(MailError):
        await store.accounts()
