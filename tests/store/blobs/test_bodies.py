"""Large bodies in a blob store: kept once, gone with the last, and what happens when it fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.app.upkeep.verifying import mend, verify
from mailplat.interfaces.blobs import BlobInfo
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import BodyRange, Target
from mailplat.interfaces.upkeep import Fault, FaultKind
from mailplat.message.scan import ScanLimits
from mailplat.model.errors import (
    ConfigurationFault,
    Corrupt,
    OverQuota,
    StorageFull,
    Unavailable,
)
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.store.blobs.bodies import BlobRules
from mailplat.store.blobs.memory import MemoryBlobs
from mailplat.store.index.database import Row
from mailplat.store.index.sqlite import SQLiteConnection, SQLiteDatabase
from mailplat.store.index.store import IndexedStore
from mailplat.testing.mails import mail, new_message
from mailplat.testing.turns import all_of, until

OpenStore = Callable[..., Awaitable[IndexedStore]]

ALICE, BOB = Target("alice"), Target("bob")
RULES = BlobRules(larger=1000, least=1000, keep_seconds=3600)
AT_ONCE = replace(RULES, keep_seconds=-1, tend_seconds=0.01, sweep_seconds=0)
LARGE = mail(1, 5000)


def rows(directory: Path, sql: str) -> list[Any]:
    """Ask the database from outside."""
    raw = sqlite3.connect(directory / "mail.db")
    try:
        return raw.execute(sql).fetchall()
    finally:
        raw.close()


async def read(store: IndexedStore, account: str, *uids: int, size: int = 5000) -> list[Any]:
    """Read messages whole."""
    mailbox = await (await store.open_home(account)).open_mailbox("INBOX")
    try:
        return list(await mailbox.bodies([BodyRange(uid, 0, size) for uid in uids]))
    finally:
        mailbox.close()


async def expunge(store: IndexedStore, account: str, uid: int) -> None:
    """Expunge a message, and wait until its content is dropped."""
    mailbox = await (await store.open_home(account)).open_mailbox("INBOX")
    await mailbox.expunge(NumSet.of([uid]))
    mailbox.acknowledge((await mailbox.state(False)).modseq)
    mailbox.close()
    # it is submitted by now, so what is submitted later comes behind it
    await store.settled()
    await store.settled()


@pytest.mark.parametrize("outside", [True, False])
@pytest_twisted.ensureDeferred
async def test_kept_once(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path, outside: bool
) -> None:
    """The same body in several deliveries and appends is kept once; a small one is not shared."""
    store = await open_store(memory if outside else None)
    for _ in range(3):
        await store.deliver(new_message(LARGE), [ALICE, BOB])
    await (await store.open_home("bob")).append("INBOX", [new_message(LARGE)] * 2)
    await all_of([store.deliver(new_message(mail(2, 5000)), [BOB]) for _ in range(8)])
    await store.deliver(new_message(mail(3)), [ALICE, BOB])
    assert await read(store, "alice", 1, 2, 3) == [LARGE] * 3
    assert await read(store, "bob", *range(1, 14)) == [LARGE] * 5 + [mail(2, 5000)] * 8
    await store.close()
    kept = [data for data, _ in memory.blobs.values()]
    assert sorted(kept) == (sorted([LARGE, mail(2, 5000)]) if outside else [])
    assert len(rows(tmp_path, "SELECT 1 FROM blobs")) == 2
    sizes = rows(tmp_path, "SELECT count(*), sum(length(data)) FROM bodies")
    small = len(mail(3))
    assert sizes == [(1, small)] if outside else sizes == [(3, small + 10_000)]


@pytest_twisted.ensureDeferred
async def test_gone_with_the_last_in_the_database(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path
) -> None:
    """In the database a body goes in the transaction that drops the last who had it."""
    store = await open_store()
    for target in (ALICE, BOB):
        await store.deliver(new_message(LARGE), [target])
    await expunge(store, "alice", 1)
    assert rows(tmp_path, "SELECT count(*) FROM bodies") == [(1,)]
    assert await read(store, "bob", 1) == [LARGE]
    await expunge(store, "bob", 1)
    await until(lambda: rows(tmp_path, "SELECT count(*) FROM bodies") == [(0,)])
    assert rows(tmp_path, "SELECT count(*) FROM blobs") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM shared") == [(0,)]


@pytest_twisted.ensureDeferred
async def test_gone_after_the_last(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path
) -> None:
    """Outside it stays a while, in which the same body that comes again is put anew."""
    store = await open_store(memory)
    await store.deliver(new_message(LARGE), [ALICE])
    (first,) = memory.blobs
    await expunge(store, "alice", 1)
    await until(lambda: rows(tmp_path, "SELECT 1 FROM blobs WHERE unused > 0") == [(1,)])
    assert list(memory.blobs) == [first]
    await store.deliver(new_message(LARGE), [BOB])
    assert rows(tmp_path, "SELECT count(*) FROM blobs WHERE unused = 0") == [(1,)]
    second = rows(tmp_path, "SELECT key FROM blobs")[0][0]
    assert set(memory.blobs) == {first, second}
    store = await open_store(memory, AT_ONCE)
    await until(lambda: list(memory.blobs) == [second])
    assert await read(store, "bob", 1) == [LARGE]
    await expunge(store, "bob", 1)
    await until(lambda: not memory.blobs)
    await until(lambda: rows(tmp_path, "SELECT count(*) FROM blobs") == [(0,)])


@pytest_twisted.ensureDeferred
async def test_a_damaged_one_is_mended_by_the_next(
    open_store: OpenStore, memory: MemoryBlobs
) -> None:
    """A blob that is gone or cut is not relied on: the next mail like it mends all."""
    store = await open_store(memory)
    await store.deliver(new_message(LARGE), [ALICE])
    for left in (None, LARGE[:4999]):
        (key,) = [key for key, (data, _) in memory.blobs.items() if data == LARGE]
        if left is None:
            del memory.blobs[key]
        else:
            memory.blobs[key] = left, 0
        with pytest.raises(Corrupt, match=r"alice/INBOX: .*UID 1"):
            await read(store, "alice", 1, size=5000)
        store.recent.clear()
        await store.deliver(new_message(LARGE), [BOB])
        assert await read(store, "alice", 1) == [LARGE]
        store.recent.clear()


class Failing(MemoryBlobs):
    """Fails on demand; knows what it was asked."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.down: Exception | None = None
        self.now = now
        self.tried: Callable[[None], None] = lambda _: None

    def _check(self) -> None:
        self.tried(None)
        if self.down is not None:
            raise self.down

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """Put."""
        self._check()
        await super().put(key, body, digest)

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Read."""
        self._check()
        return await super().read(key, start, stop)

    async def find(self, key: str) -> BlobInfo | None:
        """Find."""
        self._check()
        return await super().find(key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete."""
        self._check()
        await super().delete(keys)

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """List."""
        self._check()
        return await super().page(prefix, after)


@pytest.fixture
def failing(memory: MemoryBlobs) -> Failing:
    """Blobs that fail on demand."""
    return Failing(memory._now)


@pytest.mark.parametrize("error", [Unavailable("down"), StorageFull("full")])
@pytest_twisted.ensureDeferred
async def test_down(open_store: OpenStore, failing: Failing, error: Exception) -> None:
    """A server that is down refuses what is large, names what it cannot read, serves the rest."""
    store = await open_store(failing)
    await store.deliver(new_message(LARGE), [ALICE])
    await store.deliver(new_message(mail(2)), [ALICE])
    failing.down = error
    home = await store.open_home("alice")
    with pytest.raises(type(error)):
        await store.deliver(new_message(mail(3, 5000)), [ALICE])
    with pytest.raises(type(error)):
        await home.append("INBOX", [new_message(mail(4)), new_message(mail(3, 5000))])
    await store.deliver(new_message(mail(5)), [ALICE])
    with pytest.raises(Unavailable, match=r"alice/INBOX: UID 1: the blob .* cannot be read"):
        await read(store, "alice", 2, 1)
    assert await read(store, "alice", 2, 3) == [mail(2), mail(5)]
    failing.down = None
    assert await read(store, "alice", 1) == [LARGE]
    assert (await home.usage()).messages == 3
    assert len(failing.blobs) == 1


@pytest_twisted.ensureDeferred
async def test_refused(open_store: OpenStore, memory: MemoryBlobs) -> None:
    """What was put for a mail that a quota refuses is deleted at once."""
    store = await open_store(memory)
    home = await store.open_home("alice")
    await home.set_limit(QuotaLimit(4000, None))
    with pytest.raises(OverQuota):
        await store.deliver(new_message(LARGE), [BOB, ALICE])
    with pytest.raises(OverQuota):
        await home.append("INBOX", [new_message(LARGE), new_message(mail(2, 5000))])
    await until(lambda: not memory.blobs)


class Unsure(SQLiteConnection):
    """Fails a commit, before or after it is carried out."""

    fails = ""

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run."""
        fails, when = sql == "COMMIT" and Unsure.fails, Unsure.fails
        if fails:
            Unsure.fails = ""
            if when == "after":
                super().run(sql, args)
            raise Unavailable("the disk stopped")
        return super().run(sql, args)

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Query."""
        return super().all(sql, args)


class UnsureDatabase(SQLiteDatabase):
    """Has such connections."""

    def connect(self, *, writes: bool) -> SQLiteConnection:
        """Connect."""
        made = super().connect(writes=writes)
        if writes:
            made.__class__ = Unsure
        return made


@pytest.mark.parametrize("when", ["before", "after"])
@pytest_twisted.ensureDeferred
async def test_a_commit_that_failed(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path, when: str
) -> None:
    """A blob stays if the commit that named it was carried out after all; else it goes."""
    database = UnsureDatabase(tmp_path / "mail.db", busy_seconds=2)
    store = await open_store(memory, database=database)
    await store.open_home("alice")
    Unsure.fails = when
    with pytest.raises(Unavailable):
        await store.deliver(new_message(LARGE), [ALICE])
    await store.settled()
    if when == "before":
        await until(lambda: not memory.blobs)
        return
    store = await open_store(memory)
    assert await read(store, "alice", 1) == [LARGE]


@pytest_twisted.ensureDeferred
async def test_one_that_waited_too_long(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path
) -> None:
    """A sweep might have found the blob before the commit: then the body is in the database."""
    store = await open_store(memory, replace(RULES, keep_seconds=-10))
    await store.deliver(new_message(LARGE), [ALICE])
    await until(lambda: not memory.blobs)
    assert rows(tmp_path, "SELECT key FROM blobs") == [("",)]
    assert await read(store, "alice", 1) == [LARGE]


@pytest_twisted.ensureDeferred
async def test_other_configuration(
    open_store: OpenStore, memory: MemoryBlobs, tmp_path: Path
) -> None:
    """Bodies stay where they were put; what is outside has to be found again."""
    store = await open_store()
    await store.deliver(new_message(LARGE), [ALICE])
    store = await open_store(memory)
    await store.deliver(new_message(LARGE), [ALICE])
    await store.deliver(new_message(mail(2, 5000)), [ALICE])
    assert len(memory.blobs) == 1
    with pytest.raises(ConfigurationFault, match=r"1 bodies are outside .* bodies\.use"):
        await open_store()
    store = await open_store(memory, replace(RULES, larger=100_000))
    await store.deliver(new_message(mail(3, 5000)), [ALICE])
    wanted = [LARGE, LARGE, mail(2, 5000), mail(3, 5000)]
    assert await read(store, "alice", 1, 2, 3, 4) == wanted


async def faults_of(store: IndexedStore, accounts: Sequence[str]) -> list[Fault]:
    """Verify."""
    return [fault async for fault in verify(store, accounts, ScanLimits())]


@pytest_twisted.ensureDeferred
async def test_verify_and_mend(open_store: OpenStore, memory: MemoryBlobs) -> None:
    """Missing and cut blobs and orphans are found; what can be is mended, the rest dropped."""
    store = await open_store(memory)
    for number in range(1, 5):
        await store.deliver(new_message(mail(number, 5000)), [ALICE, BOB])
    assert await faults_of(store, ["alice", "bob"]) == []
    by_data = {data: key for key, (data, _) in memory.blobs.items()}
    gone, cut, moved = (by_data[mail(number, 5000)] for number in (1, 2, 3))
    del memory.blobs[gone]
    memory.blobs[cut] = mail(2, 5000)[:100], 0.0
    again = moved[:-4] + "0000"
    memory.blobs[again] = memory.blobs.pop(moved)
    mark = gone.partition("/")[0]
    orphan, young = f"{mark}/00/00-1", f"{mark}/00/00-2"
    memory.blobs[orphan] = b"x" * 10, 0.0
    memory.blobs[young] = b"y", memory._now()
    other = "0" * 16 + "/00/00-1"
    memory.blobs[other] = b"z", 0.0
    store.recent.clear()
    found = await faults_of(store, ["alice", "bob"])
    whats = sorted(fault.what.partition(" ")[2] for fault in found if fault.kind is FaultKind.BLOB)
    assert len(whats) == 3
    assert [what.split(" ", 2)[2] for what in whats if cut in what] == [
        "has 100 of 5000 bytes; messages with it: 2"
    ]
    bodies = {(f.account, f.uid) for f in found if f.kind is FaultKind.BODY}
    assert bodies == {(who, uid) for who in ("alice", "bob") for uid in (1, 2, 3)}
    (leftover,) = [fault for fault in found if fault.kind is FaultKind.LEFTOVER]
    assert leftover.what == "1 blobs (10 bytes) belong to nothing"
    done = await mend(store, found, ScanLimits(), drop_missing=False)
    assert {(f.account, f.uid) for f in done.left if f.kind is FaultKind.BODY} == {
        (who, uid) for who in ("alice", "bob") for uid in (1, 2)
    }
    assert len([fault for fault in done.left if fault.kind is FaultKind.BLOB]) == 2
    assert orphan not in memory.blobs
    assert {young, other, again} <= set(memory.blobs)
    assert await read(store, "alice", 3, 4) == [mail(3, 5000), mail(4, 5000)]
    found = await faults_of(store, ["alice", "bob"])
    await mend(store, found, ScanLimits(), drop_missing=True)
    await until(lambda: len(memory.blobs) == 5)
    assert await faults_of(store, ["alice", "bob"]) == []
    assert await read(store, "bob", 3, 4) == [mail(3, 5000), mail(4, 5000)]


@pytest_twisted.ensureDeferred
async def test_verify_while_down(open_store: OpenStore, failing: Failing) -> None:
    """A server that is down is told once, and does not keep from looking at the rest."""
    store = await open_store(failing)
    await store.deliver(new_message(mail(2)), [ALICE])
    failing.down = Unavailable("down")
    (fault,) = await faults_of(store, ["alice"])
    assert fault.kind is FaultKind.BLOB
    assert "cannot be listed: down" in fault.what


@pytest_twisted.ensureDeferred
async def test_tending_goes_on(open_store: OpenStore, failing: Failing) -> None:
    """What could not be swept is swept when the server is back; what is young stays."""
    store = await open_store(failing, replace(RULES, tend_seconds=0.01, sweep_seconds=0))
    await store.deliver(new_message(LARGE), [ALICE])
    (kept,) = failing.blobs
    failing.down = Unavailable("down")
    tries: list[None] = []
    failing.tried = tries.append
    failing.blobs[kept + "0"] = LARGE, 0.0
    failing.blobs[kept + "1"] = LARGE, failing.now()
    await until(lambda: len(tries) > 2)
    assert len(failing.blobs) == 3
    failing.down = None
    await until(lambda: len(failing.blobs) == 2)
    assert set(failing.blobs) == {kept, kept + "1"}
    assert await read(store, "alice", 1) == [LARGE]
