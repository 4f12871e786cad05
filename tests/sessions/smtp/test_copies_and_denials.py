"""Filters on each recipient's copy, named quarantines, reasons of held mail, and who refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.hooks import Denial
from mailplat.model.envelope import Recipient
from mailplat.model.verdict import CONTINUE, Action, AddHeader, ReplaceBody, Verdict
from mailplat.proto.smtp.offers import Dialect

ALICE, BOB = "alice@example.org", "bob@example.org"
TO_BOTH = f"MAIL FROM:<c@d.example>\r\nRCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n"
MESSAGE = "Subject: hi\r\nX-Quarantine-Reason: forged\r\n\r\nhello\r\n"


def send(client: Any) -> list[str]:
    """Send a message to both; give the codes of the last replies."""
    client.say(TO_BOTH)
    client.say("DATA\r\n")
    found: list[str] = client.codes(MESSAGE + ".\r\n")
    return found


def of_bob(verdict: Verdict) -> dict[str, Any]:
    """A filter that says something of Bob's copy alone."""

    def said(context: Context, mail: Any, recipient: Recipient) -> Verdict:
        return verdict if recipient.address.local == "bob" else CONTINUE

    return {"recipient_of_message": said}


async def counts(room: Any, mailbox: str = "INBOX") -> tuple[int, int]:
    """Count what Alice and Bob have."""
    return len(await room.mail_of(ALICE, mailbox)), len(await room.mail_of(BOB, mailbox))


def as_lmtp(room: Any) -> Any:
    """The same server, speaking LMTP."""
    room.options, room.dialect = replace(room.options, lmtp=True), Dialect.LMTP
    return room


@pytest.mark.parametrize(
    ("verdict", "replies"),
    [
        (Verdict.reject("Not for me"), ["250 2.0.0", "550 5.7.1"]),
        (Verdict.defer("Come back"), ["250 2.0.0", "451 4.7.1"]),
        (Verdict(Action.DISCARD), ["250 2.0.0", "250 2.0.0"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_lmtp_answers_for_each(room: Any, verdict: Verdict, replies: list[str]) -> None:
    """LMTP has a reply for each recipient, and only the others' copies are stored."""
    room.filter = of_bob(verdict)
    assert send(as_lmtp(room).hello()) == replies
    assert await counts(room) == (1, 0)


@pytest_twisted.ensureDeferred
async def test_lmtp_refuses_everybody(room: Any) -> None:
    """All may be refused, each for himself."""
    room.filter = {"recipient_of_message": lambda *_: Verdict.reject("No")}
    assert send(as_lmtp(room).hello()) == ["550 5.7.1", "550 5.7.1"]
    assert await counts(room) == (0, 0)


@pytest.mark.parametrize(
    ("verdict", "reply", "inbox", "junk"),
    [
        (Verdict(Action.DISCARD), "250 2.0.0", (1, 0), (0, 0)),
        (Verdict.quarantine("odd"), "250 2.0.0", (1, 0), (0, 1)),
        (Verdict.reject("No"), "250 2.0.0", (1, 0), (0, 1)),  # one reply for both
        (Verdict.defer("Later"), "451 4.7.1", (0, 0), (0, 0)),
        (Verdict(changes=(ReplaceBody(b"x"), AddHeader("X", "y"))), "250 2.0.0", (1, 1), (0, 0)),
    ],
)
@pytest_twisted.ensureDeferred
async def test_smtp_has_one_reply(
    room: Any, verdict: Verdict, reply: str, inbox: tuple[int, int], junk: tuple[int, int]
) -> None:
    """SMTP puts aside what it cannot refuse, and stores for nobody what is to come again."""
    room.filter = of_bob(verdict)
    assert send(room.hello()) == [reply]
    assert await counts(room) == inbox
    assert await counts(room, "Junk") == junk
    for stored in await room.mail_of(ALICE):
        assert stored.endswith(b"\r\nhello\r\n")
        assert b"\r\nX: y" not in stored


@pytest_twisted.ensureDeferred
async def test_smtp_all_copies_alike(room: Any) -> None:
    """What is said of all copies is said of the mail."""
    room.filter = {"recipient_of_message": lambda *_: Verdict.reject("No")}
    assert send(room.hello()) == ["550 5.7.1"]
    room.filter = {"recipient_of_message": lambda *_: Verdict(Action.DISCARD)}
    assert send(room.hello()) == ["250 2.0.0"]
    assert await counts(room) == (0, 0)
    room.filter = {"recipient_of_message": lambda *_: Verdict.quarantine("odd", mailbox="Spam")}
    assert send(room.hello()) == ["250 2.0.0"]
    (stored,) = await room.mail_of(BOB, "Spam")
    assert stored.count(b"X-Quarantine-Reason: ") == 1
    assert b"X-Quarantine-Reason: scripted: odd\r\n" in stored


@pytest_twisted.ensureDeferred
async def test_accepting_a_copy_says_nothing_of_others(room: Any) -> None:
    """A filter that accepts Alice's copy is still asked about Bob's."""

    def said(context: Context, mail: Any, recipient: Recipient) -> Verdict:
        alice = recipient.address.local == "alice"
        return Verdict(Action.ACCEPT) if alice else Verdict(Action.DISCARD)

    room.filter = {"recipient_of_message": said}
    assert send(room.hello()) == ["250 2.0.0"]
    assert await counts(room) == (1, 0)


@pytest_twisted.ensureDeferred
async def test_a_named_mailbox(room: Any) -> None:
    """A verdict may name the mailbox; its reason is one line of the header, and not too long."""
    verdict = Verdict.quarantine("a\r\nSubject: spoofed\r\n" + "b" * 1000, mailbox="Junk/Phish")
    room.filter = {"message": lambda *_: verdict}
    assert send(room.hello()) == ["250 2.0.0"]
    (stored,) = await room.mail_of(ALICE, "Junk/Phish")
    header = stored.partition(b"\r\n\r\n")[0]
    assert header.count(b"\r\nSubject:") == 1
    assert b"forged" not in header
    assert len(header) < 1000


@pytest_twisted.ensureDeferred
async def test_why_mail_is_held(room: Any) -> None:
    """The queue shows who wanted mail held, and why; one copy that is held holds the mail."""
    room.parts = replace(room.parts, spool=room.spool)
    room.filter = {"message": lambda *_: Verdict.hold("look at it")}
    assert send(room.hello()) == ["250 2.0.0"]
    room.filter = of_bob(Verdict.hold("Bob's"))
    assert send(room.hello()) == ["250 2.0.0"]
    assert len(room.spool.held) == 2
    assert room.spool.reasons == ["Held by scripted: look at it", "Held by scripted: Bob's"]


def denials(room: Any, **filters: Any) -> list[tuple[str, str, int, str]]:
    """Watch refusals: who, at which stage, with what code, to whom."""
    found: list[tuple[str, str, int, str]] = []

    def deny(context: Context, denial: Denial) -> None:
        whom = str(denial.recipient.address) if denial.recipient is not None else ""
        found.append((denial.by, denial.stage, denial.reply.code, whom))

    room.filter = {**filters, "deny": deny}
    return found


def test_every_refusal_is_told(room: Any) -> None:
    """Filters, routes, limits and the protocol's own rules: each refusal has its maker."""
    found = denials(room, hello=lambda _, name: CONTINUE if name == "c" else Verdict.defer("x"))
    client = room.connect()
    client.say("EHLO bad\r\nEHLO c\r\nNONSENSE\r\nMAIL FROM:<x\r\n")
    client.say("MAIL FROM:<c@d.example>\r\nRCPT TO:<nobody@example.org>\r\n")
    client.say("RCPT TO:<a@elsewhere.example>\r\nDATA\r\n")
    assert found == [
        ("scripted", "hello", 451, ""),
        ("protocol", "", 500, ""),
        ("protocol", "", 501, ""),
        ("routes", "recipient", 550, "nobody@example.org"),
        ("routes", "recipient", 550, "a@elsewhere.example"),
        ("protocol", "", 554, ""),
    ]


def test_lines_that_are_no_commands(room: Any) -> None:
    """Who is told of refusals gets the line where it was no command, and only there."""
    lines: list[bytes] = []
    room.filter = {"deny": lambda _, denial: lines.append(denial.line)}
    room.connect().say("EHLO c\r\nWHAT is this\r\nMAIL FROM:<x\r\n")
    assert lines == [b"WHAT is this", b""]


@pytest_twisted.ensureDeferred
async def test_filters_know_our_own_fields(room: Any) -> None:
    """A mail says how far the fields go that this server put on top of it."""
    mails: list[Any] = []

    def message(context: Context, mail: Any) -> Verdict:
        mails.append(mail)
        return CONTINUE

    room.filter = {"message": message}
    assert send(room.hello()) == ["250 2.0.0"]
    (mail,) = mails
    front, trace = mail.header[: mail.front], mail.header[mail.front : mail.trace]
    assert front.startswith(b"Return-Path: <c@d.example>\r\n")
    assert trace.startswith(b"Received: ")
    assert trace.endswith(b"\r\n")
    assert mail.header[mail.trace :].startswith(b"Subject: hi\r\n")


@pytest.mark.parametrize("stage", [Stage.HEADERS, Stage.MESSAGE])
def test_refused_messages_are_told(room: Any, stage: Stage) -> None:
    """A message that is refused is told with its filter, once, wherever that said no."""
    found = denials(room, **{stage.value: lambda *_: Verdict.reject("No")})
    assert send(room.hello()) == ["550 5.7.1"]
    assert found == [("scripted", "message", 550, "")]


def test_failed_logins_are_told(room: Any) -> None:
    """Who cannot log in is told, with no word of the password."""
    found = denials(room)
    room.hello().say("AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n\r\n")
    assert found == [("accounts", "auth", 535, "")]


@pytest_twisted.ensureDeferred
async def test_a_slow_scanner_holds_nobody_else_up(room: Any) -> None:
    """200 mails wait for a scanner at once; who has nothing to do with it is served meanwhile."""

    def scan(context: Context, mail: Any) -> Any:
        slow = context.sender is not None and context.sender.address is None
        return deferLater(room.clock, 0.5, lambda: CONTINUE) if slow else CONTINUE

    room.filter = {"message": scan}
    waiting = [room.hello() for _ in range(200)]
    for client in waiting:
        client.say(f"MAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n")
        assert client.say(MESSAGE + ".\r\n") == ""
    assert send(room.hello()) == ["250 2.0.0"]
    room.clock.advance(0.5)
    assert {client.wire.take()[:9] for client in waiting} == {b"250 2.0.0"}
    assert await counts(room) == (1, 201)
