"""A server under load that is killed at random moments, and whether it kept its word.

What counts is not a rate: every mail that was answered 250 has to be in its mailbox once and whole,
or at the server elsewhere that it was for.  The measurement fails where it is not so.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Table
from bench.options import Options
from bench.server import STORES
from mailplat.testing.postgresql import PostgreSQLServer
from mailplat.testing.survival import Collector, Survival
from mailplat.testing.twistd import Installation, TwistdServer

__all__ = ["measure"]

_SAFE = {"fsync": "on", "full_page_writes": "on"}


def measure(options: Options) -> Iterator[Table]:
    """Kill a server of each store again and again."""
    for store in options.stores:
        with contextlib.ExitStack() as stack:
            where = STORES.get(store, "")
            if store == "postgresql":
                database = PostgreSQLServer(options=_SAFE)
                database.start()
                stack.callback(database.stop)
                where = f"sql:{database.new_schema()}"
            yield _table(options, store, where)


def _table(options: Options, store: str, where: str) -> Table:
    with (
        tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder,
        Collector() as collector,
    ):
        made = Installation.make(
            Path(folder),
            where,
            users=2,
            options=collector.options | {"smtp": "max_messages = 1000000"},
        )
        server = TwistdServer(made)
        survival = Survival(server, random.Random(options.kills), collector)
        begun = time.perf_counter()
        try:
            survival.begin()
            while survival.kills < options.kills:
                survival.kill_once()
            survival.end()
        finally:
            server.end()
        seconds = time.perf_counter() - begun
    return Table(
        f"kill -9 at {survival.kills} random moments, store {store}",
        options.command("survival"),
        [
            Figure("answered 250, and there once and whole", "mails", len(survival.accepted)),
            Figure("for elsewhere, and come there", "mails", len(survival.relayed)),
            Figure("of these twice: before and after a kill", "mails", len(collector.doubled())),
            Figure("lost, doubled, cut or under another's UID", "mails", 0),
            Figure("in all", "s", seconds),
        ],
        note="Three clients send, two submit mail for elsewhere, one appends, flags and expunges.",
    )
