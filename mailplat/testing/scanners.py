"""Scanners for tests: fakes that speak the daemons' protocols, well or badly, and a contract.

A fake does as the daemon does, in the manner that a test asks for: byte by byte, late, cut short,
or with garbage.  `ScannerContract` runs against a fake and against the real daemon alike.

    fake = await FakeScanner.listening(reactor, FakeClamd(), path)
    verdict = await asked(f"clamd:{fake.where}", message)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as Connection
from twisted.internet.task import deferLater
from twisted.plugin import getPlugins
from zope.interface import implementer

from mailplat import plugins
from mailplat.config.structure import structure_part
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, Mail
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.message import headers
from mailplat.message.edit import edit_header
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action, Verdict
from mailplat.spool.intake import Intakes, MemoryBody
from mailplat.testing.bodies import taken
from mailplat.testing.turns import started

__all__ = [
    "CLEAN",
    "EICAR",
    "GTUBE",
    "FakeClamd",
    "FakeHook",
    "FakeRspamd",
    "FakeScanner",
    "FakeSpamd",
    "Manner",
    "ScannerContract",
    "Under",
    "asked",
    "context",
    "mail_of",
    "mail_with",
    "make_scanner",
]

reactor: Any = _reactor

# in pieces, so that no scanner on the developer's machine takes this file away
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-" + b"UBE-TEST-EMAIL*C.34X"
CLEAN = b"Dinner at eight?"
_HEAD = (
    b"From: Alice <alice@elsewhere.example>\r\nTo: bob@example.org\r\nSubject: hello\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@elsewhere.example>\r\n"
)


def mail_with(text: bytes, *, size: int = 0, fields: bytes = b"") -> bytes:
    """Make a message with a line of text, behind an attachment of so many bytes."""
    if not size:
        return _HEAD + fields + b"\r\n" + text + b"\r\n"
    lines = b"the quick brown fox jumps over the lazy dog\r\n" * (size // 45 + 1)
    parts = [
        b"Content-Type: application/octet-stream\r\n\r\n" + lines,
        b"Content-Type: text/plain\r\n\r\n" + text + b"\r\n",
    ]
    kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="cut"\r\n\r\n'
    whole = b"".join(b"--cut\r\n" + part for part in parts)
    return _HEAD + fields + kind + whole + b"--cut--\r\n"


def mail_of(body: IBody, header: bytes) -> Mail:
    """Make what a filter is asked about."""
    sender = Sender(Address("alice", "elsewhere.example"))
    recipient = Recipient(Address("bob", "example.org"))
    return Mail("q1", Envelope(sender, (recipient,)), header, body)


def context() -> Context:
    """Make a connection."""
    peer = Peer("192.0.2.1", 4000, "192.0.2.25", 25)
    made = Context("s1", "smtp", peer, helo="mail.elsewhere.example")
    made.sender = Sender(Address("alice", "elsewhere.example"))
    return made


def make_scanner(use: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make a filter as a configuration names it, with its own options as in TOML."""
    prefix, _, argument = use.partition(":")
    plugin: Any
    (plugin,) = (one for one in getPlugins(IFilterPlugin, plugins) if one.prefix == prefix)
    read = structure_part(dict(options or {}), plugin.options(), Path(), {})
    return plugin.filter(prefix, argument, FilterSettings(reactor, "mx.example.org", options=read))


async def asked(
    use: str,
    message: bytes,
    *,
    options: Mapping[str, Any] | None = None,
    directory: Path | None = None,
    mail: Callable[[Mail], Mail] | None = None,
) -> Verdict:
    """Ask a filter about a message.

    Args:
        use: As it stands in the configuration: ``clamd:unix:/run/clamd``.
        message: The bytes.
        options: The filter's own.
        directory: Where the message is put into a file; None keeps it in memory.
        mail: Changes what the filter is told.
    """
    header, _ = headers.split(message)
    body: IBody = MemoryBody(message)
    if directory is not None:
        intake = Intakes(reactor, str(directory), spill=1000).open_intake()
        body = await taken(
            intake, [message[at : at + 65000] for at in range(0, len(message), 65000)]
        )
    what = mail_of(body, header)
    scanner = make_scanner(use, options)
    try:
        verdict: Verdict = await scanner.open().message(context(), mail(what) if mail else what)
    finally:
        body.close()
        if hasattr(scanner, "close"):
            await scanner.close()
    return verdict


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


@dataclass(frozen=True, slots=True)
class Under:
    """What the contract is run against.

    Attributes:
        use: The filter, as a configuration has it.
        bad: A line that it objects to.
        quarantine: Options that make it put such mail into quarantine.
        field: The field that it writes; ``""`` for none.
    """

    use: str
    bad: bytes
    quarantine: Mapping[str, Any]
    field: str = ""


class ScannerContract:
    """What a filter does that asks a scanner.

    A subclass adds the fixture ``under``.
    """

    @pytest_twisted.ensureDeferred
    async def test_clean_mail_passes(self, under: Under) -> None:
        """Mail that there is nothing against goes on."""
        assert (await asked(under.use, mail_with(CLEAN))).action is Action.CONTINUE

    @pytest_twisted.ensureDeferred
    async def test_bad_mail_is_refused(self, under: Under) -> None:
        """Mail that the scanner objects to is refused for good, with a reason for the log."""
        verdict = await asked(under.use, mail_with(under.bad))
        assert verdict.action is Action.REJECT
        assert verdict.reply is not None
        assert verdict.reply.permanent
        assert verdict.reason

    @pytest_twisted.ensureDeferred
    async def test_bad_mail_is_put_aside(self, under: Under) -> None:
        """It goes into quarantine instead where the operator wants it."""
        verdict = await asked(under.use, mail_with(under.bad), options=under.quarantine)
        assert verdict.action is Action.QUARANTINE

    @pytest.mark.parametrize("size", [70_000, 900_000])
    @pytest_twisted.ensureDeferred
    async def test_all_of_a_large_message(self, under: Under, size: int, tmp_path: Path) -> None:
        """The last line of a large message in a file is scanned too."""
        for text, action in ((CLEAN, Action.CONTINUE), (under.bad, Action.REJECT)):
            message = mail_with(text, size=size)
            assert (await asked(under.use, message, directory=tmp_path)).action is action

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, under: Under) -> None:
        """Each of many messages gets its own verdict."""
        texts = [under.bad if number % 3 == 0 else CLEAN for number in range(30)]
        verdicts = await gatherResults(started(asked(under.use, mail_with(one))) for one in texts)
        assert [one.action is Action.REJECT for one in verdicts] == [
            one == under.bad for one in texts
        ]

    @pytest_twisted.ensureDeferred
    async def test_too_large_for_us(self, under: Under) -> None:
        """What is above the limit gets the operator's verdict, a deferral if nothing is said."""
        options = {"max_size": 1000}
        message = mail_with(CLEAN, size=2000)
        assert (await asked(under.use, message, options=options)).action is Action.DEFER
        for word in ("reject", "quarantine", "continue"):
            verdict = await asked(under.use, message, options={**options, "on_oversize": word})
            assert verdict.action.name == word.upper()

    @pytest_twisted.ensureDeferred
    async def test_forged_fields_go(self, under: Under) -> None:
        """What the sender wrote into our field is not there any more."""
        if not under.field:  # nothing to forge
            return
        message = mail_with(CLEAN, fields=f"{under.field}: forged\r\n".encode())
        verdict = await asked(under.use, message)
        header = edit_header(headers.split(message)[0], verdict.changes)
        values = headers.every(header, under.field.encode())
        assert len(values) <= 1
        assert b"forged" not in values
