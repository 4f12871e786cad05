"""Small commands, one after the other: what a round trip costs, in clear and under TLS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench.clients import IMAPClient, closing
from bench.figures import Figure, Table
from bench.mails import mails
from bench.options import Options
from bench.server import login, serving

__all__ = ["measure"]

_MAILBOX = "trips"
_MESSAGES = 100
_CHANGES_BEFORE = 3000

_COMMANDS: dict[str, Sequence[str]] = {
    "NOOP": ["NOOP"],
    "STORE of one flag": [r"STORE 5 +FLAGS (\Flagged)", r"STORE 5 -FLAGS (\Flagged)"],
    "FETCH of one message's flags": [f"FETCH {n} (FLAGS)" for n in range(1, _MESSAGES)],
    "FETCH of one message's structure": [
        f"FETCH {n} (UID BODYSTRUCTURE)" for n in range(1, _MESSAGES)
    ],
    "FETCH of one message": [f"FETCH {n} (BODY.PEEK[])" for n in range(1, _MESSAGES)],
    "SELECT": [f"SELECT {_MAILBOX}"],
}


def measure(options: Options) -> Iterator[Table]:
    """Time round trips on each of our stores."""
    changes = 20 if options.small else _CHANGES_BEFORE
    for store in options.stores:
        figures: list[Figure] = []
        with serving(options, store) as server:
            for tls, listener, peer in (
                (False, "imap", options.peer_imap),
                (True, "imaps", options.peer_imaps),
            ):
                ours = IMAPClient(login(server, listener), tls=tls)
                theirs = IMAPClient(peer, tls=tls) if peer else None
                with closing(ours, theirs):
                    figures += _both(ours, theirs, "under TLS" if tls else "in clear", options)
        yield Table(
            f"IMAP round trips, store {store}",
            options.command("trips"),
            figures,
            note="Milliseconds a command, best of five runs. Our STORE is on stable storage "
            "before its OK; the peer's need not be. "
            f"{changes:,} changes came before, as on a server that has run for a while: a log "
            "that still grows takes longer to flush.",
        )


def _both(
    ours: IMAPClient, peer: IMAPClient | None, how: str, options: Options
) -> Iterator[Figure]:
    clients = [client for client in (ours, peer) if client is not None]
    for client in clients:
        client.fill(_MAILBOX, mails(_MESSAGES), _MESSAGES)
        client.command(f"SELECT {_MAILBOX}")
        _trip(client, _COMMANDS["STORE of one flag"], 20 if options.small else _CHANGES_BEFORE)
    for name, lines in _COMMANDS.items():
        best = [1e9, 1e9]
        for _ in range(5):
            for side, client in enumerate(clients):
                best[side] = min(best[side], _trip(client, lines, 20 if options.small else 200))
        theirs = 1000 * best[1] if peer else None
        yield Figure(f"{name}, {how}", "ms", 1000 * best[0], theirs, 2)


def _trip(client: IMAPClient, lines: Sequence[str], times: int) -> float:
    """Give the seconds a command, on average over some."""
    start = time.perf_counter()
    for number in range(times):
        client.command(lines[number % len(lines)])
    return (time.perf_counter() - start) / times
