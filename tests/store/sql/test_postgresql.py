"""What PostgreSQL brings: several stores on one database, lost connections, clear errors."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import psycopg
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, NewMessage, Target
from mailplat.model.errors import ConfigurationFault, Corrupt, InUse, StorageFull, Unavailable
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.store.index.store import IndexedStore, IndexLimits
from mailplat.store.index.transaction import Transaction
from mailplat.store.sql import postgresql as module
from mailplat.store.sql.bodies import DatabaseBodies
from mailplat.store.sql.faults import no_connection, told
from mailplat.store.sql.postgresql import PostgreSQLConnection, PostgreSQLDatabase
from mailplat.store.sql.store import sql_store
from mailplat.testing.postgresql import STRANGER, PostgreSQLServer
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import until

Make = Callable[..., NewMessage]
Open = Callable[..., Awaitable[IndexedStore]]
ALICE = [Target("alice")]


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> str:
    """An empty schema."""
    return postgresql.new_schema()


@pytest.fixture
def ask(url: str) -> Callable[..., Any]:
    """Asks the schema for one value, by another connection."""

    def query(sql: str, *args: Any) -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), args or None)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    return query


@pytest_twisted.async_yield_fixture
async def open_shared(settings: StoreSettings, url: str) -> AsyncIterator[Open]:
    """Opens stores on one schema, and closes them after the test."""
    opened: list[IndexedStore] = []

    async def opener(busy_seconds: float = 10.0, **limits: Any) -> IndexedStore:
        database = PostgreSQLDatabase(url, busy_seconds=busy_seconds)
        bodies = DatabaseBodies(database.dialect)
        store = IndexedStore(database, bodies, settings, IndexLimits(**limits))
        await store.open()
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()


def end_all(ask: Callable[..., Any]) -> None:
    """End every connection of every store on the schema."""
    ask(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE application_name = current_schema() AND pid <> pg_backend_pid()"
    )


async def all_of(calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Wait for calls that run together."""
    answers = await DeferredList(
        [Deferred.fromCoroutine(call) for call in calls],
        fireOnOneErrback=True,
        consumeErrors=True,
    )
    return [answer for _, answer in answers]


@pytest_twisted.ensureDeferred
async def test_two_at_once(open_shared: Open, message: Make) -> None:
    """Two stores write into one mailbox at once: no UID twice, every change in order."""
    stores = [await open_shared(batch_calls=8), await open_shared(batch_calls=8)]
    homes = [await store.open_home("alice") for store in stores]
    boxes = [await home.open_mailbox("INBOX") for home in homes]
    seen: list[list[int]] = [[0], [0]]

    async def deliver(which: int, number: int) -> list[int]:
        (done,) = await stores[which].deliver(message(b"d%d-%d" % (which, number)), ALICE)
        return list(done.uids)

    async def append(which: int, number: int) -> list[int]:
        data = [message(b"a%d-%d-%d" % (which, number, i)) for i in range(3)]
        return list((await homes[which].append("INBOX", data)).uids)

    async def flag(which: int, number: int) -> list[int]:
        await boxes[which].store_flags(
            NumSet.span(1, 200), FlagAction.ADD, [f"word{which}{number}"], None
        )
        seen[which].append((await boxes[which].changes_since(seen[which][-1])).modseq)
        return []

    calls = [
        call(which, number)
        for number in range(20)
        for which in (0, 1)
        for call in (deliver, append, *([flag] if number % 3 == 0 else []))
    ]
    uids = sorted(uid for given in await all_of(calls) for uid in given)
    assert uids == list(range(1, 161))
    shown = []
    for store, box in zip(stores, boxes, strict=True):
        await store.settled()
        state = await box.state(False)
        rows = await box.rows(state.uids, [Column.FLAGS, Column.MODSEQ, Column.SIZE])
        bodies = await box.bodies([BodyRange(uid, 0, 100) for uid in state.uids])
        assert len(set(bodies)) == 160
        shown.append(
            (state.uids, *(list(rows[c]) for c in rows.columns), state.modseq, box.keywords)
        )
        assert await store.store_faults() == []
        assert await store.faults("alice") == []
    assert shown[0] == shown[1]
    # the log says the same from every place, to both
    for modseq in {m for modseqs in seen for m in modseqs}:
        one, two = [await box.changes_since(modseq) for box in boxes]
        assert (one.added, one.changed, one.masks) == (two.added, two.changed, two.masks)
    for box in boxes:
        box.close()


@pytest_twisted.ensureDeferred
async def test_heard_at_once(open_shared: Open, message: Make) -> None:
    """Who watches in one process hears of a delivery by another, without looking for it."""
    one, two = await open_shared(), await open_shared()
    home = await two.open_home("alice")
    box = await home.open_mailbox("INBOX")
    told: list[str] = []
    box.watch(lambda: told.append("mailbox"))
    home.watch(told.append)
    bob = await (await two.open_home("bob")).open_mailbox("INBOX")
    bob.watch(lambda: told.append("bob"))
    delays = []
    for number in range(1, 11):
        told.clear()
        await one.deliver(message(b"%d" % number), ALICE)
        begun = time.perf_counter()
        await until(lambda: {"mailbox", "INBOX"} <= set(told))
        delays.append(time.perf_counter() - begun)
        assert list((await box.changes_since(0)).added) == list(range(1, number + 1))
    assert min(delays) < 0.5
    assert "bob" not in told
    await (await one.open_home("alice")).create("New", ())
    await until(lambda: "New" in told or "Sent" in told)
    assert "New" in {info.name for info in await home.mailboxes()}
    box.close()
    bob.close()


@pytest_twisted.ensureDeferred
async def test_only_news_are_read(
    open_shared: Open, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process changed is read, not the whole mailbox; who shows it may read on."""
    one, two = await open_shared(), await open_shared()
    home = await one.open_home("alice")
    await home.append("INBOX", [message(b"%d" % i) for i in range(50)])
    box = await (await two.open_home("alice")).open_mailbox("INBOX")
    start = await box.state(False)
    monkeypatch.setattr(two.mailbox_reader, "load", None)
    other = await home.open_mailbox("INBOX")
    await other.store_flags(NumSet.of([3, 7]), FlagAction.ADD, ["\\Seen", "$New"], None)
    await other.expunge(NumSet.of([7, 9, 50]))
    await home.append("INBOX", [message(b"late")])
    told: list[str] = []
    box.watch(lambda: told.append("news"))
    await two.settled()
    changes = await box.changes_since(start.modseq)
    assert list(changes.added) == [51]
    assert list(changes.changed) == [3]
    assert changes.vanished == NumSet.of([7, 9, 50])
    state = await box.state(False)
    assert list(state.uids) == [uid for uid in range(1, 52) if uid not in (7, 9, 50)]
    rows = await box.rows([3, 51], [Column.FLAGS, Column.SIZE])
    assert list(rows[Column.FLAGS]) == [33, 0]
    assert list(rows[Column.SIZE]) == [1, 4]
    assert box.keywords == ("$New",)
    assert await box.bodies([BodyRange(7, 0, 9), BodyRange(51, 0, 9)]) == [b"6", b"late"]
    box.close()
    other.close()


@pytest_twisted.ensureDeferred
async def test_expunged_elsewhere(
    open_shared: Open, message: Make, ask: Callable[..., Any]
) -> None:
    """Who shows a message that another process expunged may read on for a while; then it goes."""
    one, two = await open_shared(), await open_shared()
    await one.deliver(message(b"first"), ALICE)
    mine = await (await one.open_home("alice")).open_mailbox("INBOX")
    theirs = await (await two.open_home("alice")).open_mailbox("INBOX")
    assert await mine.expunge(NumSet.of([1])) == NumSet.of([1])
    mine.acknowledge(1 << 40)
    mine.close()
    await two.settled()
    assert (await theirs.changes_since(0)).vanished == NumSet.of([1])
    assert await theirs.bodies([BodyRange(1, 0, 9)]) == [b"first"]
    theirs.close()
    three = await open_shared(linger_seconds=0.01)
    assert three is not one
    await until(lambda: ask("SELECT count(*) FROM bodies") == 0)


@pytest_twisted.ensureDeferred
async def test_one_maildrop(open_shared: Open) -> None:
    """A maildrop that one process has is in use for the others, until it is let go."""
    stores = [await open_shared() for _ in range(2)]
    homes = [await store.open_home("alice") for store in stores]
    lease = await homes[0].lease_maildrop()
    for home in homes:
        with pytest.raises(InUse):
            await home.lease_maildrop()
    lease.release()
    lease.release()
    await stores[0].settled()
    other = await homes[1].lease_maildrop()
    with pytest.raises(InUse):
        await homes[0].lease_maildrop()
    other.release()
    await stores[1].settled()
    (await homes[0].lease_maildrop()).release()


@pytest_twisted.ensureDeferred
async def test_away_for_long(
    open_shared: Open, message: Make, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any]
) -> None:
    """Who missed more commits than are kept reads everything again."""
    monkeypatch.setattr(module, "_KEPT", 5)
    monkeypatch.setattr(module, "_TRIM", 2)
    one = await open_shared()
    two = await open_shared()
    monkeypatch.setattr(two, "_hear", lambda: None)
    box = await (await two.open_home("alice")).open_mailbox("INBOX")
    monkeypatch.setattr(two._following, "_tell", lambda: None)
    for number in range(20):
        await one.deliver(message(b"%d" % number), ALICE)
    assert ask("SELECT count(*) FROM commits") <= 8
    (done,) = await two.deliver(message(), ALICE)
    assert done.uids == (21,)
    assert len((await box.state(False)).uids) == 21
    box.close()


@pytest_twisted.ensureDeferred
async def test_kept_once(open_shared: Open, message: Make, ask: Callable[..., Any]) -> None:
    """A message for many, and its copies, have one content; it goes with the last of them."""
    store = await open_shared(linger_seconds=0.01)
    await store.deliver(message(bytes(200_000)), [Target(f"user{i}") for i in range(20)])
    box = await (await store.open_home("user3")).open_mailbox("INBOX")
    await box.copy(NumSet.span(1, 1), "Sent")
    tables = ("messages", "contents", "bodies")
    assert [ask(f"SELECT count(*) FROM {table}") for table in tables] == [21, 1, 4]
    box.close()
    for number in range(20):
        await store.delete_home(f"user{number}")
    await until(lambda: ask("SELECT count(*) FROM bodies") == 0)
    assert [ask(f"SELECT count(*) FROM {table}") for table in tables] == [0, 0, 0]


def lose(tx: Transaction) -> None:
    """Write, and lose the connection in the middle of the transaction."""
    tx.run("INSERT INTO counters (name, value) VALUES ('half', 1)")
    tx.all("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest_twisted.ensureDeferred
async def test_lost_in_a_transaction(
    open_shared: Open, message: Make, ask: Callable[..., Any]
) -> None:
    """Nothing of the transaction stays; its caller is told, others and later ones are served."""
    store = await open_shared()
    await store.open_home("alice")
    lost = store.writer.submit(lose, "alice/INBOX")
    beside = Deferred.fromCoroutine(store.deliver(message(b"beside"), ALICE))
    with pytest.raises(Unavailable) as caught:
        await lost
    assert "alice/INBOX: postgresql://" in caught.value.reason
    assert (await beside)[0].uids == (1,)
    (done,) = await store.deliver(message(), ALICE)
    assert done.uids == (2,)
    assert ask("SELECT count(*) FROM counters WHERE name = 'half'") == 0
    assert await store.faults("alice") == []


@pytest_twisted.ensureDeferred
async def test_lost_before_the_commit(open_shared: Open, message: Make) -> None:
    """A connection that is lost at the commit fails the call, and no UID is lost for it."""
    store = await open_shared()
    home = await store.open_home("alice")

    def cut(tx: Transaction) -> None:
        def step() -> None:
            tx.all("SELECT pg_terminate_backend(pg_backend_pid())")

        tx.before_commit("cut", step)

    lost = store.writer.submit(cut, "alice")
    with pytest.raises(Unavailable):
        await lost
    assert (await home.append("INBOX", [message()])).uids == (1,)


@pytest_twisted.ensureDeferred
async def test_answer_of_a_commit_lost(
    open_shared: Open, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that was carried out, though nobody heard so, is in memory afterwards."""
    store = await open_shared()
    home = await store.open_home("alice")
    box = await home.open_mailbox("INBOX")
    commit = PostgreSQLConnection.commit

    def deaf(self: PostgreSQLConnection, touched: Any = ()) -> None:
        commit(self, touched)
        monkeypatch.undo()
        self._seen = (self._seen or 1) - 1
        self._raw.close()
        raise Unavailable("the connection was lost")

    monkeypatch.setattr(PostgreSQLConnection, "commit", deaf)
    with pytest.raises(Unavailable):
        await home.append("INBOX", [message(b"perhaps")])
    assert (await home.append("INBOX", [message(b"surely")])).uids == (2,)
    assert list((await box.state(False)).uids) == [1, 2]
    assert (await home.usage()).messages == 2
    box.close()


@pytest_twisted.ensureDeferred
async def test_server_restarted(
    open_shared: Open, message: Make, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that were lost while nobody used them are made again; nobody is told."""
    one, two = await open_shared(), await open_shared()
    for store in (one, two):
        monkeypatch.setattr(store._following, "_retry_seconds", 0.05)
    await one.deliver(message(b"first"), ALICE)
    home = await two.open_home("alice")
    box = await home.open_mailbox("INBOX")
    end_all(ask)
    assert await box.bodies([BodyRange(1, 0, 9)]) == [b"first"]
    await one.deliver(message(b"second"), ALICE)
    told: list[str] = []
    box.watch(lambda: told.append("news"))
    await until(lambda: ask(LISTENING) == 2)
    await one.deliver(message(b"third"), ALICE)
    await until(lambda: bool(told))
    await two.settled()
    assert list((await box.state(False)).uids) == [1, 2, 3]
    box.close()


LISTENING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_schema()"
    " AND query LIKE 'LISTEN%'"
)


@pytest_twisted.ensureDeferred
async def test_locked(open_shared: Open, message: Make, url: str) -> None:
    """Who waits too long for another process that writes is told so; reading goes on."""
    store = await open_shared(busy_seconds=0.05)
    home = await store.open_home("alice")
    await home.append("INBOX", [message()])
    with psycopg.connect(url) as other:
        other.execute(
            f"SELECT pg_advisory_xact_lock({module._LOCK}, hashtext(current_schema()))".encode()
        )
        with pytest.raises(Unavailable) as caught:
            await home.append("INBOX", [message()])
        assert "another process holds the store's lock" in caught.value.reason
        assert (await home.status(["INBOX"]))["INBOX"].messages == 1
    assert (await home.append("INBOX", [message()])).uids == (2,)


@pytest_twisted.ensureDeferred
async def test_nobody_waits_for_all(
    open_shared: Open, message: Make, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any]
) -> None:
    """While there is no connection, those who share a transaction are told after one attempt."""
    store = await open_shared()
    home = await store.open_home("alice")
    attempts: list[bool] = []

    async def append() -> None:
        await home.append("INBOX", [message()])

    def unreachable(self: PostgreSQLDatabase, *, writes: bool = False) -> None:
        attempts.append(writes)
        raise Unavailable("timeout expired")

    with monkeypatch.context() as patch:
        patch.setattr(PostgreSQLDatabase, "connect_raw", unreachable)
        end_all(ask)
        calls = [Deferred.fromCoroutine(append()) for _ in range(50)]
        answers = await DeferredList(calls, consumeErrors=True)
    assert not any(done for done, _ in answers)
    assert attempts.count(True) <= 4
    assert (await home.append("INBOX", [message()])).uids == (1,)


@pytest_twisted.ensureDeferred
async def test_tables_gone(open_shared: Open, message: Make, ask: Callable[..., Any]) -> None:
    """Tables that were dropped below a running server are Unavailable, and named."""
    store = await open_shared()
    await store.open_home("alice")
    ask("ALTER TABLE messages RENAME TO elsewhere")
    with pytest.raises(Unavailable, match="messages"):
        await store.deliver(message(), ALICE)
    ask("ALTER TABLE elsewhere RENAME TO messages")
    assert (await store.deliver(message(), ALICE))[0].uids == (1,)


async def refused(settings: StoreSettings, url: str) -> str:
    """Open a store that cannot be opened; give the reason."""
    store = sql_store(url, settings)
    with pytest.raises(ConfigurationFault) as caught:
        await store.open()
    assert "secret" not in caught.value.reason
    return caught.value.reason


@pytest_twisted.ensureDeferred
async def test_what_to_do(
    settings: StoreSettings, postgresql: PostgreSQLServer, ask: Callable[..., Any], url: str
) -> None:
    """What keeps a store from being opened is told with its remedy, and without a password."""
    head, _, rest = postgresql.url.partition("mailplat@") if "mailplat@" in url else ("", "", "")
    if head:
        reason = await refused(settings, f"{head}{STRANGER}:secret@{rest}")
        assert "correct the password" in reason
        reason = await refused(
            settings, f"{head}mailplat:secret@{rest.replace('/postgres', '/gone')}"
        )
        assert '"gone" does not exist' in reason
        assert "createdb" in reason
    reason = await refused(settings, "postgresql://u:secret@127.0.0.1:1/mail")
    assert "start the server" in reason
    reason = await refused(settings, postgresql.url_of("nowhere").replace("%2Cpublic", ""))
    assert "CREATE SCHEMA" in reason
    ask("CREATE TABLE homes (id integer)")
    assert "another program" in await refused(settings, url)
    with pytest.raises(ConfigurationFault) as caught:
        sql_store("postgresql://u:secret@host/mail?colour=blue", settings)
    assert "colour" in caught.value.reason
    with pytest.raises(ConfigurationFault) as caught:
        sql_store("postgresql://u:secret@[host/mail", settings)
    assert "secret" not in caught.value.reason


@pytest_twisted.ensureDeferred
async def test_versions(settings: StoreSettings, ask: Callable[..., Any], url: str) -> None:
    """A newer schema and an older one are refused, with the command that helps."""
    store = sql_store(url, settings)
    await store.open()
    await store.close()
    ask("UPDATE counters SET value = 999 WHERE name = 'schema' RETURNING 1")
    assert "install the newer mailplat" in await refused(settings, url)
    ask("UPDATE counters SET value = 1 WHERE name = 'schema' RETURNING 1")
    assert "mailplatctl db upgrade" in await refused(settings, url)


@pytest_twisted.ensureDeferred
async def test_rights(settings: StoreSettings, postgresql: PostgreSQLServer, url: str) -> None:
    """A user who may not make tables is told what to grant."""
    if "mailplat@" not in url:
        pytest.skip("the server is not ours")
    postgresql.run("DROP ROLE IF EXISTS guest")
    postgresql.run("CREATE ROLE guest LOGIN")
    schema = url.rpartition("%3D")[2].partition("%2C")[0]
    postgresql.run(f"GRANT USAGE ON SCHEMA {schema} TO guest")
    assert "GRANT CREATE" in await refused(settings, url.replace("mailplat@", "guest@"))


def test_errors_told() -> None:
    """A full disk and damage are what they are; a mistake of ours stays one."""

    def error(state: str) -> psycopg.Error:
        return psycopg.errors.lookup(state)("words")

    assert isinstance(told(error("53100"), "x"), StorageFull)
    assert isinstance(told(error("XX001"), "x"), Corrupt)
    assert isinstance(told(error("57P01"), "x"), Unavailable)
    assert isinstance(told(error("40P01"), "x"), Unavailable)
    assert told(error("42601"), "x") is None
    assert "raise max_connections" in no_connection(
        psycopg.OperationalError("FATAL: sorry, too many clients already"), "x"
    )


@pytest_twisted.ensureDeferred
async def test_mistakes_stay_mistakes(
    open_shared: Open, message: Make, logged_errors: LoggedErrors
) -> None:
    """An operation with a mistake fails alone; those beside it are committed."""
    store = await open_shared()
    await store.open_home("alice")
    wrong = store.writer.submit(lambda tx: tx.all("SELECT nonsense"), "x")
    right = Deferred.fromCoroutine(store.deliver(message(), ALICE))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await wrong
    assert (await right)[0].uids == (1,)
    assert not logged_errors.flush()
