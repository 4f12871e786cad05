"""Tests for `mailplat.sessions.smtp`: what filters may do at each stage, and the spool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.agents import MAILBOX_AGENT
from mailplat.model.address import Address
from mailplat.model.errors import MailError
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddHeader,
    AddRecipient,
    ChangeSender,
    RemoveHeader,
    RemoveRecipient,
    ReplaceBody,
    Verdict,
)

ALICE, BOB = "alice@example.org", "bob@example.org"
TO_ALICE = f"MAIL FROM:<c@d.example>\r\nRCPT TO:<{ALICE}>\r\n"
MESSAGE = "Subject: hi\r\nX-Old: 1\r\n\r\nhello\r\n"
NO = Verdict.reject("No such luck")
LATER = Verdict.defer("Not today")


def send(client: Any) -> str:
    """Send a message to Alice; give the code at its end."""
    return str(client.codes(TO_ALICE + "DATA\r\n" + MESSAGE + ".\r\n")[-1])


def test_connect(room: Any) -> None:
    """A refusal is said in place of the greeting."""
    room.filter = {"connect": lambda context: NO}
    client = room.connect()
    assert client.greeting == "554 5.7.1 No such luck\r\n"
    assert client.codes("EHLO c\r\nQUIT\r\n") == ["503 5.5.1", "221 2.0.0"]
    room.filter = {"connect": lambda context: LATER}
    client = room.connect()
    assert client.greeting == "421 4.7.1 Not today\r\n"
    assert client.wire.closing


def test_hello(room: Any) -> None:
    """A refused EHLO leaves everything as it was."""
    room.filter = {"hello": lambda context, name: NO if name == "bad" else CONTINUE}
    client = room.connect()
    assert client.codes("EHLO bad\r\nMAIL FROM:<>\r\n") == ["550 5.7.1", "503 5.5.1"]
    assert client.codes("EHLO good\r\n" + TO_ALICE)[1:] == ["250 2.1.0", "250 2.1.5"]
    assert client.codes("EHLO bad\r\nDATA\r\n" + MESSAGE + ".\r\n") == [
        "550 5.7.1",
        "354 End",
        "250 2.0.0",
    ]


def test_auth(room: Any) -> None:
    """A log-in may be refused although the password is right."""
    room.filter = {"auth": lambda context, account: NO}
    client = room.hello()
    assert client.log_in() == ["550 5.7.1"]
    assert client.codes("MAIL FROM:<>\r\nRCPT TO:<x@elsewhere.example>\r\n")[1] == "550 5.7.1"


def test_envelope(room: Any) -> None:
    """Sender and recipients may be refused, each for itself."""
    room.filter = {
        "sender": lambda context, sender: NO if sender.address is None else CONTINUE,
        "recipient": lambda context, recipient: LATER if recipient.address.local == "a" else NO,
    }
    client = room.hello()
    assert client.codes("MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\n") == ["550 5.7.1", "503 5.5.1"]
    assert client.codes("MAIL FROM:<x@y>\r\nRCPT TO:<a@example.org>\r\n")[1] == "451 4.7.1"
    assert client.codes(f"RCPT TO:<{BOB}>\r\nDATA\r\n") == ["550 5.7.1", "554 5.5.1"]


@pytest.mark.parametrize("stage", ["headers", "message"])
@pytest_twisted.ensureDeferred
async def test_message_refused(room: Any, stage: str) -> None:
    """A refusal at the header is said at the message's end; nothing is stored."""
    seen: list[bytes] = []

    def refuse(context: Any, subject: Any) -> Verdict:
        seen.append(subject if stage == "headers" else subject.header)
        return NO

    room.filter = {stage: refuse}
    left = room.intakes.memory_left
    client = room.hello()
    client.say(TO_ALICE + "DATA\r\n")
    for byte in (MESSAGE + ".\r").encode():
        assert client.say(bytes([byte])) == ""
    assert client.say("\nNOOP\r\n") == "550 5.7.1 No such luck\r\n250 2.0.0 Ok\r\n"
    (header,) = seen
    assert header.startswith(
        b"Return-Path: <c@d.example>\r\nDelivered-To: alice@example.org\r\nRec"
    )
    assert header.endswith(b"\tThu, 01 Jan 2026 12:00:00 +0000\r\nSubject: hi\r\nX-Old: 1\r\n\r\n")
    assert await room.mail_of(ALICE) == []
    assert room.intakes.memory_left == left


@pytest_twisted.ensureDeferred
async def test_changes(room: Any) -> None:
    """Headers, body, sender and recipients may be changed; Return-Path stays on top."""
    changes = (
        AddHeader("X-New", "2"),
        RemoveHeader("X-Old"),
        ReplaceBody(b"bye\r\n"),
        ChangeSender(Address("e", "f.example")),
        AddRecipient(Address("bob", "example.org")),
        RemoveRecipient(Address("alice", "example.org")),
    )
    room.filter = {"message": lambda context, mail: Verdict(changes=changes)}
    assert send(room.hello()) == "250 2.0.0"
    assert await room.mail_of(ALICE) == []
    (stored,) = await room.mail_of(BOB)
    assert stored.startswith(
        b"Return-Path: <e@f.example>\r\nDelivered-To: bob@example.org\r\nX-New: 2\r\nReceived: "
    )
    assert stored.endswith(b"+0000\r\nSubject: hi\r\n\r\nbye\r\n")


@pytest_twisted.ensureDeferred
async def test_changes_of_every_stage(room: Any) -> None:
    """What a filter wants at an earlier stage is done at the end, for each message."""

    def adding(stage: str) -> Any:
        return lambda context, *subject: Verdict(changes=(AddHeader(f"X-{stage}", "1", False),))

    stages = ("connect", "hello", "sender", "recipient", "headers")
    room.filter = {stage: adding(stage) for stage in stages}
    client = room.hello()
    assert [send(client), send(client)] == ["250 2.0.0"] * 2
    for stored in await room.mail_of(ALICE):
        assert stored.startswith(b"Return-Path: ")
        assert [stored.count(f"X-{stage}: 1\r\n".encode()) for stage in stages] == [1] * 5
        assert stored.endswith(b"\r\n\r\nhello\r\n")


def test_sees_the_changes_before(room: Any) -> None:
    """A filter that sees the message is told what was wished at earlier stages."""
    seen: list[Any] = []
    change = AddHeader("X-New", "2")

    def see(context: Any, mail: Any) -> Verdict:
        seen.append(mail.changes)
        return CONTINUE

    room.filter = {
        "headers": lambda context, header: Verdict(changes=(change,)),
        "message": see,
    }
    assert send(room.hello()) == "250 2.0.0"
    assert seen == [(change,)]


@pytest_twisted.ensureDeferred
async def test_discard(room: Any) -> None:
    """Discarded mail is answered 250 and is nowhere; a recipient may be discarded alone."""
    room.filter = {"message": lambda context, mail: Verdict(Action.DISCARD, reason="spam")}
    assert send(room.hello()) == "250 2.0.0"
    assert await room.mail_of(ALICE) == []
    room.filter = {
        "recipient": lambda context, recipient: Verdict(
            Action.DISCARD if recipient.address.local == "bob" else Action.CONTINUE
        )
    }
    client = room.hello()
    client.say(TO_ALICE + f"RCPT TO:<{BOB}>\r\n")
    assert client.codes("DATA\r\n.\r\n")[-1] == "250 2.0.0"
    assert len(await room.mail_of(ALICE)) == 1
    assert await room.mail_of(BOB) == []


@pytest_twisted.ensureDeferred
async def test_quarantine(room: Any) -> None:
    """Mail in quarantine goes into another mailbox, and says why."""
    room.filter = {"sender": lambda context, sender: Verdict(Action.QUARANTINE, reason="odd")}
    assert send(room.hello()) == "250 2.0.0"
    assert await room.mail_of(ALICE) == []
    (stored,) = await room.mail_of(ALICE, "Junk")
    assert b"X-Quarantine-Reason: scripted: odd\r\n" in stored


def test_strange_refusals(room: Any) -> None:
    """A refusal whose words say yes is still a refusal; what a filter breaks is put off."""
    verdict = Verdict(Action.REJECT, Reply.of(250, "Fine"))
    room.filter = {"sender": lambda context, sender: verdict}
    assert room.hello().codes("MAIL FROM:<>\r\n") == ["550 5.7.1"]
    room.filter = {"sender": lambda context, sender: "yes"}
    assert room.hello().codes("MAIL FROM:<>\r\n") == ["451 4.7.1"]


def test_disconnect_comes_once(room: Any) -> None:
    """Filters hear of the end."""
    ends: list[str] = []
    room.filter = {"disconnect": lambda context: ends.append(context.helo)}
    client = room.hello()
    client.say(TO_ALICE + "DATA\r\nhalf")
    client.lose()
    assert ends == ["c.example"]


# -- the spool


@pytest.fixture
def spooled(room: Any) -> Any:
    """A server that may send mail elsewhere; gives the room with ``spool``."""
    room.parts = replace(room.parts, spool=room.spool)
    return room


@pytest_twisted.ensureDeferred
async def test_remote_recipients_go_into_the_spool(spooled: Any) -> None:
    """As soon as one recipient is elsewhere the spool takes all; no Return-Path goes out."""
    client = spooled.hello()
    assert client.codes("MAIL FROM:<x@y>\r\nRCPT TO:<z@elsewhere.example>\r\n")[1] == "550 5.7.1"
    client.say("RSET\r\n")
    client.log_in()
    client.say(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<z@elsewhere.example>\r\n")
    assert client.codes("DATA\r\n" + MESSAGE + ".\r\n")[-1] == "250 2.0.0"
    assert await spooled.mail_of(BOB) == []
    ((envelope, agents, body),) = spooled.spool.mails
    assert [str(one.address) for one in envelope.recipients] == [BOB, "z@elsewhere.example"]
    assert list(agents.values()) == [MAILBOX_AGENT, ""]
    assert body.startswith(b"Received: from c.example")
    assert body.endswith(MESSAGE.encode())


@pytest_twisted.ensureDeferred
async def test_hold(spooled: Any) -> None:
    """Mail that is held waits in the spool; without one it is put off."""
    spooled.filter = {"message": lambda context, mail: Verdict(Action.HOLD)}
    assert send(spooled.hello()) == "250 2.0.0"
    assert len(spooled.spool.held) == 1
    assert await spooled.mail_of(ALICE) == []
    spooled.parts = replace(spooled.parts, spool=None)
    assert send(spooled.hello()) == "451 4.3.0"


@pytest_twisted.ensureDeferred
async def test_spool_fails(spooled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the spool cannot take is refused."""

    async def broken(*args: Any) -> None:
        raise MailError("away")

    monkeypatch.setattr(spooled.spool, "accept", broken)
    client = spooled.hello()
    client.log_in()
    client.say(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<z@elsewhere.example>\r\n")
    assert client.codes("DATA\r\n" + MESSAGE + ".\r\n")[-1] == "451 4.3.0"
