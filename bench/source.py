"""A source of mail: ``python -m bench.source HOST PORT --sessions 16 --messages 1000 TO...``.

For what Postfix's ``smtp-source`` cannot do: TLS, recipients of one's own choice, many mails on
one connection.  Threads of one process, each with a connection; where the server offers
PIPELINING, a transaction takes two round trips.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Sequence

from bench.clients import connect, trusting

__all__ = ["main"]


class _Sender:
    """One connection.

    Args:
        options: What the command line said.
        body: The mail, with its final dot.
    """

    def __init__(self, options: argparse.Namespace, body: bytes) -> None:
        self._body = body
        self._mail = b"MAIL FROM:<%b>\r\n" % options.sender.encode("ascii")
        self._wire = connect(options.host, options.port)
        self._buffer = b""
        self._expect(1, b"220")
        self._say(b"EHLO bench.example\r\n", b"250")
        if options.tls:
            self._say(b"STARTTLS\r\n", b"220")
            self._wire = trusting().wrap_socket(self._wire)
            self._say(b"EHLO bench.example\r\n", b"250")
        if options.login:
            user, _, password = options.login.partition(":")
            plain = b64encode(b"\0%b\0%b" % (user.encode(), password.encode()))
            self._say(b"AUTH PLAIN %b\r\n" % plain, b"235")

    def send(self, recipients: Sequence[str]) -> None:
        """Send one mail."""
        people = b"".join(b"RCPT TO:<%b>\r\n" % one.encode("ascii") for one in recipients)
        self._wire.sendall(b"%b%bDATA\r\n" % (self._mail, people))
        self._expect(2 + len(recipients), b"354")
        self._say(self._body, b"250")

    def close(self) -> None:
        """Say goodbye."""
        self._say(b"QUIT\r\n", b"221")
        self._wire.shutdown(socket.SHUT_RDWR)
        self._wire.close()

    def _say(self, data: bytes, code: bytes) -> None:
        self._wire.sendall(data)
        self._expect(1, code)

    def _expect(self, replies: int, code: bytes) -> None:
        """Read replies; the last has to have this code."""
        line = b""
        while replies:
            while b"\r\n" not in self._buffer:
                data = self._wire.recv(65536)
                if not data:
                    raise RuntimeError("the connection was closed")
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            if line[3:4] != b"-":
                replies -= 1
        if not line.startswith(code):
            raise RuntimeError(line.decode("latin-1"))


def main(words: Sequence[str] | None = None) -> None:
    """Send, and print how long it took."""
    parser = argparse.ArgumentParser("python -m bench.source", description=__doc__)
    add = parser.add_argument
    add("host")
    add("port", type=int)
    add("recipients", nargs="+", metavar="TO")
    add("--sessions", type=int, default=1, help="connections at once")
    add("--messages", type=int, default=100, help="mails of all of them together")
    add("--size", type=int, default=4096, help="bytes of a mail")
    add("--keep", action="store_true", help="send all mails of a session over one connection")
    add("--tls", action="store_true", help="use STARTTLS")
    add("--in-turn", action="store_true", help="send each mail to the next of the recipients")
    add("--login", metavar="USER:PASSWORD", help="log in by PLAIN")
    add("--sender", default="bench@elsewhere.example", help="the reverse path (%(default)s)")
    options = parser.parse_args(words)
    line = b"x" * 78 + b"\r\n"
    text = line * max(1, (options.size - 100) // len(line))
    header = b"From: bench@elsewhere.example\r\nTo: you@example.org\r\nSubject: source\r\n\r\n"
    body = header + text + b".\r\n"
    numbers = itertools.count()
    failures: list[Exception] = []

    def work() -> None:
        sender: _Sender | None = None
        try:
            while (number := next(numbers)) < options.messages:
                sender = sender or _Sender(options, body)
                to = options.recipients
                sender.send([to[number % len(to)]] if options.in_turn else to)
                if not options.keep:
                    sender.close()
                    sender = None
            if sender is not None:
                sender.close()
        except (OSError, RuntimeError) as error:
            failures.append(error)

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(options.sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"{len(failures)} sessions failed: {failures[0]}")
    print(f"{options.messages / (time.perf_counter() - start):.1f} mails/s")


if __name__ == "__main__":
    main()
