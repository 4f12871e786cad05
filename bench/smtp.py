"""SMTP to the mailbox: mail counts when it can be read there, and what is timed ends then.

Load comes from Postfix's ``smtp-source`` where that is installed and can do it, else from
`bench.source`; the same for all servers of a line.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.clients import IMAPClient, closing
from bench.figures import Figure, Table
from bench.options import Login, Options, Relay
from bench.server import login, serving
from mailplat.testing.twistd import TwistdServer

__all__ = ["measure"]


@dataclass(frozen=True, slots=True)
class _Load:
    """What is sent.

    Attributes:
        what: In words.
        share: Which part of the usual number of mails.
        sessions: Connections at once.
        size: Bytes.
        recipients: Of each mail.
        tls: Whether STARTTLS is used.
        keep: Whether a connection brings more than one mail.
    """

    what: str
    share: float
    sessions: int = 16
    size: int = 4096
    recipients: int = 1
    tls: bool = False
    keep: bool = False


_LOADS = (
    _Load("16 connections, 4 KB, one mail each", 1),
    _Load("16 connections, 4 KB, kept open", 1, keep=True),
    _Load("1 connection at a time, 4 KB", 0.2, sessions=1),
    _Load("16 connections, 1 MB", 0.04, size=1 << 20),
    _Load("16 connections, 4 KB, 50 recipients", 0.04, recipients=50),
    _Load("16 connections, 4 KB, STARTTLS", 0.2, tls=True),
)


@dataclass(frozen=True, slots=True)
class _Side:
    """A server: where it takes mail, for whom, and where that can be counted."""

    port: int
    host: str
    recipients: Sequence[str]
    counting: Callable[[int], Login]


def measure(options: Options) -> Iterator[Table]:
    """Deliver to each of our stores and to each peer, one right after the other."""
    peers = {relay.name: _peer(relay, options.peer_imap) for relay in options.peer_smtp}
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        ours = {
            store: _ours(stack.enter_context(serving(options, store))) for store in options.stores
        }
        for load in _LOADS:
            for name, side in (*ours.items(), *peers.items()):
                rates.setdefault(name, []).append(_deliver(options, load, side))
    for store in ours:
        for name in peers or ("",):
            yield Table(
                f"SMTP to the mailbox, store {store}" + (f", beside {name}" if name else ""),
                options.command("smtp"),
                [
                    Figure(
                        load.what,
                        "/s",
                        rates[store][n],
                        rates[name][n] if name else None,
                        None if n else _aim(name),  # the aim is for the first row
                    )
                    for n, load in enumerate(_LOADS)
                ],
                note="Mails a second by recipient, until the last is in its mailbox.",
            )


def _ours(server: TwistdServer) -> _Side:
    return _Side(
        server.installation.port("smtp"),
        "127.0.0.1",
        server.installation.users,
        partial(login, server, "imap"),
    )


def _aim(peer: str) -> float | None:
    return 5 if "lmtp" in peer.lower() else 3 if peer else None


def _peer(relay: Relay, imap: Login | None) -> _Side:
    if imap is None:
        sys.exit("--peer-smtp needs --peer-imap, where its mail is counted")
    names = [f"{relay.users}{number}" for number in range(1, 60)]
    return _Side(
        relay.port,
        relay.host,
        [f"{name}@{relay.domain}" for name in names],
        lambda user: Login(imap.host, imap.port, names[user], imap.password),
    )


def _deliver(options: Options, load: _Load, side: _Side) -> float:
    """Give the mails a second, from the first connection to the last mail in a mailbox."""
    count = max(int(options.mails * load.share), 5)
    last = load.recipients - 1
    client = IMAPClient(side.counting(last))
    with closing(client):
        client.empty("INBOX")
        start = time.perf_counter()
        subprocess.run(_command(load, side, count), check=True, capture_output=True, timeout=600)
        while (client.exists("INBOX") or 0) < count:
            if time.perf_counter() - start > 600:
                raise RuntimeError("mail was lost")
            time.sleep(0.05 if options.small else 0.2)
        return count * load.recipients / (time.perf_counter() - start)


def _command(load: _Load, side: _Side, count: int) -> list[str]:
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
    if program and not load.tls and not load.keep and load.recipients == 1:
        numbers = ["-s", str(load.sessions), "-m", str(count), "-l", str(load.size)]
        people = ["-f", "bench@elsewhere.example", "-t", side.recipients[0]]
        return [program, *numbers, *people, f"{side.host}:{side.port}"]
    words = [sys.executable, "-m", "bench.source", side.host, str(side.port)]
    words += ["--sessions", str(load.sessions), "--messages", str(count), "--size", str(load.size)]
    words += ["--tls"] * load.tls + ["--keep"] * load.keep
    return [*words, *side.recipients[: load.recipients]]
