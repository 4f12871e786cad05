"""How fast the SQL store takes mail on PostgreSQL, and how soon another process hears of it."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator

import psycopg
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.store import deliver, in_reactor, new_message
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import NewMessage, Target
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.store import sql_store
from mailplat.testing.postgresql import PostgreSQLServer

__all__ = ["measure"]

_SAFE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}


def measure(options: Options) -> Iterator[Table]:
    """Let producers deliver into one store, while another on the same database hears of it."""
    yield Table(
        "Delivery into the SQL store on PostgreSQL, 4 KB, durable",
        options.command("postgresql"),
        in_reactor(_figures, options),
        "one commit a mail",
        "The baseline is one producer that inserts a row a transaction, and does nothing else. "
        "The delay is that of a watcher in another store, from the deliverer's answer on.",
    )


async def _figures(options: Options) -> list[Figure]:
    message = new_message(mail(1, random.Random(1), size=3500))
    server = PostgreSQLServer(options=_SAFE)
    server.start()
    try:
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            url = server.new_schema()
            settings = StoreSettings(reactor, folder)
            stores = [sql_store(url, settings), sql_store(url, settings)]
            for store in stores:
                await store.open()
            try:
                return await _measured(server.url, stores, message, options)
            finally:
                for store in stores:
                    await store.close()
    finally:
        server.stop()


async def _measured(
    url: str, stores: list[IndexedStore], message: NewMessage, options: Options
) -> list[Figure]:
    plain = _plain(url, message, options.seconds)
    figures = []
    for producers in (1, 16, 64):
        rate = await deliver(stores[0], message, producers, options.seconds, 16)
        what = f"{producers} producer{'s' * (producers > 1)}, 16 mailboxes"
        figures.append(Figure(what, "/s", rate, plain))
    delays = await _delays(stores, message, 20 if options.small else 200)
    figures.append(Figure("another store's watcher hears, median", "ms", statistics.median(delays)))
    return figures


def _plain(url: str, message: NewMessage, seconds: float) -> float:
    data = message.body.read(0, message.body.size)
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("CREATE TABLE mails (id BIGSERIAL PRIMARY KEY, data BYTEA)")
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            raw.execute("INSERT INTO mails (data) VALUES (%s)", (data,))
            count += 1
        return count / (time.perf_counter() - start)


async def _delays(stores: list[IndexedStore], message: NewMessage, count: int) -> list[float]:
    """Deliver by one store and watch by the other; give milliseconds."""
    one, two = stores
    mailbox = await (await two.open_home("watched")).open_mailbox("INBOX")
    delays = []
    for _ in range(count):
        heard: Deferred[float] = Deferred()

        def hear(heard: Deferred[float] = heard) -> None:
            if not heard.called:
                heard.callback(time.perf_counter())

        watch = mailbox.watch(hear)
        await one.deliver(message, [Target("watched")])
        answered = time.perf_counter()
        delays.append(max(0.0, await heard - answered) * 1000)
        watch.stop()
        await mailbox.changes_since(0)
    mailbox.close()
    return delays
