"""The filter that asks a policy service, against a fake one in every manner."""

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

from mailplat.interfaces.filters import Context, Mail
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.errors import Unavailable
from mailplat.model.peer import Peer, TLSInfo
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddRecipient,
    InsertHeader,
    RemoveRecipient,
    Verdict,
)
from mailplat.spool.intake import MemoryBody
from mailplat.testing.scanners import make_scanner

reactor: Any = _reactor

ALICE, BOB, CAROL = (Address(name, "example.org") for name in ("alice", "bob", "carol"))
EVERYWHERE = ["client", "helo", "sender", "recipient", "data", "end_of_data"]


class FakeService:
    """A policy service.

    Attributes:
        answers: What it answers in each protocol state, without the empty line; None closes.
        asked: The attributes of each question.
        bytewise: Whether it sends a byte at a time.
        ends: Whether it closes after each answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes | None] = {}
        self.asked: list[dict[str, str]] = []
        self.bytewise = self.ends = False
        self.connections = 0
        self.open: set[Any] = set()

    def __call__(self) -> Protocol:
        """Take a connection."""
        outer = self

        class Answering(Protocol):
            data = b""

            def connectionMade(self) -> None:
                outer.connections += 1
                outer.open.add(self)

            def connectionLost(self, reason: Any = None) -> None:
                outer.open.discard(self)

            def dataReceived(self, data: bytes) -> None:
                self.data += data
                while b"\n\n" in self.data:
                    question, _, self.data = self.data.partition(b"\n\n")
                    lines = question.decode().split("\n")
                    about = dict(line.split("=", 1) for line in lines)
                    outer.asked.append(about)
                    self.say(outer.answers.get(about["protocol_state"], b"action=DUNNO"))

            def say(self, answer: bytes | None) -> None:
                wire: Any = self.transport
                if answer:
                    whole = answer + b"\n\n"
                    pieces = [whole[at : at + 1] for at in range(len(whole))]
                    for piece in pieces if outer.bytewise else [whole]:
                        wire.write(piece)
                if answer is None or outer.ends:
                    wire.loseConnection()

        return Answering()


@pytest_twisted.async_yield_fixture
async def service(tmp_path: Path) -> AsyncIterator[FakeService]:
    """A service that has nothing against anybody."""
    one = FakeService()
    factory = Factory.forProtocol(one)
    factory.noisy = False
    port = await serverFromString(reactor, f"unix:{tmp_path / 'policy'}").listen(factory)
    yield one
    while one.open:
        await deferLater(reactor, 0, int)
    await port.stopListening()


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where it listens."""
    return f"policy_service:unix:{tmp_path / 'policy'}"


def connection() -> Context:
    """Make a connection."""
    return Context("s1", "smtp", Peer("192.0.2.1", 4000, "192.0.2.25", 25), helo="mail.example")


async def walk(
    where: str,
    about: Context | None = None,
    recipients: tuple[Address, ...] = (BOB,),
    **options: Any,
) -> list[Verdict]:
    """Walk a mail through all stages; give the verdicts."""
    one, context = make_scanner(where, options), about or connection()
    stages: Any = one.open()
    header, sender = b"Subject: hi\r\n\r\n", Sender(ALICE, 20)
    envelope = Envelope(sender, tuple(Recipient(address) for address in recipients))
    mail = Mail("q1", envelope, header, MemoryBody(header + b"hello\r\n"))
    try:
        found = [await stages.connect(context), await stages.hello(context, "mail.example")]
        context.sender = sender
        found.append(await stages.sender(context, sender))
        for recipient in envelope.recipients:
            found.append(await stages.recipient(context, recipient))
            context.recipients.append(recipient)
        found.append(await stages.headers(context, header))
        found.append(await stages.message(context, mail))
    finally:
        await one.close()
    return found


@pytest_twisted.ensureDeferred
async def test_what_is_asked(service: FakeService, where: str) -> None:
    """At each stage the attributes that are known then, over one connection."""
    context = connection()
    context.account, context.mechanism = Account("alice@example.org"), "PLAIN"
    context.peer = Peer("2001:db8::1", 5, "::1", 25, TLSInfo("TLSv1.3", "AES"))
    found = await walk(where, context, stages=EVERYWHERE, context="inbound")
    assert all(one is CONTINUE for one in found)
    assert service.connections == 1
    states = [one["protocol_state"] for one in service.asked]
    assert states == ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]
    rcpt, end = service.asked[3], service.asked[5]
    assert rcpt == rcpt | {
        "request": "smtpd_access_policy",
        "sender": "alice@example.org",
        "recipient": "bob@example.org",
        "recipient_count": "0",
        "client_address": "2001:db8::1",
        "client_name": "unknown",
        "helo_name": "mail.example",
        "size": "20",
        "sasl_username": "alice@example.org",
        "sasl_method": "PLAIN",
        "encryption_protocol": "TLSv1.3",
        "policy_context": "inbound",
    }
    assert (end["recipient_count"], end["size"], end["queue_id"]) == ("1", "22", "q1")
    assert rcpt["instance"] == end["instance"] == "s1.1"


@pytest_twisted.ensureDeferred
async def test_recipients_alone(service: FakeService, where: str) -> None:
    """Usually it is asked about recipients, each of them, and about nothing else."""
    service.bytewise = True
    await walk(where, recipients=(BOB, CAROL))
    assert [one["recipient"] for one in service.asked] == ["bob@example.org", "carol@example.org"]


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        (b"OK", CONTINUE),
        (b"INFO x", CONTINUE),
        (b"550 5.1.1 no", (Action.REJECT, Reply.of(550, "no", "5.1.1"))),
        (b"DEFER_IF_PERMIT Greylisted", (Action.DEFER, Reply.of(450, "Greylisted", "4.7.1"))),
        (b"HOLD look at it", (Action.HOLD, None)),
        (b"PREPEND X-Greylist: 5 s", Verdict(changes=(InsertHeader("X-Greylist", b" 5 s", 0),))),
    ],
)
@pytest_twisted.ensureDeferred
async def test_actions(service: FakeService, where: str, action: bytes, verdict: Any) -> None:
    """What it wants at RCPT is done."""
    service.answers["RCPT"] = b"action=" + action
    found = (await walk(where))[3]
    if isinstance(verdict, tuple):
        assert (found.action, found.reply) == verdict
    else:
        assert found == verdict


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (b"DISCARD", Verdict(Action.DISCARD, reason="policy service: discard")),
        (b"BCC eve@example.org", Verdict(changes=(AddRecipient(Address("eve", "example.org")),))),
        (
            b"REDIRECT bob@example.org",
            Verdict(changes=(AddRecipient(BOB), RemoveRecipient(CAROL))),
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_of_the_whole_mail(
    service: FakeService, where: str, action: bytes, expected: Verdict
) -> None:
    """What is said of a recipient and means the mail is done with the message."""
    service.answers["MAIL"] = b"action=" + action
    found = await walk(where, recipients=(BOB, CAROL), stages=["sender"])
    assert found[:-1] == [CONTINUE] * 6
    assert found[-1] == expected


@pytest.mark.parametrize(
    "answer",
    [b"action=FILTER x:y", b"action=DEFER_IF_REJECT", b"hello", b"x" * 20_000, None, b""],
    ids=repr,
)
@pytest_twisted.ensureDeferred
async def test_no_answer_is_no_pass(service: FakeService, where: str, answer: bytes | None) -> None:
    """What cannot be done, is cut, endless or late fails the filter, and the reason says where."""
    service.answers["RCPT"] = answer
    with pytest.raises(Unavailable) as caught:
        await walk(where, time="200ms")
    assert caught.value.reason.startswith(f"{where.removeprefix('policy_service:')}: RCPT: ")


@pytest_twisted.ensureDeferred
async def test_one_that_closes(service: FakeService, where: str) -> None:
    """A connection that was closed while it waited is not used again."""
    service.ends = True
    assert await walk(where, stages=EVERYWHERE) == [CONTINUE] * 6
    assert service.connections == 6
    assert len(service.asked) == 6
