"""Tests for `mailplat.store.index.writer`: what shares a commit, and what fails alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList

from mailplat.model.errors import LimitReached, StorageFull, Unavailable
from mailplat.store.index.database import ANYTHING
from mailplat.store.index.rows import HomeRow
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.transaction import Event, HomeGone, OthersWrote, Transaction
from mailplat.store.index.writer import Writer

PUT = "INSERT INTO counters (value, name) VALUES (77, ?)"
LIST = "SELECT name FROM counters WHERE value = 77 ORDER BY name"


class Told:
    """Notes what was published, and when watchers were told."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def publish(self, events: Sequence[Event]) -> Callable[[], None]:
        """Note a batch."""
        self.notes.append(["published", *events])
        return lambda: self.notes.append("told")


@pytest.fixture
def told() -> Told:
    """What was published."""
    return Told()


@pytest_twisted.async_yield_fixture
async def writer(tmp_path: Path, told: Told) -> AsyncIterator[Writer]:
    """A writer on a database of its own."""
    database = SQLiteDatabase(tmp_path / "mail.db")
    database.create()
    writer = Writer(database, reactor, told.publish)
    writer.start()
    yield writer
    await writer.stop()


def put(*names: str, fails: type[Exception] | None = None) -> Callable[[Transaction], str]:
    """Make an operation that writes, and then perhaps fails."""

    def operation(tx: Transaction) -> str:
        for name in names:
            tx.run(PUT, (name,))
        if fails is not None:
            raise fails("on purpose")
        return names[0]

    return operation


async def all_of(calls: Sequence[Deferred[Any]]) -> list[Any]:
    """Wait for calls: their results, or their failures' types."""
    results = await DeferredList(list(calls), consumeErrors=True)
    return [result if ok else result.type for ok, result in results]


def names(tx: Transaction) -> list[str]:
    """Read what was put."""
    return [row[0] for row in tx.all(LIST)]


@pytest_twisted.ensureDeferred
async def test_order(writer: Writer, told: Told) -> None:
    """Changes are taken in, then awaitables fire, then watchers are told."""
    event = HomeGone(HomeRow(1, "alice", 0, 0, 0, 0, None, None))

    def operation(tx: Transaction) -> None:
        tx.publish(event)

    await writer.submit(operation, "x").addCallback(lambda _: told.notes.append("fired"))
    assert told.notes == [["published", event], "fired"]
    await writer.submit(lambda tx: None, "x")
    assert told.notes[2] == "told"


@pytest_twisted.ensureDeferred
async def test_shared_commit(writer: Writer, told: Told) -> None:
    """Calls made together share a few commits."""
    await all_of([writer.submit(put(f"n{i}"), "x") for i in range(200)])
    assert len([note for note in told.notes if note != "told"]) < 100
    assert len(await writer.submit(names, "x")) == 200


@pytest_twisted.ensureDeferred
async def test_fails_alone(writer: Writer) -> None:
    """One that fails undoes itself alone, however late and however it fails."""
    calls = [
        put("a"),
        put("b", fails=LimitReached),
        put("c"),
        put("d", fails=ZeroDivisionError),
        put("e"),
    ]
    results = await all_of([writer.submit(call, "x") for call in calls])
    assert results == ["a", LimitReached, "c", ZeroDivisionError, "e"]
    assert await writer.submit(names, "x") == ["a", "c", "e"]


@pytest_twisted.ensureDeferred
async def test_steps_around_the_commit(writer: Writer) -> None:
    """Steps outside the database are undone in reverse, and done again with the operation."""
    done: list[str] = []

    def careful(name: str, fails: bool = False) -> Callable[[Transaction], None]:
        def operation(tx: Transaction) -> None:
            done.append(f"do {name}")
            tx.on_abort(lambda: done.append(f"undo {name}"))
            tx.before_commit("flush", lambda: done.append("flush"))
            tx.on_commit(lambda: done.append(f"after {name}"))
            if fails:
                raise LimitReached("on purpose")

        return operation

    def hold(tx: Transaction) -> None:
        """Keep the writer busy until all three wait."""
        started.wait(5)

    import threading

    started = threading.Event()
    holding = writer.submit(hold, "x")
    calls = [writer.submit(careful(name, name == "b"), "x") for name in "abc"]
    started.set()
    await holding
    assert await all_of(calls) == [None, LimitReached, None]
    assert done == [
        *["do a", "do b", "undo b", "undo a"],
        *["do a", "flush", "after a"],
        *["do b", "undo b"],
        *["do c", "flush", "after c"],
    ]


@pytest_twisted.ensureDeferred
async def test_errors_of_files(writer: Writer) -> None:
    """An operating system's error becomes one of ours, and says what it was about."""

    def full(tx: Transaction) -> None:
        raise OSError(28, "No space left on device")

    def broken(tx: Transaction) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(StorageFull) as caught:
        await writer.submit(full, "alice/INBOX")
    assert "alice/INBOX" in caught.value.reason
    with pytest.raises(Unavailable):
        await writer.submit(broken, "alice/INBOX")


@pytest_twisted.ensureDeferred
async def test_others_wrote(writer: Writer, told: Told, tmp_path: Path) -> None:
    """That another process wrote is told with the next commit, also if one failed meanwhile."""
    await writer.submit(put("a"), "x")
    other = SQLiteDatabase(tmp_path / "mail.db").connect(writes=True)
    other.run(PUT, ("b",))
    other.close()
    assert await all_of([writer.submit(put("c", fails=LimitReached), "x")]) == [LimitReached]
    await writer.submit(put("d"), "x")
    await writer.submit(put("e"), "x")
    published = [note for note in told.notes if note != "told"]
    assert published == [["published"]] * 2 + [["published", OthersWrote(ANYTHING)], ["published"]]


@pytest_twisted.ensureDeferred
async def test_stop(writer: Writer) -> None:
    """What waits is done before the writer stops; what comes later is refused."""
    calls = [writer.submit(put(f"n{i}"), "x") for i in range(20)]
    stopped = writer.stop()
    late = writer.submit(put("late"), "x")
    assert await all_of([*calls, late]) == [*(f"n{i}" for i in range(20)), Unavailable]
    await stopped
