"""POP3: RETR of many mails, one at a time and pipelined."""

from __future__ import annotations

from collections.abc import Iterator

from bench.clients import IMAPClient, POP3Client, closing
from bench.figures import Figure, Table
from bench.mails import mails
from bench.options import Login, Options
from bench.server import login, serving

__all__ = ["measure"]


def measure(options: Options) -> Iterator[Table]:
    """Time RETR on each of our stores; the peer's maildrop is its INBOX as it is found."""
    for store in options.stores:
        with serving(options, store) as server:
            _fill(login(server, "imap"), options.messages)
            ours = login(server, "pop3")
            if options.peer_imap is not None and options.peer_pop3 is not None:
                _fill(options.peer_imap, options.messages)
            figures = list(_figures(ours, options.peer_pop3, options))
        yield Table(
            f"POP3 RETR, store {store}",
            options.command("pop3"),
            figures,
            note=f"Mails a second, best of {options.rounds}, ours and the peer's in turns.",
        )


def _fill(there: Login, count: int) -> None:
    """Bring INBOX, which cannot be made anew, at least so many mails."""
    client = IMAPClient(there)
    with closing(client):
        if (client.exists("INBOX") or 0) < count:
            client.fill("source", mails(count), count)
            client.command("SELECT source")
            client.command("COPY 1:* INBOX")
            client.command("CLOSE")


def _figures(ours: Login, peer: Login | None, options: Options) -> Iterator[Figure]:
    count = min(options.messages, 10_000)
    for at_once in (1, 50):
        best = [1e9, 1e9]
        for _ in range(options.rounds):
            for side, there in enumerate((ours, peer)):
                if there is not None:
                    client = POP3Client(there)
                    with closing(client):
                        best[side] = min(best[side], client.retrieve(count, at_once))
        theirs = count / best[1] if peer else None
        yield Figure(f"RETR, {at_once} in flight", "/s", count / best[0], theirs, 0.8)
