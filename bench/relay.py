"""Mail on its way out: from the queue to ``smtp-sink``, beside Postfix.

What waits is let go at once, and what is timed ends when the sinks have all of it; then mail is
taken and relayed at the same time.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.figures import Figure, Table
from bench.mails import mail
from bench.names import naming
from bench.options import Options
from bench.postfix import Postfix, postfix_running
from bench.sinks import Sinks, sinking
from bench.spooling import fill, waiting
from mailplat.testing.twistd import Installation, TwistdServer, program

__all__ = ["installation", "measure"]

_SIZE = 4096


def measure(options: Options) -> Iterator[Table]:
    """Relay to one domain, and to many."""
    count = options.mails * 4
    for domains in (1, 5 if options.small else 200):
        with contextlib.ExitStack() as stack:
            sinks = stack.enter_context(sinking(domains))
            if sinks is None:
                continue  # Postfix's programs are not installed
            ways = {f"d{n}.example": host for n, host in enumerate(sinks.hosts)}
            ours = _ours(options, sinks, ways, count)
            peer: tuple[float, float] | None = None
            if options.peer_postfix:
                postfix = stack.enter_context(
                    postfix_running(
                        options.directory,
                        {domain: (host, sinks.port) for domain, host in ways.items()},
                    )
                )
                peer = _peer(postfix, sinks, list(ways), count)
        named = "1 domain" if domains == 1 else f"{domains} domains"
        yield Table(
            f"Relay of {count:,} mails to {named}",
            options.command("relay"),
            [
                Figure(what, "/s", ours[n], peer and peer[n], 1)
                for n, what in enumerate(("from the queue", "while they come in"))
            ],
            peer="Postfix",
            note="4 KB, one recipient each, until the last is at its host; each domain has one "
            "of its own.",
        )


def installation(options: Options, folder: Path, port: int, names: int) -> Installation:
    """Make a folder for a server that relays.

    Args:
        options: Not used but for the store's disk.
        folder: Empty.
        port: That of the exchangers.
        names: That of the name server.
    """
    return Installation.make(
        folder,
        "memory:",
        users=1,
        options={
            "limits": "connections = 20000",
            "auth": "require_tls = false",
            "smtp": "max_messages = 1000000",
            "resolver": f'servers = ["127.0.0.1"]\nport = {names}\nhosts_file = false',
            "relay": f'port = {port}\ntls = "never"',
        },
    )


def _ours(options: Options, sinks: Sinks, ways: dict[str, str], count: int) -> tuple[float, float]:
    with (
        tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder,
        naming(ways) as names,
    ):
        made = installation(options, Path(folder), sinks.port, names)
        data, now, domains = mail(1, random.Random(1), size=_SIZE), int(time.time()), list(ways)
        fill(
            made.data / "spool",
            (waiting(n, domains[n % len(domains)], data, now, due=None) for n in range(count)),
        )
        server = TwistdServer(made)
        try:
            server.start()

            def release() -> None:
                words = ["queue", "release", "--all", "--config", str(made.configuration)]
                subprocess.run(
                    [program("mailplatctl"), *words], check=True, capture_output=True, timeout=300
                )

            rate = _timed(sinks, count, release)
            user = made.users[0]
            login = ["--login", f"{user}:{made.password}", "--sender", user]
            both = _timed(
                sinks, count, lambda: _send(made.port("submission"), domains, count, login)
            )
            server.stop(seconds=60)
            return rate, both
        finally:
            server.end()


def _peer(
    postfix: Postfix, sinks: Sinks, domains: Sequence[str], count: int
) -> tuple[float, float]:
    postfix.hold()
    _send(postfix.port, domains, count)
    rate = _timed(sinks, count, postfix.release)
    postfix.open()
    return rate, _timed(sinks, count, lambda: _send(postfix.port, domains, count))


def _timed(sinks: Sinks, count: int, work: Callable[[], None]) -> float:
    """Give the mails a second from the begin of some work until all of them came."""
    sinks.forget()
    start = time.perf_counter()
    work()
    sinks.wait(count)
    return count / (time.perf_counter() - start)


def _send(port: int, domains: Sequence[str], count: int, words: Sequence[str] = ()) -> None:
    """Hand mails in, in turn for each domain."""
    command = [sys.executable, "-m", "bench.source", "127.0.0.1", str(port), "--sessions", "16"]
    command += ["--keep", "--in-turn", "--messages", str(count), "--size", str(_SIZE), *words]
    subprocess.run(
        [*command, *(f"user@{domain}" for domain in domains)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
