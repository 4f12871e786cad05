"""Time-outs and limits of a server whose operator set them low."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.twistd import PORTS, Installation, TwistdServer, until

OPTIONS = {
    "limits": 'handshake_timeout = "1s"\nstall_timeout = "1s"\nclose_timeout = "1s"\n'
    "connections = 60",
    "smtp": 'idle_timeout = "1s"\nblock_timeout = "1s"',
    "pop3": 'idle_timeout = "1s"\nlogin_timeout = "1s"',
    "imap": 'idle_timeout = "1s"\nlogin_timeout = "1s"\nidle_notice = "1s"',
}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwistdServer]:
    """A server that waits for a second at most."""
    folder: Path = tmp_path_factory.mktemp("impatient")
    server = TwistdServer(Installation.make(folder, "memory:", users=5, options=OPTIONS))
    try:
        server.start()
        yield server
        server.stop()
        assert not server.complaints()
    finally:
        server.end()


def rest(wire: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while more := wire.recv(65536):
            said += more
    return said


def test_who_is_silent_is_told_and_left(impatient: TwistdServer) -> None:
    """At every stage of a dialogue: a goodbye that says why, where there is a way to say it."""
    server, user = impatient, impatient.installation.users[0].encode()
    password = server.installation.password.encode()
    mail = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n" % user
    cases = [
        ("smtp", False, b"", b"421 4.4.2"),
        ("smtp", False, b"EHLO me\r\nMAIL FR", b"421 4.4.2"),
        ("smtp", False, mail[:-6], b"421 4.4.2"),
        ("smtp", False, mail + b"Subject: half", b"421 4.4.2"),
        ("smtp", False, mail + b"Subject: x\r\n\r\n.\r", b"421 4.4.2"),
        ("smtp", False, mail[:-6] + b"BDAT 10 LAST\r\nhalf", b"421 4.4.2"),
        ("smtp", False, mail[:-6] + b"BDAT 4\r\nhalf", b"421 4.4.2"),
        ("submission", False, b"EHLO me\r\nSTARTTLS\r\n", b"220 2.0.0"),
        ("submissions", False, b"\x16\x03", b""),
        ("submissions", True, b"EHLO me\r\nAUTH PLAIN\r\n", b"421 4.4.2"),
        ("pop3", False, b"CAPA\r\n", b""),
        ("pop3s", True, b"USER %b\r\nPASS %b\r\nSTAT\r\n" % (user, password), b""),
        ("imap", False, b"a CAPABILITY\r\n", b"* BYE "),
        ("imaps", True, b"a LOGIN {5}\r\nab", b"* BYE "),
        ("imaps", True, b"a LOGIN %b %b\r\nb APPEND INBOX {9}\r\nab" % (user, password), b"* BYE "),
    ]
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        wires = []
        for name, tls, said, _ in cases:
            wire = stack.enter_context(server.connect(name, tls=tls))
            wire.sendall(said)
            wires.append(wire)
        for wire, (name, _, asked, goodbye) in zip(wires, cases, strict=True):
            assert goodbye in rest(wire), (name, asked)
    assert time.monotonic() - begun < 8
    assert server.bodies(user.decode()) == []


def test_idle_is_no_silence(impatient: TwistdServer) -> None:
    """Who idles is not left, and hears now and then that the server is there (RFC 2177)."""
    server, user = impatient, impatient.installation.users[1]
    password = server.installation.password
    with server.connect("imaps", tls=True) as wire, wire.makefile("rb") as lines:
        wire.sendall(f"a LOGIN {user} {password}\r\nb SELECT INBOX\r\nc IDLE\r\n".encode())
        while not lines.readline().startswith(b"+ "):
            pass
        for _ in range(2):
            assert lines.readline().startswith(b"* OK")
        wire.sendall(b"DONE\r\nd LOGOUT\r\n")
        assert b"d OK" in lines.read()


def test_who_does_not_read_is_left(impatient: TwistdServer) -> None:
    """A full buffer that nobody reads ends the connection after its time."""
    with impatient.connect("pop3") as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(5)

        def fill() -> None:
            while True:
                wire.sendall(b"CAPA\r\n" * 1000)

        with pytest.raises(ConnectionError):
            fill()


def test_a_burst_of_connections_is_served_at_once(server: TwistdServer) -> None:
    """None waits for its first packet to be sent again, which takes a second."""
    durations = []
    for _ in range(3):  # the machine may be busy: once is enough
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(server.connect("smtp")) for _ in range(400)]
            for wire in wires:
                assert wire.recv(4) == b"220 "
        durations.append(time.monotonic() - begun)
    assert min(durations) < 0.9


def test_one_connection_too_many_is_told_so(impatient: TwistdServer) -> None:
    """Those over the limit hear why; when others leave there is room again."""
    server = impatient
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.connect("smtp")) for _ in range(60)]
        for wire in wires:
            assert wire.recv(4) == b"220 "
        words = {
            "smtp": b"421 4.7.0",
            "submission": b"421 4.7.0",
            "pop3": b"-ERR",
            "imap": b"* BYE",
        }
        for name in PORTS:
            said = b""
            with contextlib.suppress(ConnectionError), server.connect(name) as wire:
                said = rest(wire)
            assert said.startswith(words.get(name, b"")), said

    def welcome() -> bool:
        with server.connect("imap") as wire:
            return wire.recv(4) == b"* OK"

    until(welcome)
