"""Two servers on one PostgreSQL database: they hear of each other, and outlive each other."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.postgresql import PostgreSQLServer, binaries
from mailplat.testing.twistd import Installation, TwistdServer, until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n%b\r\n"


@pytest.fixture
def database(postgresql: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
    """A server of its own, which may be ended; the shared one says that there are binaries."""
    if binaries() is None:
        pytest.skip(f"{postgresql.url}: only a server that is started here may be ended")
    server = PostgreSQLServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def servers(database: PostgreSQLServer, tmp_path: Path) -> Iterator[list[TwistdServer]]:
    """Two servers with the same accounts; both run."""
    url = database.new_schema()
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(TwistdServer(Installation.make(folder, f"sql:{url}", users=3)))
    try:
        for server in made:
            server.start()
        yield made
    finally:
        for server in made:
            server.end()


def message(name: str) -> bytes:
    """A message whose end says its subject."""
    return MESSAGE % (name.encode(), name.encode())


def read_until(wire: socket.socket, pattern: bytes) -> bytes:
    """Read until something was said."""
    said = b""
    while not re.search(pattern, said):
        part = wire.recv(4096)
        assert part, said
        said += part
    return said


def test_idle_hears_the_other_server(servers: list[TwistdServer]) -> None:
    """Who idles at one server is told at once of mail that the other one took."""
    one, two = servers
    user = one.installation.users[0]
    one.send(user, message("first"))
    with contextlib.closing(two.connect("imaps", tls=True)) as wire:
        read_until(wire, rb"\* OK")
        wire.sendall(f"a LOGIN {user} {two.installation.password}\r\nb SELECT INBOX\r\n".encode())
        assert b"* 1 EXISTS" in read_until(wire, rb"b OK")
        wire.sendall(b"c IDLE\r\n")
        read_until(wire, rb"\+ ")
        for number in (2, 3, 4):
            one.send(user, message(f"n{number}"))
            begun = time.monotonic()
            read_until(wire, rb"\* %d EXISTS" % number)
            assert time.monotonic() - begun < 1
        wire.sendall(b"DONE\r\n")
        read_until(wire, rb"c OK")
    for server in servers:
        assert not server.complaints()
        server.stop()


def test_kill_one_under_load(servers: list[TwistdServer]) -> None:
    """One server is killed while both take mail: all that was acknowledged is there, once."""
    one, two = servers
    user = one.installation.users[0]
    accepted: list[str] = []
    stop = threading.Event()

    def deliver(server: TwistdServer, word: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{word}{number}"
            try:
                server.send(user, message(name))
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)
            else:
                accepted.append(name)

    threads = [
        threading.Thread(target=deliver, args=(server, f"{word}{which}-"))
        for word, server in (("x", one), ("y", two))
        for which in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(accepted) > 60)
    one.kill()
    before = len(accepted)
    until(lambda: len(accepted) > before + 40)
    stop.set()
    for thread in threads:
        thread.join()
    one.start()
    found = [Counter(_names(server, user)) for server in servers]
    assert found[0] == found[1]
    assert max(found[0].values()) == 1
    assert set(accepted) <= set(found[0])
    assert not two.complaints()


def test_database_away(servers: list[TwistdServer], database: PostgreSQLServer) -> None:
    """While the database is down mail is deferred and sessions are told; then all goes on."""
    one, two = servers
    user = one.installation.users[0]
    one.send(user, message("before"))
    with two.imap("imaps", user) as imap:
        database.crash()
        with pytest.raises(smtplib.SMTPException) as caught:
            one.send(user, message("during"))
        assert re.search(r"\b4\d\d\b", str(caught.value))
        assert imap.create("New")[0] == "NO"
        database.resume()
        until(lambda: imap.create("New")[0] == "OK")
    one.send(user, message("after"))
    for server in servers:
        assert _names(server, user) == ["before", "after"]
        assert "the database" in server.log() or "postgresql://" in server.log()
        assert "Traceback" not in server.log()
        server.stop()


def _names(server: TwistdServer, user: str) -> list[str]:
    """Give the subjects of all messages, each of which has to be whole."""
    names = []
    for body in server.bodies(user):
        name = re.search(rb"\r\nSubject: (\S+)\r\n", body)
        assert name is not None
        assert body.endswith(name[1] + b"\r\n")
        names.append(name[1].decode())
    return names
