"""The disk stops after any number of operations: what was acknowledged is there once and whole.

Files and the database stop together: after the last operation neither does anything any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.store import BodyRange, IStore, Target
from mailplat.model.errors import MailError, Unavailable
from mailplat.model.numset import NumSet
from mailplat.store.blobs.bodies import BlobRules
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.index.database import Row
from mailplat.store.index.sqlite import SQLiteConnection, SQLiteDatabase
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.disk import Disk
from mailplat.testing.mails import mail, new_message

OpenStore = Callable[..., Awaitable[IndexedStore]]

RULES = BlobRules(larger=1000, least=1000, keep_seconds=3600)
SWEEPING = replace(RULES, keep_seconds=-5)
ALICE, BOB = Target("alice"), Target("bob")


class Stopping:
    """Counts operations on files and on the database; after some, none is done.

    Attributes:
        done: How many were done.
        left: How many will be.
    """

    def __init__(self, left: int = 1 << 30) -> None:
        self.done = 0
        self.left = left

    def count(self) -> bool:
        """Count one; tell whether it is the last one, which a crash may leave half done."""
        if self.done >= self.left:
            raise Unavailable("the disk stopped")
        self.done += 1
        return self.done == self.left


class StoppingDisk(Disk):
    """Stops; a power cut then undoes what was not flushed."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._unflushed: list[tuple[str, Callable[[], Any]]] = []

    def write(
        self,
        path: str,
        blocks: Iterable[bytes],
        when: int | None = None,
        *,
        flush: bool = True,
        made: bool = False,
    ) -> None:
        """Write; half a file, if it is the last operation."""
        if self._stopping.count():
            Path(path).write_bytes(b"".join(blocks)[:2000])
            return
        super().write(path, blocks, when, flush=flush, made=made)
        self._unflushed.append((os.path.dirname(path), lambda: os.unlink(path)))

    def make_directory(self, path: str) -> None:
        """Make a directory; of many, the last is undone."""
        self._stopping.count()
        if not os.path.isdir(path):
            super().make_directory(path)
            self._unflushed.append((os.path.dirname(path), lambda: shutil.rmtree(path)))

    def rename(self, old: str, new: str) -> bool:
        """Rename."""
        self._stopping.count()
        done = super().rename(old, new)
        self._unflushed.append((os.path.dirname(new), lambda: os.rename(new, old)))
        return done

    def unlink(self, path: str) -> bool:
        """Unlink."""
        self._stopping.count()
        kept = Path(path).read_bytes() if os.path.exists(path) else b""
        if done := super().unlink(path):
            self._unflushed.append((os.path.dirname(path), lambda: Path(path).write_bytes(kept)))
        return done

    def sync_directory(self, path: str) -> None:
        """Flush a directory."""
        self._stopping.count()
        super().sync_directory(path)
        self._unflushed = [one for one in self._unflushed if one[0] != path]

    def cut(self) -> None:
        """Take the power away."""
        for _, undo in reversed(self._unflushed):
            with suppress(OSError):
                undo()


class StoppingConnection(SQLiteConnection):
    """Stops, before what it would have done last."""

    stopping: Stopping

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Query."""
        self.stopping.count()
        return super().all(sql, args)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run."""
        self.stopping.count()
        return super().run(sql, args)


class StoppingDatabase(SQLiteDatabase):
    """Gives the writer a connection that stops."""

    def __init__(self, path: Path, stopping: Stopping) -> None:
        super().__init__(path, busy_seconds=0.1)
        self._stopping = stopping

    def connect(self, *, writes: bool) -> SQLiteConnection:
        """Connect."""
        made = super().connect(writes=writes)
        if writes:
            made.run("PRAGMA synchronous=OFF")  # files are copied, no power is cut: save the time
            made.__class__ = StoppingConnection
            made.stopping = self._stopping  # type: ignore[attr-defined]
        return made


Kept = dict[str, list[bytes]]


async def scenario(store: IStore, sure: Kept, unsure: set[bytes]) -> None:
    """Do many things, and go on where one fails.

    Args:
        store: Where.
        sure: Gets what is there for certain.
        unsure: Gets what may be there besides, or be gone.
    """

    async def deliver(number: int, *targets: Target) -> None:
        data = mail(number, 3000)
        unsure.add(data)
        with suppress(MailError):
            await store.deliver(new_message(data), targets)
            for target in targets:
                sure.setdefault(target.account, []).append(data)

    await deliver(1, ALICE)
    await deliver(1, BOB)
    await deliver(2, ALICE, BOB)
    with suppress(MailError):
        home = await store.open_home("alice")
        mailbox = await home.open_mailbox("INBOX")
        try:
            uids = (await mailbox.state(False)).uids
            if len(uids):
                (first,) = await mailbox.bodies([BodyRange(uids[0], 0, 3000)])
                if first in sure.get("alice", []):
                    sure["alice"].remove(first or b"")
                await mailbox.expunge(NumSet.of(uids[:1]))
                mailbox.acknowledge((await mailbox.state(False)).modseq)
        finally:
            mailbox.close()
    await deliver(1, BOB)
    await deliver(3, BOB)


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest_twisted.ensureDeferred
async def test_the_disk_stops(open_store: OpenStore, tmp_path: Path, power: bool) -> None:
    """At every operation: what was acknowledged is read whole, and a sweep leaves no orphan."""
    empty = tmp_path / "empty.db"
    SQLiteDatabase(empty).create()

    async def run(stop: int) -> tuple[Path, Stopping, Kept, set[bytes]]:
        place = tmp_path / f"{stop}"
        place.mkdir()
        shutil.copy(empty, place / "mail.db")
        stopping = Stopping(stop)
        disk = StoppingDisk(stopping)
        database = StoppingDatabase(place / "mail.db", stopping)
        sure: Kept = {}
        unsure: set[bytes] = set()
        try:
            blobs = FileBlobs(str(place / "bodies"), reactor, threads=1, disk=disk)
            store = await open_store(blobs, RULES, database)
        except MailError:
            await blobs.close()
            return place, stopping, sure, unsure
        await scenario(store, sure, unsure)
        await store.close()
        if power:
            disk.cut()
        return place, stopping, sure, unsure

    _, stopping, sure, _ = await run(1 << 20)
    assert {account: len(there) for account, there in sure.items()} == {"alice": 1, "bob": 4}
    for stop in range(stopping.done):
        place, _, sure, unsure = await run(stop)
        files = place / "bodies"
        again = FileBlobs(str(files), reactor, threads=1)
        store = await open_store(again, SWEEPING, SQLiteDatabase(place / "mail.db"))
        for account in await store.accounts():
            mailbox = await (await store.open_home(account)).open_mailbox("INBOX")
            uids = (await mailbox.state(False)).uids
            found = await mailbox.bodies([BodyRange(uid, 0, 3000) for uid in uids])
            mailbox.close()
            for data in sure.pop(account, []):
                assert data in found, (stop, account)
                del found[list(found).index(data)]  # type: ignore[attr-defined]
            assert set(found) <= unsure, (stop, account)
        assert not any(sure.values()), stop
        await store.bodies.sweep()
        assert await store.bodies.faults() == []
        await store.close()
        there = {str(path.relative_to(files)) for path in files.glob("*/*/*")}
        named = {key for (key,) in _rows(place / "mail.db")}
        assert there == named - {""}, stop
        shutil.rmtree(place)


def _rows(path: Path) -> list[tuple[str]]:
    import sqlite3

    raw = sqlite3.connect(path)
    try:
        return raw.execute("SELECT key FROM blobs").fetchall()
    finally:
        raw.close()
