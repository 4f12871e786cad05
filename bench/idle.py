"""Sessions that idle: what memory each takes in the server, in clear and under TLS."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bench.clients import IMAPClient
from bench.figures import Figure, Table
from bench.options import Login, Options
from bench.server import login, serving

__all__ = ["idle", "measure"]


def measure(options: Options) -> Iterator[Table]:
    """Open sessions on our SQL store, and fewer on the peer."""
    few = min(options.sessions, 1000)
    figures = []
    for tls, listener, peer in (
        (False, "imap", options.peer_imap),
        (True, "imaps", options.peer_imaps),
    ):
        with serving(options, "sql") as server:
            people = [login(server, listener, user) for user in range(100)]
            pattern = re.compile(re.escape(str(server.installation.configuration)))
            ours = _memory(people, options.sessions, pattern, tls=tls)
        theirs = None
        if peer is not None:
            stem = peer.user.rstrip("0123456789")
            people = [
                Login(peer.host, peer.port, f"{stem}{n}", peer.password) for n in range(1, 100)
            ]
            pattern = re.compile(options.peer_processes)
            _settle(pattern, options)
            theirs = _memory(people, few, pattern, tls=tls)
        figures.append(Figure("under TLS" if tls else "in clear", "KiB", ours, theirs))
    yield Table(
        f"Memory of an idle IMAP session, of {options.sessions:,}",
        options.command("idle"),
        figures,
        note=f"Proportional set size of all the server's processes; the peer has {few:,} "
        "sessions. An INBOX without mail is selected.",
    )


def _settle(pattern: re.Pattern[str], options: Options) -> None:
    """Wait until processes of earlier sessions are gone."""
    last = _resident(pattern)
    for _ in range(0 if options.small else 15):
        time.sleep(6)
        now = _resident(pattern)
        if now > 0.99 * last:
            break
        last = now


def _memory(people: list[Login], count: int, pattern: re.Pattern[str], *, tls: bool) -> float:
    """Give the KiB that a session takes."""
    warm = idle(people[0], tls=tls)  # what the first session loads is nobody's
    before = _resident(pattern)
    clients = [warm]
    try:
        for number in range(count):
            source = f"127.0.{1 + number // 20_000}.{1 + number % 200}"
            clients.append(idle(people[number % len(people)], tls=tls, source=source))
        return (_resident(pattern) - before) / count
    finally:
        for client in clients:
            client.wire.close()


def idle(there: Login, *, tls: bool = False, source: str = "") -> IMAPClient:
    """Open a session that idles on INBOX."""
    client = IMAPClient(there, tls=tls, source=source)
    client.command("SELECT INBOX")
    client.wire.sendall(b"I IDLE\r\n")
    if not client.wire.recv(4096).startswith(b"+"):
        raise RuntimeError("the server does not idle")
    return client


def _resident(pattern: re.Pattern[str]) -> int:
    """Add up the memory of processes by their command lines, in KiB."""
    total = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
            if pattern.search(line.strip()):
                roll = (process / "smaps_rollup").read_text()
                total += int(re.findall(r"^Pss:\s+(\d+)", roll, re.MULTILINE)[0])
        except (OSError, IndexError):
            continue  # it ended meanwhile
    return total
