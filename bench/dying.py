"""Mail that arrives while its scanner dies, hangs, and answers late or garbage.

What counts is not the rate: that every mail is there once, that each was called clean, and that no
virus is among them.  The measurement fails where it is not so.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Table
from bench.options import Options
from mailplat.testing.dying_scanner import (
    DyingClamd,
    bring,
    check_nothing_lost,
    installation_under,
)
from mailplat.testing.twistd import TwistdServer

__all__ = ["measure"]

_CONNECTIONS = 20


def measure(options: Options) -> Iterator[Table]:
    """Bring mails until each is accepted or refused, and look for all of them."""
    mails = min(options.mails, 2000)
    with (
        tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder,
        DyingClamd(Path(folder) / "scanner", lifetime=200) as scanner,
    ):
        server = TwistdServer(installation_under(Path(folder), scanner))
        try:
            server.start()
            begun = time.perf_counter()
            brought = bring(server, mails, connections=_CONNECTIONS)
            seconds = time.perf_counter() - begun
            check_nothing_lost(server, scanner, brought, mails)
            server.stop(seconds=60)
        finally:
            server.end()
    yield Table(
        f"{mails:,} mails while the scanner dies, hangs, and answers late or garbage",
        options.command("dying"),
        [
            Figure("accepted", "mails", len(brought.accepted)),
            Figure("refused: the viruses", "mails", len(brought.refused)),
            Figure("deferred, and tried again", "times", brought.deferred),
            Figure("the scanner died", "times", scanner.deaths),
            Figure("until all were decided", "s", seconds),
        ],
        note=f"One in ten is a virus; {_CONNECTIONS} connections; `on_error` is defer.",
    )
