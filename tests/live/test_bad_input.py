"""What no client should send, against a running server.

It answers or ends the connection, its memory stays bounded, and everybody else is served as if
nothing had happened.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from mailplat.testing.twistd import PORTS, TwistdServer, until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\nx\r\n"

GROWTH = 64 * 1024 * 1024
"""Bytes that a server's memory may grow by, whatever is sent to it."""

CLEAR = ["smtp", "submission", "pop3", "imap"]

ENOUGH = 10.0
"""Seconds in which an undisturbed client is served; much less than any time-out."""


@pytest.fixture(autouse=True)
def unimpressed(server: TwistdServer, user: str) -> Iterator[None]:
    """After each test the server takes mail and gives it out, promptly, in bounded memory."""
    memory = server.memory()
    yield
    begun = time.monotonic()
    server.send(user, MESSAGE % b"still here")
    with server.pop3("pop3s", user) as pop3:
        assert pop3.stat()[0] >= 1
    assert server.bodies(user)[-1].endswith(MESSAGE % b"still here")
    assert time.monotonic() - begun < ENOUGH
    assert server.memory() - memory < GROWTH


def talk(server: TwistdServer, name: str, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes, end our side, and give all that the server says until it ends its own.

    A connection that the server resets while we still send is an answer too.
    """
    said = b""
    with server.connect(name) as wire:
        wire.settimeout(ENOUGH)
        with contextlib.suppress(OSError):
            wire.sendall(data)
            if end:
                wire.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while more := wire.recv(65536):
                said += more
    return said


REFUSALS = {
    "smtp": b"\r\n500 5.5",
    "submission": b"\r\n500 5.5",
    "pop3": b"\r\n-ERR",
    "imap": b"BAD",
}
GOODBYES = {"smtp": b"\r\n221 ", "submission": b"\r\n221 ", "pop3": b"\r\n+OK", "imap": b"* BYE"}
QUITS = {
    "smtp": b"QUIT\r\n",
    "submission": b"QUIT\r\n",
    "pop3": b"QUIT\r\n",
    "imap": b"z LOGOUT\r\n",
}


WRONG = [
    b"FROBNICATE now\r\n",
    b"\r\n",
    b"   \r\n",
    b"a\0b\r\n",
    b"caf\xc3\xa9 \xff\xfe\r\n",
    b"x FROBNICATE (((((\r\n",
    b'x LOGIN "never closed\r\n',
    b"x LOGIN (a b\r\n",
    b"x SELECT\r\n",
    b"x SEARCH ALL\r\n",
    b"MAIL FROM:<<>>\r\n",
    b"RETR 99999999999999999999\r\n",
    b"{5}\r\n",
]


@pytest.mark.parametrize("name", CLEAR)
def test_a_wrong_command_is_refused_and_the_next_is_heard(server: TwistdServer, name: str) -> None:
    """One clear error, and the conversation goes on."""
    for line in WRONG:
        said = talk(server, name, line + QUITS[name])
        refused = any(words in said for words in REFUSALS[name])
        # IMAP passes over an empty line, as others do
        assert refused or (name == "imap" and not line.strip()), (line, said)
        assert GOODBYES[name] in said, (line, said)


@pytest.mark.parametrize("name", CLEAR)
def test_a_line_of_a_megabyte_is_never_kept(server: TwistdServer, name: str) -> None:
    """It is refused, and the connection goes on or ends."""
    for filler in (b"x", b"\0", b"A1 ", b"(", b'"', b"\xff"):
        said = talk(server, name, filler * (1024 * 1024 // len(filler)) + b"\r\n" + QUITS[name])
        assert said.count(b"\r\n") >= 2, (filler, said)
        assert len(said) < 4096, (filler, said)


@pytest.mark.parametrize("name", CLEAR)
def test_a_line_that_never_ends_is_not_kept_either(server: TwistdServer, name: str) -> None:
    """Without a line end the connection ends with our side of it."""
    said = talk(server, name, b"x" * 1024 * 1024)
    assert said.endswith(b"\r\n")
    assert len(said) < 4096


@pytest.mark.parametrize("name", CLEAR)
def test_junk(server: TwistdServer, name: str) -> None:
    """Binary junk, the same every time, with line ends in it and without."""
    for seed in range(8):
        junk = random.Random(seed).randbytes(64 * 1024)
        said = talk(server, name, junk)
        assert said.endswith(b"\r\n")
        assert len(said) < 65536


@pytest.mark.parametrize("name", ["submissions", "pop3s", "imaps"])
def test_junk_instead_of_tls(server: TwistdServer, name: str) -> None:
    """What is no handshake ends the connection."""
    for junk in (b"EHLO me\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, random.randbytes(5000)):
        talk(server, name, junk)


def test_bare_feeds_never_end_a_command(server: TwistdServer, user: str) -> None:
    """Only CRLF does: nothing can be smuggled behind an LF or a CR."""
    rcpt = b"RCPT TO:<%b>" % user.encode()
    said = talk(server, "smtp", b"EHLO me\nMAIL FROM:<a@elsewhere.example>\n" + rcpt + b"\nDATA\n")
    assert b"354" not in said
    said = talk(server, "smtp", b"EHLO me\r\nNOOP\rMAIL FROM:<>\r\nQUIT\r\n")
    assert b"Sender ok" not in said
    smuggled = b"x\r\n%b.%bMAIL FROM:<b@elsewhere.example>\r\n" + rcpt + b"\r\nDATA\r\nsmuggled"
    for ends in ((b"\n", b"\n"), (b"\r", b"\r"), (b"\n", b"\r\n"), (b"\r\n", b"\n")):
        talk(
            server,
            "smtp",
            b"EHLO me\r\nMAIL FROM:<a@elsewhere.example>\r\n" + rcpt + b"\r\nDATA\r\n"
            b"Subject: only one\r\n\r\n" + smuggled % ends + b"\r\n.\r\nQUIT\r\n",
        )
    bodies = server.bodies(user)
    assert len(bodies) == 4
    assert all(b"Subject: only one" in body and b"smuggled" in body for body in bodies)


def test_imap_literals_and_parentheses_out_of_balance(server: TwistdServer, user: str) -> None:
    """Each is BAD, and the next command is read from where it begins."""
    password = server.installation.password.encode()
    with server.connect("imaps", tls=True) as wire, wire.makefile("rb") as lines:
        lines.readline()

        def ask(data: bytes, tag: bytes = b"a") -> bytes:
            wire.sendall(data)
            said = b""
            while not said.rpartition(b"\r\n" + tag)[1] and not said.startswith(tag + b" "):
                line = lines.readline()
                assert line, said
                said += line
                if line.startswith((tag + b" ", b"* BYE")):
                    break
            return said

        assert b"a OK" in ask(b"a LOGIN %b %b\r\n" % (user.encode(), password))
        assert b"a OK" in ask(b"a SELECT INBOX\r\n")
        for wrong in (
            b"a FETCH 1 (FLAGS\r\n",
            b"a FETCH 1 FLAGS)\r\n",
            b"a FETCH 1 ((FLAGS))\r\n",
            b"a FETCH 0 FLAGS\r\n",
            b"a FETCH 1:99999999999 FLAGS\r\n",
            b"a FETCH 1 BODY[\r\n",
            b"a FETCH 1 BODY[1.HEADER.FIELDS (]\r\n",
            b"a SEARCH " + b"(" * 500 + b"ALL" + b")" * 500 + b"\r\n",
            b"a SEARCH CHARSET x-none ALL {3+}\r\nabc\r\n",
            b"a LOGIN {3+}\r\nabc\r\n",
            b"a STORE 1 +FLAGS (\\Seen\r\n",
            b"a APPEND INBOX {99999999999999999999}\r\n",
            b"a APPEND INBOX (\\Seen {5}\r\n",
            b"a CREATE {0+}\r\n\r\n",
            b'a LIST "" {100000000}\r\n',
        ):
            said = ask(wrong)
            assert b"a BAD" in said or b"a NO" in said, (wrong[:60], said)
            assert b"a OK" in ask(b"a NOOP\r\n")
        assert b"\r\na OK" in ask(b"a SEARCH " + b"NOT " * 5000 + b"ALL\r\n")


@pytest.mark.parametrize("size", [b"{4000000000+}", b"{100000000+}"])
def test_an_endless_literal_is_not_kept(server: TwistdServer, size: bytes) -> None:
    """Before log-in nobody may send much, not even what is thrown away."""
    said = talk(server, "imap", b"a LOGIN " + size + b"\r\n" + b"x" * 2_000_000, end=False)
    assert b"BAD" in said or b"BYE" in said


def test_a_hundred_thousand_recipients(server: TwistdServer, user: str) -> None:
    """Too many errors end the connection long before."""
    rcpt = b"RCPT TO:<%b>\r\n" % user.encode()
    said = talk(server, "smtp", b"EHLO me\r\nMAIL FROM:<>\r\n" + rcpt * 100_000 + b"QUIT\r\n")
    assert said.count(b"\r\n250 2.1.5") == 1000
    assert b"\r\n452 4.5.3" in said
    unknown = b"RCPT TO:<nobody@example.org>\r\n"
    said = talk(server, "smtp", b"EHLO me\r\nMAIL FROM:<>\r\n" + unknown * 100_000 + b"QUIT\r\n")
    assert said.count(b"\r\n550 5.1.1") < 50
    assert b"\r\n421 4.7.0" in said


@pytest.mark.parametrize(
    ("name", "line"), [("smtp", b"NOOP\r\n"), ("pop3", b"CAPA\r\n"), ("imap", b"a NOOP\r\n")]
)
def test_endless_pipelining_of_a_client_that_never_reads(
    server: TwistdServer, name: str, line: bytes
) -> None:
    """The server reads no more than it can answer; meanwhile others are served."""
    with server.connect(name) as wire:
        wire.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 64 * 1024 * 1024:
                sent += wire.send(line * 10_000)
        assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize("name", sorted(PORTS))
def test_silence_disturbs_nobody(server: TwistdServer, user: str, name: str) -> None:
    """Fifty connections that say nothing, shake half a hand, or close half."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.connect(name)) for _ in range(50)]
        hello = client_hello(server)
        for number, wire in enumerate(wires):
            if number % 3 == 1:
                wire.sendall(hello[: 40 + number] if name.endswith("s") else b"EHL")
            elif number % 3 == 2:
                wire.shutdown(socket.SHUT_WR)
        server.send(user, MESSAGE % b"meanwhile")


def client_hello(server: TwistdServer) -> bytes:
    """Make what a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def reset(wire: socket.socket) -> None:
    """Close a connection by RST."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def dialogues(user: str, password: str) -> dict[str, bytes]:
    """Give a whole dialogue for each protocol, all of it sent at once."""
    mail = b"MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % user.encode()
    return {
        "smtp": b"EHLO me\r\n" + mail + b"Subject: cut\r\n\r\nbody\r\n.\r\n" + mail + b"Subj",
        "pop3s": b"USER %b\r\nPASS %b\r\nSTAT\r\nUIDL\r\nRETR 1\r\nDELE 1\r\nNOOP\r\n"
        % (user.encode(), password.encode()),
        "imaps": b"a LOGIN %b %b\r\nb SELECT INBOX\r\nc FETCH 1:* BODY[]\r\n"
        b"d APPEND INBOX {20+}\r\nSubject: cut\r\n\r\nbody\r\ne IDLE\r\nDONE\r\n"
        % (user.encode(), password.encode()),
    }


def test_chunks_that_lie(server: TwistdServer, user: str) -> None:
    """Too few bytes, too many, or a size that nobody can read: no mail comes of it."""
    envelope = b"EHLO me\r\nMAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<%b>\r\n" % user.encode()
    smuggled = b"RSET\r\n" + envelope[9:] + b"DATA\r\nsmuggled\r\n.\r\n"
    for size in (len(smuggled) + 1, 4 * 1024 * 1024, 4_000_000_000, 10**18):
        said = talk(server, "smtp", envelope + b"BDAT %d LAST\r\n" % size + smuggled)
        assert said.count(b"\r\n250 2.1.5") == 1, (size, said)
        assert b"354" not in said, (size, said)
    for word in (b"99999999999999999999 LAST", b"-1 LAST", b"0x10", b"5 FIRST", b""):
        said = talk(server, "smtp", envelope + b"BDAT %b\r\n" % word + smuggled)
        assert b"\r\n501 5.5.4" in said, (word, said)
        assert b"354" not in said, (word, said)
    said = talk(server, "smtp", envelope + b"BDAT 0\r\nBDAT 2\r\nxyz\r\n" + b"FROB\r\n" * 30)
    assert b"\r\n500 5.5.1" in said
    assert server.bodies(user) == []


def test_a_message_with_a_line_of_megabytes(server: TwistdServer, user: str) -> None:
    """It is drained to its end and refused, and the connection goes on."""
    mail = b"MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % user.encode()
    for filler in (b"x", b".", b"\0"):
        body = filler * (3 * 1024 * 1024) + b"\r\n.\r\n"
        said = talk(server, "smtp", b"EHLO me\r\n" + mail + body + b"NOOP\r\nQUIT\r\n")
        assert b"\r\n550 5.6.0" in said, said
        assert said.endswith(b"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"), said
    assert server.bodies(user) == []


@pytest.mark.parametrize("name", ["smtp", "pop3s", "imaps"])
def test_resets_at_many_points(server: TwistdServer, user: str, name: str) -> None:
    """However a connection is cut, nothing is left behind by it, and no mail is harmed."""
    server.send(user, MESSAGE % b"first")
    dialogue = dialogues(user, server.installation.password)[name]
    for cut in range(1, len(dialogue), 1 if name == "smtp" else 5):
        wire = server.connect(name, tls=name.endswith("s"))
        try:
            wire.sendall(dialogue[:cut])
            if cut % 2:
                wire.recv(1)
        finally:
            reset(wire)

    def free() -> bool:
        """The maildrop is not locked any more."""
        with contextlib.suppress(Exception), server.pop3("pop3s", user) as pop3:
            return pop3.stat()[0] > 0
        return False

    until(free)
    assert server.bodies(user)[0].endswith(MESSAGE % b"first")


def test_tls_drops_what_was_pipelined_behind_it(server: TwistdServer, user: str) -> None:
    """Commands sent in clear behind STARTTLS are never obeyed (RFC 3207 §4.2)."""
    injected: dict[str, tuple[bytes, bytes, Callable[[bytes], bool]]] = {
        "smtp": (b"EHLO me\r\n", b"STARTTLS\r\nEHLO injected\r\nNOOP\r\n", lambda s: b"250" in s),
        "pop3": (b"CAPA\r\n", b"STLS\r\nUSER %b\r\n" % user.encode(), lambda s: b"+OK" in s),
        "imap": (b"", b"a STARTTLS\r\nb CAPABILITY\r\n", lambda s: b"b OK" in s),
    }
    for name, (before, line, obeyed) in injected.items():
        with server.connect(name) as wire:
            wire.settimeout(ENOUGH)
            wire.sendall(before + line)
            said = b""
            go = {"smtp": b"220 2.0.0", "pop3": b"+OK Begin TLS", "imap": b"a OK"}[name]
            while go not in said or not said.endswith(b"\r\n"):
                more = wire.recv(65536)
                assert more, said
                said += more
            try:
                secured = server.trust.wrap_socket(wire, server_hostname="localhost")
            except (ssl.SSLError, OSError):
                continue  # ended, which is as good
            with secured:
                secured.settimeout(0.3)
                said = b""
                with contextlib.suppress(TimeoutError):
                    said = secured.recv(65536)
                assert not obeyed(said), (name, said)
