"""What it costs to keep large bodies once, and outside the database."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.store import in_reactor, new_message
from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import NewMessage, Target
from mailplat.spool.intake import MemoryBody
from mailplat.store.blobs.bodies import SharedBodies
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.blobs.s3 import S3Blobs
from mailplat.store.index.bodies import Bodies
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.bodies import DatabaseBodies
from mailplat.testing.seaweedfs import S3Server

__all__ = ["measure"]

_PRODUCERS = 16
_LARGE = 256 << 10

Make = Callable[[], NewMessage]


def measure(options: Options) -> Iterator[Table]:
    """Let producers deliver small and large mails, with bodies here and there."""
    yield Table(
        f"Delivery into the SQL store on SQLite, {_PRODUCERS} producers, durable",
        options.command("bodies"),
        in_reactor(_figures, options),
        "all in the database, nothing shared",
        "Large mails have 256 KiB. The S3 server is SeaweedFS on the same machine.",
    )


async def _figures(options: Options) -> list[Figure]:
    small = new_message(mail(1, random.Random(1), size=3500))
    large = new_message(mail(2, random.Random(2), size=_LARGE))
    data, numbers = large.body.read(0, large.body.size), count(10**9)

    def another() -> NewMessage:
        return replace(large, body=MemoryBody(data[:-12] + b"%010d\r\n" % next(numbers)))

    kinds: dict[str, Make] = {
        "4 KB": lambda: small,
        "large, each another": another,
        "large, all the same": lambda: large,
    }
    server = S3Server()
    try:
        server.start()
    except FileNotFoundError:
        server.bucket = ""
    figures = []
    try:
        for what, make in kinds.items():
            plain = await _rate(None, make, options)
            places: dict[str, IBlobStore | None] = {"in the database": None}
            with tempfile.TemporaryDirectory(dir=options.directory) as folder:
                if make() is not small:
                    places["in files"] = FileBlobs(str(Path(folder, "bodies")), reactor)
                    if server.bucket:
                        places["in S3"] = S3Blobs(server.new_place(), server.key, reactor)
                for place, blobs in places.items():
                    rate = await _rate((blobs,), make, options)
                    figures.append(Figure(f"{what}: shared, {place}", "/s", rate, plain))
    finally:
        server.stop()
    return figures


async def _rate(shared: tuple[IBlobStore | None] | None, make: Make, options: Options) -> float:
    """Give the mails a second."""
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        database = SQLiteDatabase(Path(folder, "mail.db"))
        bodies: Bodies = DatabaseBodies(database.dialect)
        if shared is not None:
            bodies = SharedBodies(database.dialect, reactor, shared[0])
        store = IndexedStore(database, bodies, StoreSettings(reactor, folder))
        await store.open()
        try:
            await store.open_home("alice")
            done, start = 0, time.perf_counter()

            async def produce() -> None:
                nonlocal done
                while time.perf_counter() - start < options.seconds:
                    await store.deliver(make(), [Target("alice")])
                    done += 1

            await DeferredList([Deferred.fromCoroutine(produce()) for _ in range(_PRODUCERS)])
            return done / (time.perf_counter() - start)
        finally:
            await store.close()
