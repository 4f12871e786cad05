"""Messages and stores for the tests of the SQL store."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import Folder, NewMessage
from mailplat.model.mailbox import SpecialUse
from mailplat.model.summary import Summary
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.store import IndexedStore, IndexLimits
from mailplat.store.sql.bodies import DatabaseBodies


@implementer(IBody)
@dataclass
class Bytes:
    """A body in memory."""

    data: bytes
    size: int = field(init=False)
    in_memory: bool = True

    def __post_init__(self) -> None:
        self.size = len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self.data[start:stop]

    def close(self) -> None:
        """See `IBody.close`."""


def make_message(
    data: bytes = b"Subject: x\r\n\r\nbody\r\n", *flags: str, date: int = 1_700_000_000
) -> NewMessage:
    """Make a message with a summary that can be told from others."""
    header, _, _ = data.partition(b"\r\n\r\n")
    header += b"\r\n\r\n"
    mark = str(len(data)).encode()
    summary = Summary(
        size=len(data),
        header_size=len(header),
        header=header if len(header) < 1000 else b"",
        envelope=b"(envelope " + mark + b")",
        body=b"(body " + mark + b")",
        bodystructure=b"(structure " + mark + b")",
        parts=b"\0\1" + mark,
        preview="prévoir " + mark.decode(),
        sent=None if len(data) % 2 else len(data),
        message_id="<" + mark.decode() + "@example.org>",
        references=("<a@b>", "<c@d>") if len(data) % 3 else (),
        base_subject="x",
        nul=b"\0" in data,
    )
    return NewMessage(Bytes(data), summary, frozenset(flags), date)


@pytest.fixture
def message() -> Callable[..., NewMessage]:
    """Makes messages."""
    return make_message


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    """Settings with a folder."""
    folders = (Folder("Sent", SpecialUse.SENT),)
    return StoreSettings(reactor, str(tmp_path), folders, keyword_limit=20)


OpenStore = Callable[..., Awaitable[IndexedStore]]


@pytest_twisted.async_yield_fixture
async def open_store(settings: StoreSettings, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens stores on one file, and closes them after the test."""
    opened: list[IndexedStore] = []

    async def opener(path: Path | None = None, **limits: int) -> IndexedStore:
        database = SQLiteDatabase(path or tmp_path / "mail.db", busy_seconds=2)
        bodies = DatabaseBodies(database.dialect)
        store = IndexedStore(database, bodies, settings, IndexLimits(**limits))
        await store.open()
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()


def recount(path: Path) -> None:
    """Hold a database's counters against what they count; fail where they differ."""
    raw = sqlite3.connect(path)
    try:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sums = (
            "count(*), coalesce(sum(size), 0), coalesce(sum(mask & 1 = 0), 0),"
            " coalesce(sum(mask & 8 = 8), 0), coalesce(max(uid), 0), coalesce(max(modseq), 0)"
        )
        boxes = raw.execute(
            "SELECT id, home, messages, size, unseen, deleted, recent, recent_uid, uid_next,"
            " modseq, log_rows FROM mailboxes"
        ).fetchall()
        for id_, home, count, size, unseen, deleted, recent, recent_uid, *rest in boxes:
            uid_next, modseq, log_rows = rest
            found = raw.execute(f"SELECT {sums} FROM messages WHERE mailbox = ?", (id_,))
            *exact, last_uid, last_modseq = found.fetchone()
            assert exact == [count, size, unseen, deleted]
            assert last_uid < uid_next
            assert last_modseq <= modseq
            (new,) = raw.execute(
                "SELECT count(*) FROM messages WHERE mailbox = ? AND uid >= ?", (id_, recent_uid)
            ).fetchone()
            assert new == recent
            (gone,) = raw.execute(
                "SELECT count(*) FROM vanished WHERE mailbox = ?", (id_,)
            ).fetchone()
            assert gone == log_rows
            (newest,) = raw.execute("SELECT modseq FROM homes WHERE id = ?", (home,)).fetchone()
            assert modseq <= newest
        homes = raw.execute(
            "SELECT h.storage, h.messages, coalesce(sum(m.size), 0), coalesce(sum(m.messages), 0)"
            " FROM homes h LEFT JOIN mailboxes m ON m.home = h.id GROUP BY h.id"
        ).fetchall()
        for storage, messages, size, count in homes:
            assert (storage, messages) == (size, count)
        orphans = (
            "SELECT count(*) FROM messages WHERE mailbox NOT IN (SELECT id FROM mailboxes)",
            "SELECT count(*) FROM messages WHERE content NOT IN (SELECT id FROM contents)",
            "SELECT count(*) FROM messages m JOIN contents c ON c.id = m.content WHERE m.size !="
            " (SELECT coalesce(sum(length(data)), 0) FROM bodies WHERE id >> 16 = c.id)",
            "SELECT count(*) FROM contents c WHERE id NOT IN (SELECT content FROM messages)"
            " AND id NOT IN (SELECT content FROM dropping)",
            "SELECT count(*) FROM headers WHERE content NOT IN (SELECT id FROM contents)",
            "SELECT count(*) FROM bodies WHERE id >> 16 NOT IN (SELECT id FROM contents)",
        )
        for sql in orphans:
            assert raw.execute(sql).fetchone() == (0,), sql
    finally:
        raw.close()


@pytest.fixture(name="recount")
def recount_fixture() -> Callable[[Path], None]:
    """Holds a database's counters against what they count."""
    return recount
