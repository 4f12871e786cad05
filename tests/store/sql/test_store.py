"""What the SQL store does beyond the contract of every store."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, gatherResults

from mailplat.interfaces.plugins import IStorePlugin, StoreSettings
from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox, IStore, NewMessage, Target
from mailplat.model.errors import ConfigurationFault, NoSuchMailbox
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.plugins.mailplat_sql import sql
from mailplat.store.index import messages as operations
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.store import sql_store
from mailplat.testing.turns import until

Make = Callable[..., NewMessage]
Open = Callable[..., Awaitable[IndexedStore]]
ALICE = [Target("alice")]


def count(path: Path, table: str) -> int:
    """Count the rows of a table, by another connection."""
    raw = sqlite3.connect(path)
    (rows,) = raw.execute(f"SELECT count(*) FROM {table}").fetchone()
    raw.close()
    return int(rows)


@pytest_twisted.ensureDeferred
async def test_kept_once(open_store: Open, message: Make, tmp_path: Path) -> None:
    """A message for many, and its copies, have one content."""
    store = await open_store()
    await store.deliver(message(bytes(200_000)), [Target(f"user{i}") for i in range(20)])
    home = await store.open_home("user3")
    box = await home.open_mailbox("INBOX")
    await box.copy(NumSet.span(1, 1), "Sent")
    path = tmp_path / "mail.db"
    assert (count(path, "messages"), count(path, "contents"), count(path, "bodies")) == (21, 1, 4)
    ids = (await box.rows([1], [Column.EMAIL_ID]))[Column.EMAIL_ID]
    sent = await home.open_mailbox("Sent")
    assert (await sent.rows([1], [Column.EMAIL_ID]))[Column.EMAIL_ID] == ids
    box.close()
    sent.close()


@pytest_twisted.ensureDeferred
async def test_bytes_go_when_nobody_shows_them(
    open_store: Open, message: Make, tmp_path: Path
) -> None:
    """Expunged bytes stay until the last viewer acknowledged, and then go."""
    path = tmp_path / "mail.db"
    store = await open_store()
    await store.deliver(message(b"x" * 70_000), ALICE)
    home = await store.open_home("alice")
    one, two = await home.open_mailbox("INBOX"), await home.open_mailbox("INBOX")
    await one.expunge(NumSet.span(1, 1))
    one.acknowledge((await one.changes_since(0)).modseq)
    await store.settled()
    assert await two.bodies([BodyRange(1, 69_999, 80_000)]) == [b"x"]
    assert count(path, "bodies") == 2
    two.acknowledge(1 << 40)
    await until(lambda: count(path, "bodies") == 0)
    assert count(path, "contents") == count(path, "headers") == count(path, "dropping") == 0
    assert await two.bodies([BodyRange(1, 0, 10)]) == [None]
    one.close()
    two.close()


@pytest_twisted.ensureDeferred
async def test_bytes_of_a_deleted_mailbox(open_store: Open, message: Make, tmp_path: Path) -> None:
    """Who has a deleted mailbox open reads on; afterwards its bytes go, a few at a time."""
    path = tmp_path / "mail.db"
    store = await open_store(collect_messages=3)
    home = await store.open_home("alice")
    await home.create("Gone", ())
    await home.append("Gone", [message(b"%d" % i * 30) for i in range(10)])
    box = await home.open_mailbox("Gone")
    await home.delete("Gone")
    with pytest.raises(NoSuchMailbox):
        await box.changes_since(0)
    with pytest.raises(NoSuchMailbox):
        await box.expunge(NumSet.span(1, 9))
    await store.settled()
    assert await box.bodies([BodyRange(4, 0, 5)]) == [b"33333"]
    assert count(path, "bodies") == 10
    box.close()
    await until(lambda: count(path, "bodies") + count(path, "dropping") == 0)


@pytest_twisted.ensureDeferred
async def test_bytes_left_by_a_crash(open_store: Open, message: Make, tmp_path: Path) -> None:
    """What nobody could drop any more is dropped when the store is opened."""
    path = tmp_path / "mail.db"
    store = await open_store()
    await store.deliver(message(), ALICE)
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    await box.expunge(NumSet.span(1, 1))
    await store.close()  # the handle is never closed, as in a crash
    assert count(path, "bodies") == 1
    await open_store()
    assert count(path, "bodies") == count(path, "dropping") == 0


@pytest_twisted.ensureDeferred
async def test_summaries_of_some(open_store: Open, message: Make) -> None:
    """Few messages or many, warm or cold, with later ones: always the right summaries."""
    store = await open_store(block_bytes=200_000)
    home = await store.open_home("alice")
    sizes = [30 + number % 500 for number in range(2500)]
    for start in range(0, 2500, 500):
        await home.append("INBOX", [message(bytes(size)) for size in sizes[start : start + 500]])
    box = await home.open_mailbox("INBOX")

    async def check(uids: Any) -> None:
        rows = await box.rows(uids, [Column.ENVELOPE, Column.PREVIEW, Column.SENT, Column.SIZE])
        asked = list(uids) if isinstance(uids, NumSet) else uids
        there = [uid for uid in asked if uid <= len(sizes)]
        assert list(rows.uids) == there
        wanted = [sizes[uid - 1] for uid in there]
        assert list(rows[Column.SIZE]) == wanted
        assert rows[Column.ENVELOPE] == [b"(envelope %d)" % size for size in wanted]
        assert rows[Column.PREVIEW] == [f"prévoir {size}" for size in wanted]
        assert rows[Column.SENT] == [None if size % 2 else size for size in wanted]

    await check([1500])  # alone
    await check([5, 1024, 2048, 2499])  # alone in several blocks
    await check(range(1000, 1100))  # over a border
    await check(range(1, 2501, 7))
    await check(range(1, 2501))
    sizes += [77] * 30
    await home.append("INBOX", [message(bytes(77))] * 30)
    await check(range(2490, 2531))  # behind what is known
    await check(NumSet.span(2000, 9999))
    await check([])
    assert store.blocks.bytes <= 200_000 + 300_000
    box.close()


@pytest_twisted.ensureDeferred
async def test_large_header(open_store: Open, message: Make) -> None:
    """A header too large for the summary is read from the body."""
    store = await open_store()
    header = b"X: " + b"y" * 150_000 + b"\r\n\r\n"
    await store.deliver(message(header + b"body"), ALICE)
    await store.deliver(message(b"A: b\r\n\r\nbody"), ALICE)
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    rows = await box.rows([1, 2], [Column.HEADER])
    assert rows[Column.HEADER] == [header, b"A: b\r\n\r\n"]
    box.close()


@pytest_twisted.ensureDeferred
async def test_body_ranges(open_store: Open, message: Make) -> None:
    """Any range of a large body, many at once, across the borders of chunks."""
    store = await open_store()
    data = bytes(i * 7 % 256 for i in range(300_000))
    await store.deliver(message(data), ALICE)
    await store.deliver(message(b"small"), ALICE)
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    cuts = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000, 299_999, 300_000, 400_000]
    ranges = [BodyRange(1, start, stop) for start in cuts for stop in cuts]
    answers = await box.bodies([*ranges, BodyRange(2, 0, 99), BodyRange(3, 0, 9)])
    for asked, answer in zip(ranges, answers, strict=False):
        assert answer == data[asked.start : asked.stop]
    assert answers[-2:] == [b"small", None]
    box.close()


@pytest_twisted.ensureDeferred
async def test_the_same_message_again(
    open_store: Open, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes back for a small message waits for no thread; bytes are the message's own."""
    store = await open_store()
    small, large = b"Subject: x\r\n\r\nsmall\r\n", bytes(100_000)
    await store.deliver(message(small), [Target("alice"), Target("bob")])
    await store.deliver(message(large), ALICE)
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    other = await (await store.open_home("bob")).open_mailbox("INBOX")
    assert await box.bodies([BodyRange(1, 2, 9)]) == [small[2:9]]
    saved = (await box.rows([1], [Column.SAVED, Column.SENT, Column.PREVIEW]))[Column.SAVED]
    assert await box.bodies([BodyRange(2, 0, 10)]) == [large[:10]]
    reads: list[str] = []
    read = store.readers.read

    def counted(job: Any, subject: str) -> Deferred[Any]:
        reads.append(subject)
        return read(job, subject)

    monkeypatch.setattr(store.readers, "read", counted)
    assert await other.bodies([BodyRange(1, 0, 99)]) == [small]
    assert await box.bodies([BodyRange(1, 5, 7), BodyRange(1, 90, 99)]) == [small[5:7], b""]
    rows = await other.rows([1], [Column.SENT, Column.PREVIEW])
    assert rows[Column.PREVIEW] == [f"prévoir {len(small)}"]
    assert not reads
    assert (await other.rows([1], [Column.SAVED]))[Column.SAVED] == saved  # a message's own
    assert await box.bodies([BodyRange(2, 10, 20)]) == [large[10:20]]
    assert len(reads) == 2
    await box.expunge(NumSet.of([1]))
    box.acknowledge(1 << 40)
    assert await box.bodies([BodyRange(1, 0, 9)]) == [None]
    box.close()
    other.close()


@pytest_twisted.ensureDeferred
async def test_vanished_log_is_bounded(
    open_store: Open, message: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks from before the log's memory is told of every UID that is not there."""
    monkeypatch.setattr(operations, "_LOG_ROWS", 5)
    store = await open_store()
    home = await store.open_home("alice")
    await home.append("INBOX", [message()] * 41)
    box = await home.open_mailbox("INBOX")
    marks = [(await box.state(False)).modseq]
    for uid in range(1, 41, 2):
        await box.expunge(NumSet.of([uid]))
        marks.append((await box.state(False)).modseq)
    box.close()
    await store.close()
    assert count(tmp_path / "mail.db", "vanished") <= 10
    store = await open_store()
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    for number, mark in enumerate(marks):
        expected = NumSet.of(range(1 + 2 * number, 41, 2))
        told = (await box.changes_since(mark)).vanished
        assert expected & told == expected
        assert told & NumSet.of([*range(2, 41, 2), 41]) == NumSet()
    assert (await box.changes_since(marks[-2])).vanished == NumSet.of([39])
    box.close()


@pytest_twisted.ensureDeferred
async def test_two_processes(open_store: Open, message: Make) -> None:
    """What another process does is noticed, and told to those who watch."""
    one = await open_store(look_seconds=0.01)
    two = await open_store(look_seconds=1000)
    await one.deliver(message(b"first"), ALICE)
    home = await one.open_home("alice")
    box = await home.open_mailbox("INBOX")
    start = await box.state(False)
    told: list[str] = []
    box.watch(lambda: told.append("mailbox"))
    home.watch(told.append)
    other = await (await two.open_home("alice")).open_mailbox("INBOX")
    await two.deliver(message(b"second", "$Junk"), ALICE)
    await other.store_flags(NumSet.span(1, 1), FlagAction.ADD, ["\\Seen"], None)
    await until(lambda: "mailbox" in told and "INBOX" in told)
    await until(lambda: box._columns.stale)  # type: ignore[attr-defined]
    changes = await box.changes_since(start.modseq)
    assert list(changes.added) == [2]
    assert list(changes.changed) == [1]
    assert (await home.status(["INBOX"]))["INBOX"].messages == 2
    assert list((await box.state(False)).uids) == [1, 2]
    assert await box.bodies([BodyRange(2, 0, 9)]) == [b"second"]
    assert box.keywords == ("$Junk",)
    (third,) = await one.deliver(message(), ALICE)  # the next UID, whoever gives it
    assert third.uids == (3,)
    (fourth,) = await two.deliver(message(), ALICE)
    assert fourth.uids == (4,)
    box.close()
    other.close()


@pytest_twisted.ensureDeferred
async def test_only_news_are_read(
    open_store: Open, message: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of what another process changed the news are read, by an index; not the whole mailbox."""
    one, two = await open_store(look_seconds=1000), await open_store(look_seconds=1000)
    home = await one.open_home("alice")
    await home.append("INBOX", [message(b"%d" % i) for i in range(50)])
    box = await (await two.open_home("alice")).open_mailbox("INBOX")
    start = await box.state(False)
    monkeypatch.setattr(two.mailbox_reader, "load", None)
    other = await home.open_mailbox("INBOX")
    await other.store_flags(NumSet.of([3, 7]), FlagAction.ADD, ["\\Seen", "$New"], None)
    await other.expunge(NumSet.of([7, 9, 50]))
    await home.append("INBOX", [message(b"late")])
    await two.settled()
    changes = await box.changes_since(start.modseq)
    assert (list(changes.added), list(changes.changed)) == ([51], [3])
    assert changes.vanished == NumSet.of([7, 9, 50])
    state = await box.state(False)
    assert list(state.uids) == [uid for uid in range(1, 52) if uid not in (7, 9, 50)]
    rows = await box.rows([3, 51], [Column.FLAGS, Column.SIZE])
    assert (list(rows[Column.FLAGS]), list(rows[Column.SIZE])) == ([33, 0], [1, 4])
    assert await box.bodies([BodyRange(51, 0, 9)]) == [b"late"]
    box.close()
    other.close()
    raw = sqlite3.connect(tmp_path / "mail.db")
    plan = raw.execute(f"EXPLAIN QUERY PLAN {two.mailbox_reader.news_statement}", (1, 1)).fetchall()
    raw.close()
    assert any("messages_by_modseq" in row[3] for row in plan), plan


@pytest_twisted.ensureDeferred
async def test_larger_than_all_that_is_kept(open_store: Open, message: Make) -> None:
    """A mailbox for which there is no room once it is closed can be opened, by many at once."""
    store = await open_store()
    await (await store.open_home("alice")).append("INBOX", [message()] * 50)
    await store.close()
    store = await open_store(closed_bytes=100)
    home = await store.open_home("alice")
    boxes = await gatherResults([open_box(home) for _ in range(3)])
    for box in boxes:
        assert len((await box.state(False)).uids) == 50
        box.close()
    await store.deliver(message(), ALICE)
    box = await home.open_mailbox("INBOX")
    assert len((await box.state(False)).uids) == 51
    box.close()
    assert not store.shelf._closed


@pytest_twisted.ensureDeferred
async def test_expunging_many(
    open_store: Open, message: Make, tmp_path: Path, recount: Callable[[Path], None]
) -> None:
    """Others who write have their turn while a large mailbox is emptied; all goes."""
    store = await open_store(expunge_messages=10)
    home = await store.open_home("alice")
    await home.append("INBOX", [message(b"%d" % i) for i in range(95)])
    box = await home.open_mailbox("INBOX")
    await box.expunge(NumSet.of([3, 4]))
    ended: list[str] = []
    emptied = Deferred.fromCoroutine(_noting(box.expunge(NumSet.span(1, 90)), "emptied", ended))
    delivered = Deferred.fromCoroutine(_noting(store.deliver(message(), ALICE), "mail", ended))
    assert await emptied == NumSet.of([1, 2, *range(5, 91)])
    await delivered
    assert ended == ["mail", "emptied"]
    assert list((await box.state(False)).uids) == [*range(91, 97)]
    assert await box.expunge(NumSet.span(1, 1 << 31)) == NumSet.span(91, 96)
    box.close()
    await store.close()
    recount(tmp_path / "mail.db")


def open_box(home: IHome) -> Deferred[IMailbox]:
    """Begin to open INBOX."""

    async def opening() -> IMailbox:
        return await home.open_mailbox("INBOX")

    return Deferred.fromCoroutine(opening())


async def _noting(call: Awaitable[Any], name: str, ended: list[str]) -> Any:
    result = await call
    ended.append(name)
    return result


@pytest_twisted.ensureDeferred
async def test_many_at_once(
    open_store: Open, message: Make, tmp_path: Path, recount: Callable[[Path], None]
) -> None:
    """Hundreds of calls at once end in one order, with nothing lost, doubled or miscounted."""
    store = await open_store()
    home = await store.open_home("alice")
    box = await home.open_mailbox("INBOX")
    seen: list[int] = []
    mark = (await box.state(False)).modseq

    async def look() -> None:
        nonlocal mark
        changes = await box.changes_since(mark)
        mark = max(mark, changes.modseq)
        seen.extend(changes.added)

    watch = box.watch(lambda: looks.append(Deferred.fromCoroutine(look())))
    looks: list[Deferred[None]] = []
    calls: list[Any] = []
    for number in range(150):
        calls.append(store.deliver(message(b"%d" % number), ALICE))
        if number % 10 == 5:
            calls.append(box.expunge(NumSet.span(number - 4, number - 3)))
            calls.append(box.store_flags(NumSet.span(1, 999), FlagAction.ADD, ["\\Seen"], None))
            calls.append(box.copy(NumSet.span(1, 5), "Sent"))
            calls.append(box.move(NumSet.span(number - 1, number), "Sent"))
    results = await DeferredList([Deferred.fromCoroutine(call) for call in calls])
    assert all(ok for ok, _ in results)
    uids = [result[0].uids[0] for _, result in results if isinstance(result, list)]
    assert uids == list(range(1, 151))
    await store.settled()
    await DeferredList(looks)
    watch.stop()
    assert len(set(seen)) == len(seen)
    state = await box.state(False)
    await store.shelf._read(box._columns.id)  # type: ignore[attr-defined]
    assert (await box.state(False)).uids == state.uids
    box.close()
    await store.close()
    recount(tmp_path / "mail.db")


@pytest_twisted.ensureDeferred
async def test_closed_mailboxes_are_forgotten(open_store: Open, message: Make) -> None:
    """Columns that nobody has open stay while there is room, and are kept in step."""
    store = await open_store(closed_bytes=44 * 25)
    home = await store.open_home("alice")
    for name in ("a", "b", "c"):
        await home.create(name, ())
        await home.append(name, [message()] * 10)
        (await home.open_mailbox(name)).close()
    held = store.shelf._mailboxes
    assert len(held) == 2
    await home.append("c", [message()] * 10)
    box = await home.open_mailbox("c")
    assert len((await box.state(False)).uids) == 20
    box.close()
    assert len(held) == 1


@pytest_twisted.ensureDeferred
async def test_homes_are_forgotten(open_store: Open, message: Make) -> None:
    """Homes that nobody holds leave memory; those that somebody holds are kept in step."""
    store = await open_store(homes=2)
    held = await store.open_home("alice")
    for number in range(5):
        await store.open_home(f"user{number}")
    told: list[str] = []
    (await store.open_home("watched")).watch(told.append)
    for number in range(5, 9):
        await store.open_home(f"user{number}")
    gc.collect()
    await store.deliver(message(b"12345"), [*ALICE, Target("watched")])
    await store.settled()
    assert told == ["INBOX"]
    assert (await held.usage()).storage == 5
    assert (await (await store.open_home("user0")).usage()).storage == 0


@pytest_twisted.ensureDeferred
async def test_default_quota(settings: StoreSettings, message: Make) -> None:
    """The store's own limit holds until somebody sets one."""
    store = sql_store("sqlite:///q.db", replace(settings, quota=QuotaLimit(100, None)))
    await store.open()
    home = await store.open_home("alice")
    assert await home.limit() == QuotaLimit(100, None)
    await home.set_limit(QuotaLimit(None, None))
    await store.deliver(message(bytes(200)), ALICE)
    await store.close()
    store = sql_store("sqlite:///q.db", replace(settings, quota=QuotaLimit(50, None)))
    await store.open()
    assert await (await store.open_home("alice")).limit() == QuotaLimit()
    assert await (await store.open_home("bob")).limit() == QuotaLimit(50, None)
    await store.close()


def test_plugin(settings: StoreSettings, tmp_path: Path) -> None:
    """The plugin makes stores of URLs, and says what it expects of others."""
    assert IStorePlugin.providedBy(sql)
    assert sql.prefix == "sql"
    assert IStore.providedBy(sql.store("sqlite:///mail.db", settings))
    for wrong in ("", "sqlite", "sqlite:", "sqlite:mail.db", "sqlite:///", "sqlite:////"):
        with pytest.raises(ConfigurationFault, match="sqlite:///"):
            sql.store(wrong, settings)
    with pytest.raises(ConfigurationFault, match="sqlite"):
        sql.store("oracle://x", settings)
    with pytest.raises(ConfigurationFault):
        sql.store("sqlite:///mail/", settings)
    assert not list(tmp_path.iterdir())


@pytest_twisted.ensureDeferred
async def test_cannot_open(settings: StoreSettings, tmp_path: Path) -> None:
    """A store that cannot be opened leaves no thread behind, and can be closed."""
    (tmp_path / "mail.db").write_bytes(b"something else" * 100)
    before = threading.active_count()
    store = sql_store("sqlite:///mail.db", settings)
    with pytest.raises(ConfigurationFault):
        await store.open()
    await store.close()
    assert threading.active_count() <= before + 1  # at most one of the reactor's own
