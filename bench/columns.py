"""How fast a mailbox is opened and read by columns, from the disk and from memory."""

from __future__ import annotations

import random
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.store import in_reactor, new_message, open_store
from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet

__all__ = ["measure"]

_BLOCK = 2000

_COLUMNS: tuple[tuple[tuple[Column, ...], float], ...] = (
    ((Column.FLAGS,), 1e6),
    ((Column.FLAGS, Column.SIZE, Column.DATE), 5e5),
    ((Column.ENVELOPE,), 5e5),
    ((Column.BODYSTRUCTURE,), 5e5),
    ((Column.HEADER,), 0),
)
"""Columns that are read together, and the rows a second that are wanted."""


def measure(options: Options) -> Iterator[Table]:
    """Fill a mailbox, open the store anew and read."""
    for kind, name, work in (("sql", "SQL", _of_sql), ("maildir", "Maildir", _of_maildir)):
        if kind in options.stores:
            yield Table(
                f"A mailbox of {options.messages * 5:,} in the {name} store, "
                f"by columns of {_BLOCK:,}",
                options.command("columns"),
                in_reactor(work, options),
                "aim",
                "Inside one process, without IMAP. Cold is a store opened anew; the disk's cache "
                "is warm.",
            )


async def _of_sql(options: Options) -> list[Figure]:
    return await _figures("sql", options)


async def _of_maildir(options: Options) -> list[Figure]:
    return await _figures("maildir", options)


async def _figures(kind: str, options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        await _fill(folder, kind, options.messages * 5)
        store = open_store(folder, kind)
        await store.open()
        home = await store.open_home("bob")
        figures = [figure async for figure in _reading(home)]
        figures += [figure async for figure in _changing(home)]
        await store.close()
    return figures


def _rate(what: str, rows: int, seconds: float, aim: float = 0) -> Figure:
    return Figure(what, "rows/s", rows / seconds, aim or None, 1 if aim else None)


async def _fill(folder: Path, kind: str, count: int) -> None:
    """Append so many small messages, and close the store again."""
    store = open_store(folder, kind)
    await store.open()
    home = await store.open_home("bob")
    rng = random.Random(1)
    some = [new_message(mail(number, rng, size=100, attached=30)) for number in range(1000)]
    for start in range(0, count, 1000):
        await home.append("INBOX", some[: count - start])
    await store.close()


async def _reading(home: IHome) -> AsyncIterator[Figure]:
    begun = time.perf_counter()
    mailbox = await home.open_mailbox("INBOX")
    uids = (await mailbox.state(False)).uids
    taken = time.perf_counter() - begun
    assert isinstance(uids, array)
    yield _rate("cold: open", len(uids), taken)
    for columns, wanted in _COLUMNS:
        names = " ".join(column.name for column in columns)
        cold = await _timed(1, partial(_read, mailbox, uids, columns))
        warm = await _timed(3, partial(_read, mailbox, uids, columns))
        if columns[0] is not Column.FLAGS:
            yield _rate(f"cold: {names}", len(uids), cold)
        yield _rate(f"warm: {names}", len(uids), warm, wanted)

    async def open_again() -> None:
        again = await home.open_mailbox("INBOX")
        await again.state(False)
        again.close()

    yield Figure("warm: open", "ms", 1000 * await _timed(20, open_again))
    some = uids[:20_000]
    yield _rate("bodies, 256 at once", len(some), await _timed(3, partial(_bodies, mailbox, some)))
    mailbox.close()


async def _changing(home: IHome) -> AsyncIterator[Figure]:
    mailbox = await home.open_mailbox("INBOX")
    uids = (await mailbox.state(False)).uids
    one, everything = NumSet.of([uids[len(uids) // 2]]), NumSet.span(1, uids[-1])

    async def flip() -> None:
        for action in (FlagAction.ADD, FlagAction.REMOVE):
            await mailbox.store_flags(one, action, ["\\Flagged"], None)

    async def flag_all() -> None:
        await mailbox.store_flags(everything, FlagAction.ADD, ["\\Seen"], None)

    await home.create("Copy", [])
    yield Figure("flags of one, durable", "ms", 500 * await _timed(50, flip))
    yield _rate("flags of all", len(uids), await _timed(1, flag_all))
    yield _rate("copy all", len(uids), await _timed(1, lambda: mailbox.copy(everything, "Copy")))
    yield _rate("expunge all", len(uids), await _timed(1, lambda: mailbox.expunge(everything)))
    mailbox.close()


async def _timed(times: int, call: Callable[[], Awaitable[object]]) -> float:
    """Give the seconds of the best of some calls."""
    best = 1e9
    for _ in range(times):
        start = time.perf_counter()
        await call()
        best = min(best, time.perf_counter() - start)
    return best


async def _read(mailbox: IMailbox, uids: array[int], columns: Sequence[Column]) -> None:
    for start in range(0, len(uids), _BLOCK):
        await mailbox.rows(uids[start : start + _BLOCK], columns)


async def _bodies(mailbox: IMailbox, uids: Sequence[int]) -> None:
    for start in range(0, len(uids), 256):
        ranges = [BodyRange(uid, 0, 1 << 20) for uid in uids[start : start + 256]]
        await mailbox.bodies(ranges)
