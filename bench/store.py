"""How fast the SQL store takes mail, opens a mailbox and reads columns.

    python bench/store.py                  # small
    python bench/store.py --messages 100000 --seconds 5

Compare figures of one run only; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import Deferred, DeferredList
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, IMailbox, NewMessage, Target
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.model.summary import Summary
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.store import sql_store

__all__ = ["main"]

HEADER = b"".join(b"X-Field-%d: %s\r\n" % (i, b"v" * 60) for i in range(12)) + b"\r\n"
ENVELOPE = (
    b'("Thu, 01 Jan 2026 12:00:00 +0000" "A subject of usual length, say" '
    + (b'(("Alice Example" NIL "alice" "example.org")) ' * 3)
    + b'(("Bob" NIL "bob" "example.net")) NIL NIL NIL "<0123456789@example.org>")'
)
STRUCTURE = (
    b'(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 1024 30 NIL NIL NIL NIL)'
    b'("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "BASE64" 2048 40 NIL NIL NIL NIL)'
    b' "ALTERNATIVE" ("BOUNDARY" "0123456789") NIL NIL NIL)'
)


@implementer(IBody)
@dataclass
class Bytes:
    """A body in memory."""

    data: bytes
    in_memory: bool = True
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self.data[start:stop]

    def close(self) -> None:
        """See `IBody.close`."""


def make(size: int) -> NewMessage:
    """Make a message of a size."""
    data = HEADER + os.urandom(size // 2 + 1).hex().encode()[: size - len(HEADER)]
    summary = Summary(
        size=len(data),
        header_size=len(HEADER),
        header=HEADER,
        envelope=ENVELOPE,
        body=STRUCTURE,
        bodystructure=STRUCTURE,
        parts=b"p" * 60,
        preview="preview " * 20,
        sent=1_700_000_000,
        message_id="<0123456789@example.org>",
        base_subject="a subject of usual length, say",
    )
    return NewMessage(Bytes(data), summary, frozenset(), 1_700_000_000)


def baseline(path: Path, message: NewMessage, seconds: float) -> float:
    """Commit one mail after the other, by plain SQL in one thread: what it is compared with."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, data BLOB)")
    data = message.body.read(0, message.body.size)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        raw.execute("INSERT INTO mails (data) VALUES (?)", (data,))
        count += 1
    rate = count / (time.perf_counter() - start)
    raw.close()
    return rate


def files(directory: Path, message: NewMessage, seconds: float) -> float:
    """Write one file after the other, flush it and its directory entry, as a Maildir does."""
    directory.mkdir()
    (directory / "tmp").mkdir()
    (directory / "new").mkdir()
    data = message.body.read(0, message.body.size)
    new = os.open(directory / "new", os.O_RDONLY)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        path = directory / "tmp" / str(count)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(path, directory / "new" / str(count))
        os.fsync(new)
        count += 1
    rate = count / (time.perf_counter() - start)
    os.close(new)
    return rate


async def deliver(
    store: IndexedStore, message: NewMessage, producers: int, seconds: float, one_mailbox: bool
) -> float:
    """Let producers deliver, each waiting for its mail to be durable before the next."""
    count, start = 0, time.perf_counter()

    async def produce(number: int) -> None:
        nonlocal count
        targets = [Target("alice" if one_mailbox else f"user{number}")]
        while time.perf_counter() - start < seconds:
            await store.deliver(message, targets)
            count += 1

    await DeferredList([Deferred.fromCoroutine(produce(n)) for n in range(producers)])
    return count / (time.perf_counter() - start)


async def timed(label: str, rows: int, call: Callable[[], Awaitable[Any]], times: int = 3) -> None:
    """Print the best rate of some calls."""
    best = 1e9
    for _ in range(times):
        start = time.perf_counter()
        await call()
        best = min(best, time.perf_counter() - start)
    print(f"  {label:34s} {best * 1000:9.2f} ms {rows / best:12,.0f} rows/s")


async def read(mailbox: IMailbox, uids: array[int], columns: list[Column], block: int) -> None:
    """Read columns as a session does, some thousand messages at a time."""
    for start in range(0, len(uids), block):
        await mailbox.rows(uids[start : start + block], columns)


async def run(reactor: Any, options: argparse.Namespace, directory: Path) -> None:
    """Print all figures."""
    message = make(options.size)
    seconds = options.seconds
    alone = baseline(directory / "plain.db", message, seconds)
    print(f"one fsync a mail, plain SQL        {alone:9,.0f} mails/s")
    print(f"one fsync a mail, files            {files(directory / 'f', message, seconds):9,.0f}")
    settings = StoreSettings(reactor, str(directory))
    store = sql_store("sqlite:///mail.db", settings)
    await store.open()
    one = await deliver(store, message, 1, seconds, True)
    print(f"store, 1 producer                  {one:9,.0f} mails/s")
    for producers in (16, 64, 256):
        many = await deliver(store, message, producers, seconds, True)
        print(
            f"store, {producers:3d} producers, one mailbox   {many:9,.0f} mails/s"
            f"  {many / one:5.1f} x 1 producer, {many / alone:5.1f} x plain"
        )
    apart = await deliver(store, message, 16, seconds, False)
    print(f"store,  16 producers, 16 mailboxes {apart:9,.0f} mails/s")

    home = await store.open_home("bob")
    small = make(300)
    made = 0
    start = time.perf_counter()
    while made < options.messages:
        some = min(2000, options.messages - made)
        await home.append("INBOX", [small] * some)
        made += some
    print(f"append of {made:,} in thousands  {made / (time.perf_counter() - start):9,.0f} mails/s")
    await store.close()

    store = sql_store("sqlite:///mail.db", settings)
    await store.open()
    home = await store.open_home("bob")
    start = time.perf_counter()
    mailbox = await home.open_mailbox("INBOX")
    state = await mailbox.state(False)
    taken = time.perf_counter() - start
    uids = state.uids
    assert isinstance(uids, array)
    count = len(uids)
    print(
        f"cold open                          {taken * 1000:9.2f} ms {count / taken:12,.0f} rows/s"
    )
    print("columns, in blocks of 4096:")
    for columns in (
        [Column.FLAGS],
        [Column.FLAGS, Column.SIZE, Column.DATE],
        [Column.ENVELOPE],
        [Column.BODYSTRUCTURE],
        [Column.HEADER],
    ):
        names = " ".join(column.value for column in columns)

        def call(columns: list[Column] = columns) -> Awaitable[None]:
            return read(mailbox, uids, columns, 4096)

        await timed(f"cold {names}", count, call, 1)
        await timed(f"warm {names}", count, call)

    async def bodies() -> None:
        for at in range(0, min(count, 20000), 256):
            some = uids[at : at + 256]
            await mailbox.bodies([BodyRange(uid, 0, 1 << 20) for uid in some])

    await timed("whole bodies, 256 at once", min(count, 20000), bodies)

    async def open_again() -> None:
        again = await home.open_mailbox("INBOX")
        await again.state(False)
        again.close()

    await timed("warm open and state (1 row)", 1, open_again, 20)
    everything = NumSet.span(1, uids[-1])
    await timed(
        "store flags on all",
        count,
        lambda: mailbox.store_flags(everything, FlagAction.ADD, ["\\Seen"], None),
        1,
    )
    one_uid = NumSet.of([uids[count // 2]])
    flip = [FlagAction.ADD, FlagAction.REMOVE] * 50

    async def flags() -> None:
        for action in flip:
            await mailbox.store_flags(one_uid, action, ["\\Flagged"], None)

    await timed("store flag of one, durable", len(flip), flags)
    start = time.perf_counter()
    before = await deliver(store, message, 16, seconds, True)
    big = await _deliver_to_bob(store, message, seconds)
    print(f"16 producers, mailbox of {count:,}: {big:,.0f} mails/s, {before / big:4.2f} of small")
    await home.create("Copy", [])
    await timed("copy all", count, lambda: mailbox.copy(everything, "Copy"), 1)
    await timed("expunge all", count, lambda: mailbox.expunge(everything), 1)
    mailbox.close()
    await store.close()


async def _deliver_to_bob(store: IndexedStore, message: NewMessage, seconds: float) -> float:
    count, start = 0, time.perf_counter()

    async def produce() -> None:
        nonlocal count
        while time.perf_counter() - start < seconds:
            await store.deliver(message, [Target("bob")])
            count += 1

    await DeferredList([Deferred.fromCoroutine(produce()) for _ in range(16)])
    return count / (time.perf_counter() - start)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="size of the large mailbox")
    parser.add_argument("--size", type=int, default=4096, help="bytes of a delivered mail")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each rate of deliveries")
    parser.add_argument("--directory", type=Path, help="on the disk to be measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        task.react(lambda reactor: defer.ensureDeferred(run(reactor, options, Path(directory))))


if __name__ == "__main__":
    main()
