"""A queue that is very full: what its size costs when a server starts, and for each attempt.

All mails but a few are deferred until tomorrow; what is due is relayed to ``smtp-sink``, beside the
same in a queue of nothing else.  Then `mailplatctl queue` looks after a tenth of it.
"""

from __future__ import annotations

import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Table
from bench.mails import mail
from bench.names import naming
from bench.options import Options
from bench.relay import installation
from bench.sinks import Sinks, sinking
from bench.spooling import fill, waiting
from mailplat.spool.changes import NewRow
from mailplat.testing.twistd import Installation, TwistdServer, program

__all__ = ["measure"]

_SIZE = 1024
_FAR = 86_400
"""Seconds until the others are due."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was seen of one server.

    Attributes:
        start: Seconds until it greets.
        rate: Mails a second that it relays of those that are due.
        memory: KiB that it then takes.
    """

    start: float
    rate: float
    memory: float


def measure(options: Options) -> Iterator[Table]:
    """Look at a full queue beside one that has only what is due."""
    count, due = options.messages, max(options.mails // 2, 20)
    with sinking(1) as sinks:
        if sinks is None:
            return  # Postfix's programs are not installed
        with naming({f"due{n}.example": sinks.hosts[0] for n in range(10)}) as names:
            few, _ = _seen(options, sinks, names, 0, due)
            full, tool = _seen(options, sinks, names, count, due)
    yield Table(
        f"A queue of {count:,} deferred mails",
        f"{options.command('queue')} --messages {count}",
        [
            Figure("start, until the server greets", "s", full.start, few.start, 1.3),
            Figure("memory, after the attempts below", "KiB", full.memory, few.memory, 1.3),
            Figure(f"{due:,} mails of 10 domains that are due", "/s", full.rate, few.rate, 0.8),
        ],
        peer="nearly empty",
        note="1 KB each, in 1,000 lanes; beside a queue that has only what is due.",
    )
    yield Table(
        f"mailplatctl queue on {count // 10:,} of {count:,} mails",
        f"{options.command('queue')} --messages {count}",
        [Figure(what, "s", seconds) for what, seconds in tool.items()],
        note="The whole command, from its start to its end, while the server runs.",
    )


def _seen(
    options: Options, sinks: Sinks, names: int, count: int, due: int
) -> tuple[_Found, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder:
        made = installation(options, Path(folder), sinks.port, names)
        fill(made.data / "spool", _mails(count, due))
        server = TwistdServer(made)
        sinks.forget()
        try:
            start = time.perf_counter()
            server.start()
            greeted = time.perf_counter()
            sinks.wait(due)
            end = time.perf_counter()
            found = _Found(greeted - start, due / (end - start), _memory(server.pid))
            tool = _tool(made) if count else {}
            server.stop(seconds=60)
        finally:
            server.end()
        return found, tool


def _mails(count: int, due: int) -> Iterator[NewRow]:
    data, now = mail(1, random.Random(1), size=_SIZE), int(time.time())
    for number in range(count):
        domain = "chosen.example" if number % 10 == 0 else f"far{number % 1000}.example"
        yield waiting(number, domain, data, now, due=now + _FAR + number % 3600)
    for number in range(count, count + due):
        yield waiting(number, f"due{number % 10}.example", data, now, due=now)


def _tool(made: Installation) -> dict[str, float]:
    """Give the seconds that commands of the operator take."""
    found = {}
    chosen = ["--domain", "chosen.example"]
    for what, words in (
        ("list", ["list", "--limit", "0", *chosen]),
        ("hold", ["hold", *chosen]),
        ("remove", ["remove", *chosen]),
        ("top, of all", ["top", "--once"]),
    ):
        start = time.perf_counter()
        subprocess.run(
            [program("mailplatctl"), "queue", *words, "--config", str(made.configuration)],
            check=True,
            capture_output=True,
            timeout=600,
        )
        found[what] = time.perf_counter() - start
    return found


def _memory(pid: int) -> float:
    """Give the KiB of a process that are in memory."""
    (resident,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return float(resident)
