"""A mail for a mailbox that many sessions watch: when does the last of them know?"""

from __future__ import annotations

import select
import smtplib
import time
from collections.abc import Iterator

from bench.clients import IMAPClient
from bench.figures import Figure, Table
from bench.idle import idle
from bench.options import Login, Options
from bench.server import login, serving

__all__ = ["measure"]


def measure(options: Options) -> Iterator[Table]:
    """Deliver one mail a round to a mailbox on which all sessions idle."""
    count = min(options.sessions, 1000)
    with serving(options, "sql") as server:
        there = login(server, "imap")
        recipient = there.user
        elsewhere = [
            idle(
                login(server, "imap", 1 + number % 99),
                source=f"127.0.{2 + number // 20_000}.{1 + number % 200}",
            )
            for number in range(options.sessions - count)
        ]
        try:
            ours = _best(there, ("127.0.0.1", server.installation.port("smtp")), recipient, count)
        finally:
            for client in elsewhere:
                client.wire.close()
    theirs = None
    if options.peer_imap is not None and options.peer_smtp:
        relay = options.peer_smtp[0]
        user = f"{relay.users}99"
        there = Login(
            options.peer_imap.host, options.peer_imap.port, user, options.peer_imap.password
        )
        theirs = _best(there, (relay.host, relay.port), f"{user}@{relay.domain}", count)
    figure = Figure("from the final dot to the last EXISTS", "ms", ours, theirs)
    yield Table(
        f"A mail reaches {count:,} sessions that idle on one mailbox",
        options.command("watched"),
        [figure],
        note="Best of three; wanted is less than 1,000 ms for 1,000 sessions. On our side "
        f"{options.sessions - count:,} more idle on other mailboxes.",
    )


def _best(there: Login, smtp: tuple[str, int], recipient: str, count: int) -> float:
    clients: list[IMAPClient] = []
    try:
        for number in range(count):
            clients.append(idle(there, source=f"127.0.1.{1 + number % 200}"))
        return min(_arrival(clients, smtp, recipient) for _ in range(3))
    finally:
        for client in clients:
            client.wire.close()


def _arrival(clients: list[IMAPClient], smtp: tuple[str, int], recipient: str) -> float:
    """Give the milliseconds from the mail's end to the last client's news."""
    poll = select.epoll()
    by_descriptor = {client.wire.fileno(): client for client in clients}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    waiting = set(by_descriptor)
    with smtplib.SMTP(*smtp) as sender:
        sender.ehlo()
        sender.mail("bench@elsewhere.example")
        sender.rcpt(recipient)
        sender.docmd("DATA")
        start = time.perf_counter()
        sender.send(b"Subject: watched\r\n\r\nnew\r\n.\r\n")
        while waiting:
            ready = poll.poll(60)
            if not ready:
                raise RuntimeError(f"{len(waiting)} sessions were told nothing")
            for descriptor, _ in ready:
                if b"EXISTS" in by_descriptor[descriptor].wire.recv(4096):
                    waiting.discard(descriptor)
        taken = time.perf_counter() - start
        sender.getreply()
    poll.close()
    return 1000 * taken
