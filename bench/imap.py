"""IMAP commands on a large mailbox: the same mails on our stores and on the peer.

Each command is given to both in turns, so that both are timed in the same minute; the best counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.clients import IMAPClient, closing
from bench.figures import Figure, Table
from bench.mails import mails
from bench.options import Options
from bench.server import login, serving

__all__ = ["COMMANDS", "measure"]

COMMANDS: dict[str, float | None] = {
    "UID FETCH 1:* (FLAGS)": 0.8,
    "FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)": 2,
    "FETCH 1:* (ENVELOPE)": 3,
    "FETCH 1:* (BODYSTRUCTURE)": 0.8,
    "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)": 3,
    "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])": 0.8,
    "FETCH 1:* (BODY.PEEK[HEADER])": None,
    "FETCH 1:2000 (BODY.PEEK[])": 0.8,
    "SEARCH SUBJECT zebra": 1,
    "SEARCH FROM alice": 1,
    "SEARCH BODY quagmire": 10,
    "SEARCH UNSEEN": None,
    "SEARCH SINCE 1-Jan-2020 UNSEEN": 1,
}
"""Commands, and the least ratio of our rate to the peer's that is wanted."""

MAILBOX = "bench"


def measure(options: Options) -> Iterator[Table]:
    """Time the commands on each of our stores."""
    for store in options.stores:
        yield _on(options, store)


def _on(options: Options, store: str) -> Table:
    count = options.messages
    with serving(options, store) as server:
        ours = IMAPClient(login(server, "imap"))
        peer = IMAPClient(options.peer_imap) if options.peer_imap else None
        with closing(ours, peer):
            for client in (ours, peer):
                if client is not None:
                    client.fill(MAILBOX, mails(count), count)
                    client.command(f"SELECT {MAILBOX}")
            figures: list[Figure] = []
            _wait_for_index(ours, options)
            for command, wanted in COMMANDS.items():
                rows = min(count, 2000) if "1:2000" in command else count
                sent = command.replace("1:2000", f"1:{rows}")
                searching = command.startswith("SEARCH")
                unit = "/s" if searching else "msg/s"
                rows = 1 if searching else rows
                figures.append(_compare(sent, rows, unit, wanted, ours, peer, options.rounds))
            figures.append(
                _compare(f"SELECT {MAILBOX}, warm", 1, "ms", 2, ours, peer, options.rounds * 20)
            )
    return Table(
        f"IMAP on {count:,} mails, store {store}",
        options.command("imap"),
        figures,
        note=f"Best of {options.rounds}, ours and the peer's in turns; our index of text has "
        "caught up.",
    )


def _wait_for_index(client: IMAPClient, options: Options) -> None:
    """Wait until a search that reads no mail shows that the index of text has caught up."""
    end = time.monotonic() + (5 if options.small else 300)
    limit = 2e-6 * options.messages  # seconds; to read a mail takes longer
    while client.command("SEARCH BODY notinanymail").seconds > limit and time.monotonic() < end:
        time.sleep(0.5)


def _compare(
    command: str,
    rows: int,
    unit: str,
    wanted: float | None,
    ours: IMAPClient,
    peer: IMAPClient | None,
    rounds: int,
) -> Figure:
    """Time a command on both sides; ``rows`` by the best time, or in milliseconds the time."""
    best = [1e9, 1e9]
    found: list[int] = [0, 0]
    line = command.partition(", warm")[0]
    for _ in range(rounds):
        for side, client in enumerate((ours, peer)):
            if client is not None:
                answer = client.command(line)
                best[side] = min(best[side], answer.seconds)
                found[side] = _result(answer.data)
    if peer is not None and found[0] != found[1]:
        raise RuntimeError(f"{line}: our answer has {found[0]} results, the peer's {found[1]}")
    values = [1000 * time if unit == "ms" else rows / time for time in best]
    return Figure(command, unit, values[0], values[1] if peer else None, wanted)


def _result(data: bytes) -> int:
    """Count what an answer gives: messages found, or FETCH responses."""
    if b"* SEARCH" in data:
        return len(data.partition(b"* SEARCH")[2].partition(b"\r\n")[0].split())
    return data.count(b" FETCH (")
