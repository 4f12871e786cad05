"""A server of ours to be measured: a ``twistd`` process in a folder that is thrown away."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.options import Login, Options
from mailplat.testing.twistd import Installation, TwistdServer

__all__ = ["DOMAIN", "STORES", "login", "serving"]

DOMAIN = "example.org"

STORES = {"memory": "memory:", "sql": "sql:sqlite:///mail.db", "maildir": "maildir:mail"}
"""Descriptions of stores by the names of the command line."""

_OPTIONS = {
    "limits": "connections = 20000",
    "auth": "require_tls = false",
    "smtp": "max_messages = 1000000",
    "message": 'max_size = "100MiB"',
}


@contextlib.contextmanager
def serving(options: Options, store: str, *, users: int = 100) -> Iterator[TwistdServer]:
    """Run a server over an empty store; its users are ``u00@example.org``, ``u01@``..."""
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder:
        installation = Installation.make(Path(folder), STORES[store], users=users, options=_OPTIONS)
        server = TwistdServer(installation)
        try:
            server.start()
            yield server
            server.stop(seconds=60)
        finally:
            server.end()


def login(server: TwistdServer, listener: str, user: int = 0) -> Login:
    """Say how a user reaches a listener."""
    installation = server.installation
    return Login(
        "127.0.0.1", installation.port(listener), installation.users[user], installation.password
    )
