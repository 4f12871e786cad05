"""Clients that do as little as possible, so that what is timed is the server.

They block, read in large pieces, and look at nothing but the end of an answer.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.options import Login

__all__ = ["Answer", "IMAPClient", "POP3Client", "closing", "connect", "trusting"]

_PIECE = 1 << 18


@functools.cache
def trusting() -> ssl.SSLContext:
    """Make a client's TLS that believes every certificate: of a server of our own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(host: str, port: int, *, tls: bool = False, source: str = "") -> socket.socket:
    """Open a connection that sends at once."""
    wire = socket.create_connection((host, port), 120, (source, 0) if source else None)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trusting().wrap_socket(wire) if tls else wire


@dataclass(frozen=True, slots=True)
class Answer:
    """What came until the tagged line.

    Attributes:
        seconds: From the command to there.
        data: All of it.
    """

    seconds: float
    data: bytes


class IMAPClient:
    """One IMAP connection, logged in.

    Args:
        login: Where, and as whom.
        tls: Whether TLS begins at once.
        source: The address to connect from; empty leaves the choice to the system.
    """

    def __init__(self, login: Login, *, tls: bool = False, source: str = "") -> None:
        self.wire = connect(login.host, login.port, tls=tls, source=source)
        self._number = 0
        self.wire.recv(4096)
        self.command(f"LOGIN {login.user} {login.password}")

    def command(self, line: str | bytes, *more: bytes) -> Answer:
        """Send a command and wait for its end.

        Raises:
            RuntimeError: It was not answered with OK.
        """
        self._number += 1
        tag = b"T%d " % self._number
        first = line.encode("ascii") if isinstance(line, str) else line
        sent = b"".join([tag, first, *more, b"\r\n"])
        end = b"\r\n" + tag
        chunks: list[bytes] = []
        tail = b"\r\n"
        start = time.perf_counter()
        self.wire.sendall(sent)
        while True:
            data = self.wire.recv(_PIECE)
            if not data:
                raise RuntimeError(f"the connection was closed during {first[:80]!r}")
            chunks.append(data)
            tail = (tail + data[-600:])[-600:]
            if data.endswith(b"\n") and end in tail:
                break
        seconds = time.perf_counter() - start
        if end + b"OK" not in tail:
            raise RuntimeError(f"{first[:80]!r}: {tail[tail.rfind(end) :]!r}")
        return Answer(seconds, b"".join(chunks))

    def exists(self, mailbox: str) -> int | None:
        """Count a mailbox's messages; None if it is not there."""
        try:
            said = self.command(f'STATUS "{mailbox}" (MESSAGES)').data
        except RuntimeError:
            return None
        found = re.search(rb"MESSAGES (\d+)", said)
        return int(found[1]) if found else None

    def fill(self, mailbox: str, messages: Iterable[bytes], count: int) -> None:
        """See that a mailbox has so many messages, two of three of them seen."""
        there = self.exists(mailbox)
        if there == count:
            return
        if there is not None:
            self.command(f'DELETE "{mailbox}"')
        self.command(f'CREATE "{mailbox}"')
        group: list[bytes] = []
        for number, message in enumerate(messages):
            flags = b"(\\Seen) " if number % 3 else b""
            date = b'"%02d-Jan-%d 12:00:00 +0000" ' % (1 + number % 28, 2015 + number % 11)
            group.append(b" %b%b{%d+}\r\n%b" % (flags, date, len(message), message))
            if len(group) == 500:
                self.command(f'APPEND "{mailbox}"', *group)
                group.clear()
        if group:
            self.command(f'APPEND "{mailbox}"', *group)

    def empty(self, mailbox: str) -> None:
        """Remove all messages of a mailbox."""
        said = self.command(f'SELECT "{mailbox}"').data
        if b"* 0 EXISTS" not in said:
            self.command(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
            self.command("EXPUNGE")
        self.command("CLOSE")

    def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(OSError):
            self.wire.sendall(b"Z LOGOUT\r\n")
        self.wire.close()


class POP3Client:
    """One POP3 connection, logged in.

    Attributes:
        count: Messages in the maildrop.
    """

    def __init__(self, login: Login) -> None:
        self._wire = connect(login.host, login.port)
        self._wire.recv(4096)
        for line in (f"USER {login.user}", f"PASS {login.password}"):
            self._say(line)
        self.count = int(self._say("STAT").split()[1])

    def _say(self, line: str) -> bytes:
        self._wire.sendall(line.encode("ascii") + b"\r\n")
        said = self._wire.recv(4096)
        if not said.startswith(b"+OK"):
            raise RuntimeError(f"{line.split()[0]}: {said!r}")
        return said

    def retrieve(self, count: int, at_once: int) -> float:
        """RETR messages, some in flight at once; give the seconds that it took."""
        start = time.perf_counter()
        sent = min(at_once, count)
        got = 0
        tail = b""
        self._wire.sendall(b"".join(b"RETR %d\r\n" % number for number in range(1, sent + 1)))
        while got < count:
            data = self._wire.recv(_PIECE)
            if not data:
                raise RuntimeError("the connection was closed")
            both = tail + data
            ends = both.count(b"\r\n.\r\n")
            tail = b"" if both.endswith(b"\r\n.\r\n") else both[-4:]
            got += ends
            more = min(count - sent, ends)
            if more:
                numbers = range(sent + 1, sent + more + 1)
                self._wire.sendall(b"".join(b"RETR %d\r\n" % number for number in numbers))
                sent += more
        return time.perf_counter() - start

    def close(self) -> None:
        """Say goodbye, and wait until the maildrop is free again."""
        with contextlib.suppress(OSError):
            self._wire.sendall(b"QUIT\r\n")
            while self._wire.recv(4096):
                pass
        self._wire.close()


@contextlib.contextmanager
def closing(*clients: IMAPClient | POP3Client | None) -> Iterator[None]:
    """Close clients at the end, whatever happens."""
    try:
        yield
    finally:
        for client in clients:
            if client is not None:
                client.close()
