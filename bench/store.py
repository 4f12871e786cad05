"""How fast the SQL store takes mail, each mail durable before its producer sends the next."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure
from zope.interface import implementer

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.slow_disk import slow_flushes
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import NewMessage, Target
from mailplat.message.summary import summary_of
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.store import maildir_store
from mailplat.store.sql.store import sql_store

__all__ = ["deliver", "in_reactor", "measure", "new_message", "open_store"]


@implementer(IBody)
@dataclass
class _Bytes:
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


def new_message(data: bytes) -> NewMessage:
    """Make what a store takes out of a message's bytes."""
    return NewMessage(_Bytes(data), summary_of(data), frozenset(), 1_700_000_000)


def open_store(directory: Path, kind: str = "sql") -> IndexedStore:
    """Give a store below a folder, ``sql`` or ``maildir``, not opened yet."""
    settings = StoreSettings(reactor, str(directory))
    if kind == "maildir":
        return maildir_store("mail", settings)
    return sql_store("sqlite:///mail.db", settings)


def in_reactor(
    work: Callable[[Options], Awaitable[list[Figure]]], options: Options
) -> list[Figure]:
    """Run a coroutine function of a module in a process of its own that runs the reactor.

    Raises:
        Exception: What the coroutine raised.
    """
    spawning = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as processes:
        return processes.submit(_run, work, options).result()


def _run(work: Callable[[Options], Awaitable[list[Figure]]], options: Options) -> list[Figure]:
    loop: Any = reactor
    ended: list[list[Figure] | Failure] = []

    async def all_of_it() -> list[Figure]:
        return await work(options)

    def end(result: list[Figure] | Failure) -> None:
        ended.append(result)
        loop.stop()

    loop.callWhenRunning(lambda: Deferred.fromCoroutine(all_of_it()).addBoth(end))
    loop.run(installSignalHandlers=False)
    (result,) = ended
    if isinstance(result, Failure):
        result.raiseException()
        raise AssertionError
    return result


def measure(options: Options) -> Iterator[Table]:
    """Let producers deliver, beside one that commits one mail after the other by itself."""
    yield Table(
        "Delivery into the SQL store, 4 KB, durable",
        options.command("store"),
        in_reactor(_figures, options),
        "one fsync a mail",
        "The baseline is one producer that inserts a row a transaction (the last line: that "
        "writes a file and flushes it and its folder), and does nothing else.",
    )
    for milliseconds in (1, 8):
        with slow_flushes(milliseconds) as slow:
            if slow:
                yield Table(
                    f"The same, where a flush takes {milliseconds} ms longer",
                    options.command("store"),
                    in_reactor(_figures, options),
                    "one fsync a mail",
                    "An SSD without a capacitor takes 1 to 5 ms, a hard disk 8 and more.",
                )


async def _figures(options: Options) -> list[Figure]:
    message = new_message(mail(1, random.Random(1), size=3500))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        plain = _plain_sql(folder / "plain.db", message, options.seconds)
        files = _files(folder / "files", message, options.seconds)
        store = open_store(folder)
        await store.open()
        for producers in (1, 16, 64, 256):
            rate = await deliver(store, message, producers, options.seconds, 1)
            what = f"{producers} producer{'s' * (producers > 1)}, one mailbox"
            figures.append(Figure(what, "/s", rate, plain, 10 if producers == 16 else None))
        rate = await deliver(store, message, 16, options.seconds, 16)
        figures.append(Figure("16 producers, 16 mailboxes", "/s", rate, plain, 10))
        figures.append(Figure("the same, beside a file a mail", "/s", rate, files, 10))
        await store.close()
    return figures


def _plain_sql(path: Path, message: NewMessage, seconds: float) -> float:
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


def _files(directory: Path, message: NewMessage, seconds: float) -> float:
    (directory / "tmp").mkdir(parents=True)
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
    store: IndexedStore,
    message: NewMessage,
    producers: int,
    seconds: float,
    mailboxes: int | Sequence[str],
) -> float:
    """Give the mails a second that producers bring to so many accounts, or to these."""
    if isinstance(mailboxes, int):
        mailboxes = [f"user{number}" for number in range(mailboxes)]
    for account in mailboxes:
        await store.open_home(account)
    count, start = 0, time.perf_counter()

    async def produce(number: int) -> None:
        nonlocal count
        targets = [Target(mailboxes[number % len(mailboxes)])]
        while time.perf_counter() - start < seconds:
            await store.deliver(message, targets)
            count += 1

    await DeferredList([Deferred.fromCoroutine(produce(number)) for number in range(producers)])
    return count / (time.perf_counter() - start)
