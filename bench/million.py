"""A mailbox of a thousand messages beside one of a million, in one SQL store.

What grows with the mailbox is opening it and reading all of it; what must not grow is a delivery,
a flag, or the wait of others while the large one is emptied.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from twisted.internet.defer import Deferred

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.store import deliver, in_reactor, new_message, open_store
from mailplat.app.upkeep.verifying import verify
from mailplat.interfaces.store import IHome, NewMessage, Target
from mailplat.message.scan import ScanLimits
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.store.index.store import IndexedStore

__all__ = ["measure"]

_SMALL, _LARGE = "user0", "user1"
_AT_ONCE = 1000


def measure(options: Options) -> Iterator[Table]:
    """Fill two mailboxes, and do the same in both."""
    count = options.messages * 50
    yield Table(
        f"A mailbox of {count:,} messages in the SQL store",
        options.command("million"),
        in_reactor(_figures, options),
        f"one of {_AT_ONCE:,}",
        "Inside one process, without IMAP; small mails, so that the disk is spared.",
    )


async def _figures(options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as name:
        folder = Path(name)
        figures = [await _fill(folder, options.messages * 50)]
        store = open_store(folder)
        await store.open()
        try:
            figures += [figure async for figure in _opening(store, options.messages * 50)]
            figures += [figure async for figure in _working(store, options)]
            figures += [figure async for figure in _looking_after(store)]
        finally:
            await store.close()
        return figures


async def _fill(folder: Path, count: int) -> Figure:
    """Append small messages to both mailboxes, and close the store again."""
    store = open_store(folder)
    await store.open()
    rng = random.Random(1)
    some = [new_message(mail(number, rng, size=50, attached=30)) for number in range(_AT_ONCE)]
    await (await store.open_home(_SMALL)).append("INBOX", some)
    home = await store.open_home(_LARGE)
    begun = time.perf_counter()
    for start in range(0, count, _AT_ONCE):
        await home.append("INBOX", some[: count - start])
    rate = count / (time.perf_counter() - begun)
    await store.close()
    return Figure("filled, a thousand at a time", "/s", rate)


async def _opening(store: IndexedStore, count: int) -> AsyncIterator[Figure]:
    home = await store.open_home(_LARGE)
    before = _resident()
    begun = time.perf_counter()
    mailbox = await home.open_mailbox("INBOX")
    assert len((await mailbox.state(False)).uids) == count
    yield Figure("open from cold", "ms", 1000 * (time.perf_counter() - begun))
    yield Figure("rows in memory, a message", "B", (_resident() - before) / count, 64, 1)
    mailbox.close()


async def _working(store: IndexedStore, options: Options) -> AsyncIterator[Figure]:
    message = new_message(mail(1, random.Random(1), size=3500))
    rates: dict[str, list[float]] = {_SMALL: [], _LARGE: []}
    for _ in range(3):  # in turns: the machine is not the same from one second to the next
        for account, found in rates.items():
            found.append(await _deliver(store, message, account, options.seconds))
    yield Figure("16 producers deliver", "/s", max(rates[_LARGE]), max(rates[_SMALL]), 1 / 1.3)
    times = {a: await _flagging(await store.open_home(a)) for a in (_SMALL, _LARGE)}
    yield Figure("flag of one, durable", "ms", 1000 * times[_LARGE], 1000 * times[_SMALL], 1.3)


async def _deliver(store: IndexedStore, message: NewMessage, account: str, seconds: float) -> float:
    return await deliver(store, message, 16, seconds, [account])


async def _flagging(home: IHome) -> float:
    """Give the seconds of the best of some changes of one flag."""
    mailbox = await home.open_mailbox("INBOX")
    best = 1e9
    for number in range(50):
        action = FlagAction.REMOVE if number % 2 else FlagAction.ADD
        taken = await _timed(
            lambda: mailbox.store_flags(NumSet.of([500]), action, ["\\Flagged"], None)  # noqa: B023
        )
        best = min(best, taken)
    mailbox.close()
    return best


async def _looking_after(store: IndexedStore) -> AsyncIterator[Figure]:
    begun = time.perf_counter()
    faults = [f async for f in verify(store, [_LARGE], ScanLimits(), bodies=False)]
    assert not faults, faults[:5]
    yield Figure("verify, without the bodies", "s", time.perf_counter() - begun)
    begun = time.perf_counter()
    await store.recount(_LARGE)
    yield Figure("count again", "s", time.perf_counter() - begun)
    mailbox = await (await store.open_home(_LARGE)).open_mailbox("INBOX")
    count = len((await mailbox.state(False)).uids)
    message = new_message(b"Subject: meanwhile\r\n\r\n")
    begun = time.perf_counter()
    emptied = Deferred.fromCoroutine(_await(mailbox.expunge(NumSet.span(1, 1 << 31))))
    waits: list[float] = []
    while not emptied.called:
        waits.append(await _timed(lambda: store.deliver(message, [Target(_SMALL)])))
    await emptied
    yield Figure("expunge of all", "/s", count / (time.perf_counter() - begun))
    yield Figure("meanwhile, the longest delivery for another", "ms", 1000 * max(waits))
    mailbox.close()


async def _await(call: Awaitable[object]) -> object:
    return await call


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


def _resident() -> int:
    """Tell this process's resident memory in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")
