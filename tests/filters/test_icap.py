"""The filter that asks an ICAP service: previews, answers on the way, changed messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from mailplat.message import headers
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import Action, AddHeader, ReplaceBody
from mailplat.spool.intake import MemoryBody
from mailplat.testing.scanners import CLEAN, asked, context, mail_of, mail_with, make_scanner

reactor: Any = _reactor

OPTIONS = b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\n%sEncapsulated: null-body=0\r\n\r\n"
DONE = b"ICAP/1.0 204 No Content\r\n\r\n"
GO_ON = b"ICAP/1.0 100 Continue\r\n\r\n"


def changed(message: bytes) -> bytes:
    """Answer with a message."""
    return (
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(message), message)
    )


class Service:
    """An ICAP server with a script.

    Attributes:
        fields: Further fields of the answer to OPTIONS.
        preview: The answer to a preview.
        answer: The answer to the whole message.
        early: What it says as soon as a request's header is there; ``b""`` for nothing.
        ends: Whether it closes after the answer to a message, saying so.
        asked: The verbs of the requests, and how each body ended.
    """

    def __init__(self) -> None:
        self.fields = b""
        self.preview, self.answer, self.early = GO_ON, DONE, b""
        self.ends = False
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.open: set[Any] = set()
        self.where = ""

    def __call__(self) -> Protocol:
        """Take a connection."""
        outer = self

        class Answering(Protocol):
            data, body, in_body, previewing = b"", b"", False, False

            def connectionMade(self) -> None:
                outer.connections += 1
                outer.open.add(self)

            def connectionLost(self, reason: Any = None) -> None:
                outer.open.discard(self)

            def dataReceived(self, data: bytes) -> None:
                self.data += data
                while self.step():
                    pass

            def step(self) -> bool:
                wire: Any = self.transport
                if not self.in_body:
                    head, empty, rest = self.data.partition(b"\r\n\r\n")
                    if not empty:
                        return False
                    outer.asked.append(head.split()[0].decode())
                    if head.startswith(b"OPTIONS"):
                        self.data = rest
                        wire.write(OPTIONS % outer.fields)
                        return True
                    skip = int(head.rpartition(b"body=")[2])
                    if len(rest) < skip:
                        outer.asked.pop()
                        return False
                    self.data, self.in_body = rest[skip:], True
                    self.previewing = b"\r\nPreview:" in head
                    if outer.early:
                        wire.write(outer.early)
                    return True
                line, end, rest = self.data.partition(b"\r\n")
                size = int(line.partition(b";")[0], 16) if end else 0
                if not end or len(rest) < size + 2:
                    return False
                self.body, self.data = self.body + rest[:size], rest[size + 2 :]
                if size:
                    return True
                outer.asked.append(line.decode())
                if self.previewing and b"ieof" not in line:
                    self.previewing = False
                    wire.write(outer.preview)
                    if outer.preview == GO_ON:
                        return True
                elif not outer.early:
                    wire.write(outer.answer)
                outer.bodies.append(self.body)
                self.body, self.in_body = b"", False
                if outer.ends:
                    wire.loseConnection()
                return True

        return Answering()


@pytest_twisted.async_yield_fixture
async def service() -> AsyncIterator[Service]:
    """A service that has nothing against anything."""
    one = Service()
    factory = Factory.forProtocol(one)
    factory.noisy = False
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    one.where = f"icap:icap://127.0.0.1:{port.getHost().port}/x"
    yield one
    while one.open:
        await deferLater(reactor, 0, int)
    await port.stopListening()


@pytest.mark.parametrize("size", [0, 200_000])
@pytest_twisted.ensureDeferred
async def test_preview(service: Service, size: int, tmp_path: Path) -> None:
    """The beginning goes first; the rest follows if it is wanted, once."""
    service.fields = b"Preview: 100\r\n"
    message = mail_with(CLEAN, size=size)
    verdict = await asked(service.where, message, directory=tmp_path)
    assert verdict.changes == (AddHeader("X-Virus-Status", "Clean"),)
    assert service.bodies == [message]
    assert service.asked == ["OPTIONS", "RESPMOD", "0", "0"]


@pytest_twisted.ensureDeferred
async def test_all_in_the_preview(service: Service) -> None:
    """A message that is no longer than the preview says so (§4.5)."""
    service.fields = b"Preview: 1000\r\n"
    assert (await asked(service.where, mail_with(CLEAN))).action is Action.CONTINUE
    assert service.asked == ["OPTIONS", "RESPMOD", "0; ieof"]


@pytest.mark.parametrize("preview", [0, 100])
@pytest_twisted.ensureDeferred
async def test_content_with_the_preview(service: Service, preview: int) -> None:
    """The service may have seen enough; without previews it sees everything."""
    service.fields, service.preview = b"Preview: %d\r\n" % preview, DONE
    message = mail_with(CLEAN, size=100_000)
    assert (await asked(service.where, message)).action is Action.CONTINUE
    assert service.bodies == [message[:preview]]
    options = {"preview": False}
    assert (await asked(service.where, message, options=options)).action is Action.CONTINUE
    assert service.bodies[1] == message


@pytest_twisted.ensureDeferred
async def test_changed_messages(service: Service) -> None:
    """The same message is none; another body is taken, or not; another header is an error."""
    message = mail_with(CLEAN)
    header, _ = headers.split(message)
    service.answer = changed(message)
    assert (await asked(service.where, message)).changes == (AddHeader("X-Virus-Status", "Clean"),)
    service.answer = changed(header + b"Removed.\r\n")
    assert (await asked(service.where, message)).changes[-1] == ReplaceBody(b"Removed.\r\n")
    options = {"changed": "quarantine"}
    verdict = await asked(service.where, message, options=options)
    assert verdict.action is Action.QUARANTINE
    service.answer = changed(b"X: y\r\n" + message)
    with pytest.raises(Unavailable):
        await asked(service.where, message)


@pytest_twisted.ensureDeferred
async def test_answers_on_the_way(service: Service) -> None:
    """A refusal may come early; a clean bill for a message that was not sent is none."""
    message = mail_with(CLEAN, size=6_000_000)
    service.early = changed(b"No").replace(b"HTTP/1.1 200", b"HTTP/1.1 403")
    assert (await asked(service.where, message)).action is Action.REJECT
    service.early = DONE
    with pytest.raises(Unavailable) as caught:
        await asked(service.where, message)
    assert "before it had the message" in caught.value.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"ICAP/1.0 503 Overloaded\r\n\r\n",
        GO_ON,
        b"ICAP/1.0 206 Partial\r\nEncapsulated: null-body=0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_answer(service: Service, answer: bytes) -> None:
    """What is no answer fails the filter, and the reason names the service."""
    service.answer = answer
    with pytest.raises(Unavailable) as caught:
        await asked(service.where, mail_with(CLEAN), options={"time": "300ms"})
    assert caught.value.reason.startswith(service.where.removeprefix("icap:"))


@pytest_twisted.ensureDeferred
async def test_a_method_that_it_does_not_know(service: Service) -> None:
    """What OPTIONS does not name is not asked."""
    with pytest.raises(Unavailable):
        await asked(service.where, mail_with(CLEAN), options={"method": "reqmod"})
    assert service.asked == ["OPTIONS"]


@pytest.mark.parametrize("ends", [False, True])
@pytest_twisted.ensureDeferred
async def test_many_on_one_connection(service: Service, *, ends: bool) -> None:
    """OPTIONS is asked once; a connection is kept, and one that was closed is not used."""
    service.ends, service.fields = ends, b"Options-TTL: 100\r\n"
    one = make_scanner(service.where)
    message = mail_with(CLEAN)
    mail = mail_of(MemoryBody(message), headers.split(message)[0])
    try:
        for _ in range(3):
            assert (await one.open().message(context(), mail)).action is Action.CONTINUE
    finally:
        await one.close()
    assert service.asked.count("OPTIONS") == 1
    assert service.connections == (3 if ends else 1)


@pytest.mark.parametrize("url", ["icap://", "http://x/", "icap://a b/", "icap://x:0/", "x"])
def test_no_url(url: str) -> None:
    """What is no service is a fault of the configuration."""
    with pytest.raises(ConfigurationFault):
        make_scanner(f"icap:{url}")
