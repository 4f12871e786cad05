"""``python -m bench [--small] [SUBJECT...]``: print the tables of some subjects, or of all."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from bench import (
    arrival,
    auth,
    bodies,
    columns,
    dying,
    filters,
    idle,
    imap,
    message,
    million,
    pop3,
    postgresql,
    queue,
    relay,
    search,
    smtp,
    store,
    survival,
    trips,
    watched,
)
from bench.figures import Table, printed
from bench.options import SUBJECTS, Options, read_options

__all__ = ["main"]

_MEASURES: Mapping[str, Callable[[Options], Iterator[Table]]] = {
    "message": message.measure,
    "auth": auth.measure,
    "filters": filters.measure,
    "store": store.measure,
    "postgresql": postgresql.measure,
    "bodies": bodies.measure,
    "columns": columns.measure,
    "million": million.measure,
    "search": search.measure,
    "imap": imap.measure,
    "trips": trips.measure,
    "arrival": arrival.measure,
    "pop3": pop3.measure,
    "smtp": smtp.measure,
    "relay": relay.measure,
    "queue": queue.measure,
    "idle": idle.measure,
    "watched": watched.measure,
    "dying": dying.measure,
    "survival": survival.measure,
}


def main() -> None:
    """Read the command line and measure."""
    options = read_options(sys.argv[1:])
    assert set(_MEASURES) == set(SUBJECTS)
    day = datetime.now(UTC).strftime("%d %B %Y")
    print(
        f"{day}; Python {platform.python_version()}, Twisted {version('twisted')}, "
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores\n",
        flush=True,
    )
    for name in options.names:
        for table in _MEASURES[name](options):
            print(printed(table), flush=True)


main()
