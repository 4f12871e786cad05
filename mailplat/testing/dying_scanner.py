"""A scanner that dies, hangs, answers late or garbage, and the mail that arrives meanwhile.

The scanner speaks as clamd does.  It notes what it called clean, so that a test can tell a mail
that was scanned from one that slipped through; senders try again what is deferred, as servers do.
"""

from __future__ import annotations

import itertools
import re
import smtplib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from mailplat.testing.fake_scanners import (
    FakeClamd,
)
from mailplat.testing.scanners import (
    EICAR,
)
from mailplat.testing.twistd import Installation, TwistdServer

__all__ = ["Brought", "DyingClamd", "bring", "check_nothing_lost", "installation_under"]

_NUMBER = re.compile(rb"^X-Number: (\d+)\r$", re.MULTILINE)
_MOODS = ("well", "well", "well", "well", "late", "well", "well", "closes", "cut", "garbage")
_BAD_EVERY = 10
_LATE = 0.5
_DEAD = 0.3
_AGAIN = 0.02
_TRIES = 200


def installation_under(folder: Path, scanner: DyingClamd, *, users: int = 10) -> Installation:
    """Write the configuration of a server that asks a scanner, and defers what it cannot ask."""
    made = Installation.make(
        folder,
        "memory:",
        users=users,
        options={"smtp": "max_errors = 100000\nmax_messages = 100000"},
    )
    with made.configuration.open("a") as file:
        file.write(
            f'\n[[filter]]\nuse = "clamd:unix:{scanner.path}"\ntimeout = "2s"\nmax_failures = 0\n'
            f'[filter.options]\ntime = "{_LATE / 2}s"\n'
        )
    return made


class DyingClamd:
    """A scanner in threads of its own, between a ``with`` and its end.

    Attributes:
        path: Its socket.
        cleared: The numbers of the mails that it called clean, in time.
        deaths: How often its socket went away.
    """

    def __init__(self, path: Path, *, lifetime: int = 60) -> None:
        self.path = path
        self.cleared: set[int] = set()
        self.deaths = 0
        self._lifetime = lifetime
        self._moods = itertools.cycle(_MOODS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> DyingClamd:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _live(self) -> None:
        with ThreadPoolExecutor(40) as threads:
            while not self._over.is_set():
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(self.path))
                    listener.listen(128)
                    listener.settimeout(0.05)
                    self._listen(listener, threads)
                self.path.unlink()
                self.deaths += 1
                self._over.wait(_DEAD)

    def _listen(self, listener: socket.socket, threads: ThreadPoolExecutor) -> None:
        asked = 0
        while asked < self._lifetime and not self._over.is_set():
            with suppress(TimeoutError):
                wire, _ = listener.accept()
                asked += 1
                threads.submit(self._answer, wire, next(self._moods))

    def _answer(self, wire: socket.socket, mood: str) -> None:
        clamd, data = FakeClamd(), b""
        with wire, suppress(OSError):
            wire.settimeout(5)
            while mood != "closes":
                block = wire.recv(65536)
                data += block
                message = clamd.message(data)
                if message is not None or not block:
                    self._say(wire, mood, message or b"", clamd)
                    return

    def _say(self, wire: socket.socket, mood: str, message: bytes, clamd: FakeClamd) -> None:
        answer = clamd.answer(message)
        match mood:
            case "late":
                self._over.wait(_LATE)
            case "cut":
                answer = answer[:-3]
            case "garbage":
                answer = b"\xff" * 100 + b"\0"
            case "well" if EICAR not in message:
                number = _NUMBER.search(message)
                assert number is not None
                self.cleared.add(int(number[1]))
        wire.sendall(answer)


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of the mails.

    Attributes:
        accepted: The numbers of those that got a 250.
        refused: The numbers of those that were refused for good.
        deferred: How often one was deferred.
    """

    accepted: frozenset[int]
    refused: frozenset[int]
    deferred: int


def bring(server: TwistdServer, mails: int, *, connections: int = 10) -> Brought:
    """Send mails, each again and again until it is accepted or refused; one in ten is a virus."""
    accepted: list[int] = []
    refused: list[int] = []
    deferred: list[int] = []
    users = server.installation.users
    again = threading.Event()  # never: the wait is a server's pause before it tries again

    def send(first: int) -> None:
        with ExitStack() as stack:
            smtp = stack.enter_context(server.smtp())
            for number in range(first, mails, connections):
                for _ in range(_TRIES):
                    smtp.ehlo_or_helo_if_needed()
                    try:
                        smtp.mail("a@b.example")
                        smtp.rcpt(users[number % len(users)])
                    except smtplib.SMTPServerDisconnected:  # enough for one connection
                        smtp = stack.enter_context(server.smtp())
                        continue
                    code, _ = smtp.data(_mail(number))
                    if code == 250:
                        accepted.append(number)
                        break
                    if code >= 500:
                        refused.append(number)
                        break
                    deferred.append(number)
                    again.wait(_AGAIN)

    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(send, range(connections)))
    assert len(accepted) == len(set(accepted))
    return Brought(frozenset(accepted), frozenset(refused), len(deferred))


def _mail(number: int) -> bytes:
    text = EICAR if number % _BAD_EVERY == 0 else b"hello"
    return b"From: a@b.example\r\nX-Number: %d\r\nSubject: hi\r\n\r\n%s\r\n" % (number, text)


def check_nothing_lost(
    server: TwistdServer, scanner: DyingClamd, brought: Brought, mails: int
) -> None:
    """Make sure that every mail is there once, that all were scanned, and no virus among them.

    Raises:
        AssertionError: It is not so.
    """
    arrived: list[int] = []
    for user in server.installation.users:
        for body in server.bodies(user):
            number = _NUMBER.search(body)
            assert number is not None
            assert EICAR not in body
            arrived.append(int(number[1]))
    bad = set(range(0, mails, _BAD_EVERY))
    assert len(arrived) == len(set(arrived)), "one arrived twice"
    assert set(arrived) == brought.accepted, "one was lost"
    assert brought.accepted | brought.refused == set(range(mails)), "one was given up"
    assert brought.refused == bad, "the wrong ones were refused"
    assert brought.accepted <= scanner.cleared, "one was not scanned"
