"""Fake scanners for tests: they speak the daemons' protocols, well or badly.

A fake does as the daemon does, in the manner that a test asks for: byte by byte, late, cut short,
or with garbage::

    fake = await FakeScanner(FakeClamd()).listen(path)
    verdict = await asked(f"clamd:{fake.where}", message)
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as Connection
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailplat.message import headers
from mailplat.testing.scanners import CLEAN, EICAR, GTUBE

__all__ = [
    "FakeClamd",
    "FakeHook",
    "FakeRspamd",
    "FakeScanner",
    "FakeSpamd",
    "Manner",
]

reactor: Any = _reactor


class Manner(StrEnum):
    """How a fake answers."""

    WELL = "well"
    BYTEWISE = "a byte at a time"
    LATE = "never"
    CLOSING = "by closing at once"
    CUT = "with half of an answer"
    GARBAGE = "with garbage"
    ENDLESS = "without an end"
    EARLY = "that all is well, before it has the message"


class Dialect(Protocol):
    """One daemon's protocol, as its fake speaks it."""

    scheme: str

    def message(self, data: bytes) -> bytes | None:
        """Give the message of a request, or None while it is not complete."""

    def answer(self, message: bytes) -> bytes:
        """Answer."""


class FakeClamd:
    """As clamd does, with a limit.

    Attributes:
        limit: StreamMaxLength, in bytes.
    """

    scheme = ""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.limit = limit

    def message(self, data: bytes) -> bytes | None:
        """Take the chunks together."""
        command, _, rest = data.partition(b"\0")
        if command != b"zINSTREAM":
            return b""
        found = b""
        while len(rest) >= 4:
            size = int.from_bytes(rest[:4], "big")
            if size == 0 or len(found) + size > self.limit:
                return found + rest[4 : 4 + size]
            if len(rest) < 4 + size:
                return None
            found += rest[4 : 4 + size]
            rest = rest[4 + size :]
        return None

    def answer(self, message: bytes) -> bytes:
        """Find EICAR."""
        if len(message) > self.limit:
            return b"INSTREAM size limit exceeded. ERROR\0"
        return b"stream: Eicar-Test FOUND\0" if EICAR in message else b"stream: OK\0"


class FakeSpamd:
    """As spamd does; it asks for 5 points."""

    scheme = ""
    _command = b""

    def message(self, data: bytes) -> bytes | None:
        """Take as much as Content-length says."""
        head, empty, rest = data.partition(b"\r\n\r\n")
        size = headers.first(head + b"\r\n", b"content-length")
        if not empty or size is None or len(rest) < int(size):
            return None
        self._command = head.split()[0]
        return rest

    def answer(self, message: bytes) -> bytes:
        """Find GTUBE."""
        spam = GTUBE in message
        symbols = b"GTUBE" if spam else b""
        score = b"Spam: True ; 1000.0 / 5.0" if spam else b"Spam: False ; -0.1 / 5.0"
        if self._command == b"CHECK":
            return b"SPAMD/1.1 0 EX_OK\r\n" + score + b"\r\n\r\n"
        if self._command == b"HEADERS":
            symbols = b"X-Spam-Flag: %s\r\nSubject: hello\r\n\r\n" % (b"YES" if spam else b"NO")
        return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\n%s\r\n\r\n%s" % (
            *(len(symbols), score),
            symbols,
        )


class _FakeWeb:
    """What the fakes that speak HTTP share.

    Attributes:
        fields: Those of the last request.
        status: What is answered.
    """

    scheme = "http://"

    def __init__(self) -> None:
        self.fields = b""
        self.status = b"200 OK"

    def message(self, data: bytes) -> bytes | None:
        """Take as much as Content-Length says."""
        head, empty, rest = data.partition(b"\r\n\r\n")
        size = headers.first(head + b"\r\n", b"content-length")
        if not empty or size is None or len(rest) < int(size):
            return None
        self.fields = head + b"\r\n"
        return rest

    def answer(self, message: bytes) -> bytes:
        """Answer with JSON."""
        content = json.dumps(self.found(message)).encode()
        return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
            *(self.status, len(content)),
            content,
        )

    def found(self, message: bytes) -> Any:
        """Give the answer's content."""
        raise NotImplementedError


class FakeRspamd(_FakeWeb):
    """As rspamd does.

    Attributes:
        more: Added to every answer.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.more = more

    def found(self, message: bytes) -> Any:
        """Find GTUBE."""
        spam = GTUBE in message
        return {
            "action": "reject" if spam else "no action",
            "score": 15.0 if spam else 0.5,
            "required_score": 15.0,
            "symbols": {"GTUBE": {"score": 0.0}} if spam else {},
            "messages": {"smtp_message": "Gtube pattern"} if spam else {},
            **self.more,
        }


class FakeHook(_FakeWeb):
    """As a web service does that knows GTUBE.

    Attributes:
        asked: The requests, read.
        more: Added to every answer.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.more = more

    def found(self, message: bytes) -> Any:
        """Find GTUBE."""
        self.asked.append(json.loads(message))
        spam = GTUBE.decode() in self.asked[-1].get("message", {}).get("contents", "")
        # a service may know its clients by their tokens
        objection = "quarantine" if b"Bearer careful" in self.fields else "reject"
        return {"action": objection if spam else "accept", **self.more}


@implementer(IFileDescriptorReceiver)
class _Answering(Connection):
    """One connection to a fake."""

    def __init__(self, fake: FakeScanner) -> None:
        self._fake = fake
        self._data = b""
        self._done = False

    def connectionMade(self) -> None:
        self._fake.open.add(self)
        if self._fake.manner is Manner.CLOSING:
            self._say(b"")
        elif self._fake.manner is Manner.EARLY:
            # what a clean message gets, before there is any
            self._say(self._fake.dialect.answer(self._early()))

    def _early(self) -> bytes:
        return b'{"message": {}}' if isinstance(self._fake.dialect, FakeHook) else CLEAN

    def fileDescriptorReceived(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as file:
            answer = self._fake.dialect.answer(file.read())
        self._done = True
        self._answer(answer.replace(b"stream", b"fd[10]"))

    def dataReceived(self, data: bytes) -> None:
        if self._done:
            return
        self._data += data
        message = self._fake.dialect.message(self._data)
        if message is None or self._data.startswith(b"zFILDES"):
            return
        self._done = True
        self._fake.seen.append(message)
        self._answer(self._fake.dialect.answer(message))

    def _answer(self, answer: bytes) -> None:
        match self._fake.manner:
            case Manner.WELL if answer.startswith(b"INSTREAM"):
                wire: Any = self.transport
                wire.write(answer)  # in one process, closing would race with it
            case Manner.WELL:
                self._say(answer)
            case Manner.BYTEWISE:
                self._trickle(answer)
            case Manner.CUT:
                self._say(answer[: len(answer) // 2])
            case Manner.GARBAGE:
                self._say(b"\xff\xfe what?\r\n\r\n\0 nonsense \0" * 3)
            case Manner.ENDLESS:
                self._pour()

    def _say(self, answer: bytes) -> None:
        wire: Any = self.transport
        wire.write(answer)
        wire.loseConnection()

    def _trickle(self, answer: bytes) -> None:
        wire: Any = self.transport
        wire.write(answer[:1])
        self._fake.busy.discard(self)
        if answer and self in self._fake.open:
            self._fake.busy.add(self)
            reactor.callLater(0, self._trickle, answer[1:])
        else:
            wire.loseConnection()

    def _pour(self) -> None:
        wire: Any = self.transport
        self._fake.busy.discard(self)
        if self in self._fake.open:
            wire.write(b"x" * 65536)
            self._fake.busy.add(self)
            reactor.callLater(0, self._pour)

    def connectionLost(self, reason: Any = None) -> None:
        self._fake.open.discard(self)


class FakeScanner:
    """A fake that listens.

    Attributes:
        where: As a filter's argument says it.
        manner: How it answers; may change at any time.
        dialect: What it speaks.
        seen: The messages that it got.
        open: Its connections.
        busy: Those that are about to send.
    """

    def __init__(self, dialect: Dialect, manner: Manner = Manner.WELL) -> None:
        self.dialect = dialect
        self.manner = manner
        self.where = ""
        self.seen: list[bytes] = []
        self.open: set[Any] = set()
        self.busy: set[Any] = set()
        self._port: Any = None

    def factory(self) -> Any:
        """Make what takes connections, for a port of one's own."""
        made = Factory.forProtocol(lambda: _Answering(self))
        made.noisy = False
        return made

    async def listen(self, path: Path) -> FakeScanner:
        """Listen: on a Unix socket, or on a port where the protocol is HTTP."""
        factory = self.factory()
        if self.dialect.scheme:
            endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
            self._port = await endpoint.listen(factory)
            self.where = f"{self.dialect.scheme}127.0.0.1:{self._port.getHost().port}"
        else:
            self.where = f"unix:{path}"
            self._port = await serverFromString(reactor, self.where).listen(factory)
        return self

    async def stop(self) -> None:
        """Stop listening, and close what is open."""
        for one in list(self.open):
            one.transport.abortConnection()
        while self.open or self.busy:
            await deferLater(reactor, 0, int)
        await self._port.stopListening()
