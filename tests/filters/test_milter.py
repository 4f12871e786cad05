"""The filter that asks a milter, against a fake one in every manner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from mailplat.interfaces.filters import Context, Mail
from mailplat.interfaces.hooks import Denial
from mailplat.message import headers
from mailplat.message.edit import edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Notify, Recipient, Return, Sender
from mailplat.model.errors import Unavailable
from mailplat.model.peer import Peer, TLSInfo
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    RemoveRecipient,
    ReplaceBody,
    Verdict,
)
from mailplat.spool.intake import MemoryBody
from mailplat.testing.milters import CLOSE, HANG, FakeMilter, milter_packet
from mailplat.testing.scanners import make_scanner

reactor: Any = _reactor

ALICE, BOB = Address("alice", "elsewhere.example"), Address("bob", "example.org")
CAROL = Address("carol", "example.org")
FRONT = b"Return-Path: <alice@elsewhere.example>\r\n"
TRACE = FRONT + b"Received: from a by b\r\n\tid q1; today\r\n"
FIELDS = b"Received: elsewhere\r\nSubject:  hello\r\n  you\r\nX-Old: 1\r\nX-Old: 2\r\n\r\n"
BODY = b"Dinner at eight?\r\n"
QUICK = {"command_timeout": "200ms", "content_timeout": "200ms", "end_timeout": "200ms"}
ALL = ("connect", "hello", "sender", "recipient", "message")


@pytest_twisted.async_yield_fixture
async def milter(tmp_path: Path) -> AsyncIterator[FakeMilter]:
    """A milter that says yes to everything."""
    one = await FakeMilter().listen(tmp_path / "milter")
    yield one
    await one.stop()


def connection() -> Context:
    """Make a connection."""
    return Context("s1", "smtp", Peer("192.0.2.1", 4000, "192.0.2.25", 25))


def message(*recipients: Address, body: bytes = BODY) -> Mail:
    """Make a message."""
    header = TRACE + FIELDS
    envelope = Envelope(Sender(ALICE), tuple(Recipient(one) for one in recipients or (BOB,)))
    return Mail(
        *("q1", envelope, header, MemoryBody(header + body)), front=len(FRONT), trace=len(TRACE)
    )


class Session:
    """One SMTP connection's side of the filter.

    Args:
        milter: Whom it asks.
        options: The filter's.
    """

    def __init__(self, milter: FakeMilter, **options: Any) -> None:
        self.milter = milter
        self.filter = make_scanner(f"milter:{milter.where}", options)
        self.context = connection()
        self.stages: Any = self.filter.open()

    async def walk(self, mail: Mail | None = None, stages: tuple[str, ...] = ALL) -> Verdict:
        """Walk one mail through stages; give the first verdict that is no CONTINUE, or the last."""
        verdict: Verdict = CONTINUE
        mail, context = mail or message(), self.context
        for stage in stages:
            match stage:
                case "connect":
                    verdict = await self.stages.connect(context)
                case "hello":
                    verdict = await self.stages.hello(context, "mail.elsewhere.example")
                    context.helo = "mail.elsewhere.example"
                case "sender":
                    context.sender, context.recipients = mail.envelope.sender, []
                    verdict = await self.stages.sender(context, mail.envelope.sender)
                case "recipient":
                    for one in mail.envelope.recipients:
                        verdict = await self.stages.recipient(context, one)
                        if verdict is not CONTINUE:
                            return verdict
                        context.recipients.append(one)
                case "message":
                    context.sender = mail.envelope.sender
                    verdict = await self.stages.message(context, mail)
            if verdict is not CONTINUE:
                return verdict
        return verdict

    async def end(self) -> None:
        """The connection is over."""
        await self.stages.disconnect(self.context)
        await self.filter.close()
        while self.milter.open:  # what was said last is on its way
            await deferLater(reactor, 0, int)


async def asked(milter: FakeMilter, mail: Mail | None = None, **options: Any) -> Verdict:
    """Walk one mail through the filter."""
    session = Session(milter, **options)
    try:
        return await session.walk(mail)
    finally:
        await session.end()


@pytest_twisted.ensureDeferred
async def test_all_that_is_told(milter: FakeMilter) -> None:
    """A milter sees the connection in order, without our own trace, and then a goodbye."""
    assert await asked(milter) is CONTINUE
    assert milter.commands == "OCHMRTLLLLNBEQ"
    assert milter.data("O") == [bytes.fromhex("00000006000001ff001fffff")]
    assert milter.data("C") == [b"[192.0.2.1]\0004\x0f\xa0192.0.2.1\0"]
    assert milter.data("H") == [b"mail.elsewhere.example\0"]
    assert milter.data("M") == [b"<alice@elsewhere.example>\0"]
    assert milter.data("R") == [b"<bob@example.org>\0"]
    assert milter.data("L") == [
        b"Received\0elsewhere\0",
        b"Subject\0hello\n  you\0",
        b"X-Old\0001\0",
        b"X-Old\0002\0",
    ]
    assert milter.data("B") == [BODY]
    macros = {data[:1]: data[1:].split(b"\0") for data in milter.data("D")}
    assert macros[b"C"][:2] == [b"j", b"mx.example.org"]
    assert b"{client_addr}" in macros[b"C"]
    assert macros[b"E"][:2] == [b"i", b"q1"]
    assert not milter.open


@pytest_twisted.ensureDeferred
async def test_byte_by_byte(milter: FakeMilter) -> None:
    """Answers may come in any pieces."""
    milter.bytewise = True
    milter.answers["E"] = [b"hX-Seen\0yes\0", b"c"]
    assert (await asked(milter)).changes == (InsertHeader("X-Seen", b" yes", None),)


@pytest_twisted.ensureDeferred
async def test_leading_space_and_large_bodies(milter: FakeMilter) -> None:
    """Blanks behind the colon are told to who wants them; a body comes in packets that fit."""
    milter.steps = 0x100000
    body = b"line\r\n" * 40_000
    assert await asked(milter, message(body=body)) is CONTINUE
    assert b"Subject\0  hello\n  you\0" in milter.data("L")
    assert b"".join(milter.data("B")) == body
    assert max(map(len, milter.data("B"))) <= 65535


@pytest_twisted.ensureDeferred
async def test_what_it_does_not_want(milter: FakeMilter) -> None:
    """Steps that a milter does without are not told; what it does not answer is not waited for."""
    milter.steps = 0x37F | 0x20  # nothing but the end
    assert await asked(milter) is CONTINUE
    assert milter.commands == "OEQ"
    milter.told.clear()
    milter.steps = 0xFF080  # everything told, nothing answered
    assert await asked(milter) is CONTINUE
    assert milter.commands == "OCHMRTLLLLNBEQ"


@pytest.mark.parametrize(("version", "commands"), [(2, "OCHMRLLLLNBEQ"), (4, "OCHMRTLLLLNBEQ")])
@pytest_twisted.ensureDeferred
async def test_older_versions(milter: FakeMilter, version: int, commands: str) -> None:
    """An old milter is not told what it does not know."""
    milter.version, milter.actions = version, 0x3F
    assert await asked(milter) is CONTINUE
    assert milter.commands == commands


@pytest_twisted.ensureDeferred
async def test_macros_of_its_own(milter: FakeMilter) -> None:
    """A milter that names macros gets those, and only where there is something to say."""
    milter.macros = b"\0\0\0\0{client_addr} {no_such}\0\0\0\0\2\0"
    assert await asked(milter) is CONTINUE
    macros = {data[:1]: data[1:] for data in milter.data("D")}
    assert macros[b"C"] == b"{client_addr}\0" + b"192.0.2.1\0"
    assert b"M" not in macros
    assert b"R" in macros


@pytest_twisted.ensureDeferred
async def test_who_logged_in(milter: FakeMilter) -> None:
    """TLS, the account and parameters of the envelope are told."""
    session = Session(milter)
    context = session.context
    context.peer = replace(context.peer, tls=TLSInfo("TLSv1.3", "AES"), address="2001:db8::1")
    context.account, context.mechanism = Account("alice@elsewhere.example"), "SCRAM-SHA-256"
    mail = message()
    sender = Sender(Address("a b", "x.example"), 5, returned=Return.FULL, auth="<>")
    recipient = Recipient(BOB, frozenset({Notify.NEVER}), "rfc822;bob@example.org")
    mail = replace(mail, envelope=Envelope(sender, (recipient,)))
    assert await session.walk(mail) is CONTINUE
    await session.end()
    assert milter.data("C")[0].startswith(b"[2001:db8::1]\0006")
    assert milter.data("M") == [b'<"a b"@x.example>\0SIZE=5\0RET=FULL\0AUTH=<>\0']
    assert milter.data("R") == [b"<bob@example.org>\0NOTIFY=NEVER\0ORCPT=rfc822;bob@example.org\0"]
    told = b"\0".join(milter.data("D"))
    for pair in (
        b"{tls_version}\0TLSv1.3",
        b"{cipher}\0AES",
        b"{auth_authen}\0alice@elsewhere.example",
        b"{auth_type}\0SCRAM-SHA-256",
    ):
        assert pair in told


REFUSED = {
    b"r": Reply.of(550, "Command rejected", "5.7.1"),
    b"t": Reply.of(451, "Service unavailable, try again later", "4.7.1"),
    b"f": Reply.of(421, "Closing the connection", "4.7.0"),
    b"4": Reply.of(421, "Closing the connection", "4.7.0"),
    b"y554 5.7.9 Go away, 100%%\0": Reply.of(554, "Go away, 100%", "5.7.9"),
    b"y450-4.2.1 one\r\n450 4.2.1 two\0": Reply(450, ("one", "two"), "4.2.1"),
    b"y421 bye\0": Reply.of(421, "bye"),
}


@pytest.mark.parametrize("command", list("CHMRTLNBE"))
@pytest.mark.parametrize("answer", REFUSED, ids=repr)
@pytest_twisted.ensureDeferred
async def test_refusals(milter: FakeMilter, command: str, answer: bytes) -> None:
    """At every step, in its words or in ours."""
    milter.answers[command] = [answer]
    verdict = await asked(milter)
    assert verdict.reply == REFUSED[answer]
    assert verdict.action is (Action.REJECT if REFUSED[answer].permanent else Action.DEFER)
    assert milter.commands.endswith(f"{command}Q") or milter.commands.endswith(f"{command}AQ")


@pytest.mark.parametrize("command", list("CHMRTLNB"))
@pytest_twisted.ensureDeferred
async def test_accepts(milter: FakeMilter, command: str) -> None:
    """What is accepted is not asked about any more, and nothing but CONTINUE is said of it."""
    milter.answers[command] = [b"a"]
    session = Session(milter)
    assert await session.walk() is CONTINUE
    first = milter.commands
    assert first.startswith("O")
    assert command in first
    assert "E" not in first
    assert await session.walk(stages=("sender", "recipient", "message")) is CONTINUE
    again = milter.commands.removeprefix(first)
    assert bool(again) is (command not in "CH"), "the next mail is another one"
    await session.end()


@pytest.mark.parametrize("command", list("MRTLNBE"))
@pytest_twisted.ensureDeferred
async def test_discards(milter: FakeMilter, command: str) -> None:
    """A mail is discarded as a whole, even if that was said of a recipient."""
    milter.answers[command] = [b"d"]
    verdict = await asked(milter, message(BOB, CAROL))
    assert verdict.action is Action.DISCARD
    assert milter.commands.count("E") == (command == "E")


@pytest.mark.parametrize(("command", "told"), [("R", "RT"), ("L", "TLN"), ("B", "NBE")])
@pytest_twisted.ensureDeferred
async def test_skips(milter: FakeMilter, command: str, told: str) -> None:
    """SKIP means no more of the kind, in this mail."""
    milter.answers[command] = [b"s"]
    mail = message(BOB, CAROL, body=b"x" * 200_000)
    assert await asked(milter, mail) is CONTINUE
    assert told in milter.commands
    assert milter.commands.count(command) == 1


@pytest_twisted.ensureDeferred
async def test_one_recipient_refused(milter: FakeMilter) -> None:
    """A refused recipient is no reason against the next one."""
    session = Session(milter)
    mail = message(BOB)
    assert await session.walk(mail, ALL[:3]) is CONTINUE
    milter.answers["R"] = [b"r"]
    assert (await session.stages.recipient(session.context, Recipient(CAROL))).action
    milter.answers.clear()
    assert await session.walk(mail, ALL[3:]) is CONTINUE
    await session.end()
    assert milter.commands == "OCHMRRTLLLLNBEQ"


@pytest_twisted.ensureDeferred
async def test_changes(milter: FakeMilter) -> None:
    """All that a milter may change, as changes of ours."""
    milter.steps = 0x100000
    milter.answers["E"] = [
        *(b"+<carol@example.org>\0", b"p", b"2<dave@example.org>\0NOTIFY=NEVER\0"),
        *(b"-<bob@example.org>\0", b"e<eve@example.org>\0RET=HDRS ENVID=x\0"),
        *(b"hX-Last\0 yes\0", b"i\0\0\0\1DKIM-Signature\0 v=1;\n\tb=x\0"),
        *(b"m\0\0\0\1X-Old\0\0", b"m\0\0\0\2X-Old\0 two\0", b"m\0\0\0\1received\0 hidden\0"),
        *(b"m\0\0\0\7X-Old\0 new\0", b"m\0\0\0\7X-No\0\0", b"bone\ntwo\r", b"b\nthree\rfour"),
        b"a",
    ]
    verdict = await asked(milter)
    assert verdict.action is Action.CONTINUE
    assert verdict.changes == (
        ChangeHeader("X-Old", 1, b""),
        ChangeHeader("X-Old", 1, b" two"),
        ChangeHeader("received", 2, b" hidden"),
        InsertHeader("X-Old", b" new", None),
        AddRecipient(CAROL),
        AddRecipient(Address("dave", "example.org"), frozenset({Notify.NEVER})),
        RemoveRecipient(BOB),
        ChangeSender(Address("eve", "example.org"), Return.HEADERS, "x"),
        InsertHeader("X-Last", b" yes", None),
        InsertHeader("DKIM-Signature", b" v=1;\r\n\tb=x", 1),
        ReplaceBody(b"one\r\ntwo\r\nthree\r\nfour"),
    )
    made = edit_header((TRACE + FIELDS)[len(FRONT) :], verdict.changes)
    assert headers.names(made)[:3] == ["received", "dkim-signature", "received"]
    assert headers.every(made, b"x-old") == [b"two", b"new"]
    assert headers.every(made, b"received")[1] == b"hidden"


@pytest_twisted.ensureDeferred
async def test_quarantine(milter: FakeMilter) -> None:
    """The reason is the milter's; the other changes are made too."""
    milter.answers["E"] = [b"qlooks odd\r\nto me\0", b"hX\0y\0", b"c"]
    verdict = await asked(milter)
    assert verdict.action is Action.QUARANTINE
    assert verdict.reason == "looks odd??to me"
    assert verdict.changes == (InsertHeader("X", b" y", None),)


@pytest_twisted.ensureDeferred
async def test_sees_what_others_changed(milter: FakeMilter) -> None:
    """Fields and a body that earlier filters wanted are told in place of the message's."""
    mail = replace(message(), changes=(AddHeader("X-New", "1"), ReplaceBody(b"other\r\n")))
    assert await asked(milter, mail) is CONTINUE
    assert milter.data("L")[:2] == [b"X-New\0001\0", b"Received\0elsewhere\0"]
    assert milter.data("B") == [b"other\r\n"]


WRONG = {
    "a change before the end": ("M", b"hX\0y\0"),
    "an unknown word": ("M", b"?"),
    "more than a word": ("M", b"cc"),
    "discard of a connection": ("C", b"d"),
    "skip of a sender": ("M", b"s"),
    "a field without a value": ("E", b"hX\0"),
    "a field of no name": ("E", b"hX Y\0z\0"),
    "an index cut short": ("E", b"i\0\0"),
    "an address that is none": ("E", b"+<a@b>c>\0"),
    "a recipient's parameter that is none": ("E", b"2<a@b.example>\0WHAT=1\0"),
    "a sender that is none": ("E", b"e<a@b\r\nRSET>\0"),
    "a reply of success": ("M", b"y250 fine\0"),
    "a reply of two lines in one": ("M", b"y550 no\n250 yes\0"),
    "a reply with a line end": ("M", b"y550 no\rRSET\0"),
    "a reply that is no text": ("M", b"y550 \xff\0"),
    "a reply that contradicts itself": ("M", b"y550 4.1.1 x\0"),
    "a reply that does not end": ("M", b"y550-x\0"),
    "no reply": ("M", b"y\0"),
    "two offers": ("M", b"O" + bytes(12)),
}


@pytest.mark.parametrize("case", WRONG)
@pytest_twisted.ensureDeferred
async def test_nonsense(milter: FakeMilter, case: str) -> None:
    """What cannot be said fails the filter, and the reason names milter and phase."""
    command, answer = WRONG[case]
    milter.answers[command] = [answer]
    with pytest.raises(Unavailable) as caught:
        await asked(milter)
    assert caught.value.reason.startswith(f"{milter.where}: ")
    phase = {"C": "connect", "M": "mail", "E": "end of message"}[command]
    assert f": {phase}: " in caught.value.reason
    assert not milter.open


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\0\0\0\0",
        milter_packet(b"c"),
        milter_packet(b"O\0\0"),
        milter_packet(b"O" + (7).to_bytes(4, "big") + bytes(8)),
        milter_packet(b"O" + (1).to_bytes(4, "big") + bytes(8)),
        milter_packet(b"O\0\0\0\6\0\0\2\0\0\0\0\0"),
        milter_packet(b"O\0\0\0\6\0\0\0\0\1\0\0\0"),
        milter_packet(b"O\0\0\0\6" + bytes(8) + b"\0\0\0\x09x\0"),
        milter_packet(b"O\0\0\0\6" + bytes(8) + b"\0\0"),
        b"220 mail.example.org ESMTP\r\n",
    ],
    ids=repr,
)
@pytest_twisted.ensureDeferred
async def test_bad_negotiation(milter: FakeMilter, raw: bytes) -> None:
    """Who does not speak the protocol, or wants what there is not, fails the filter."""
    milter.raw = raw
    with pytest.raises(Unavailable) as caught:
        await asked(milter)
    assert f"{milter.where}: negotiation: " in caught.value.reason


@pytest_twisted.ensureDeferred
async def test_does_what_it_did_not_say(milter: FakeMilter) -> None:
    """A change that was not agreed on is none."""
    milter.actions = 0x1
    milter.answers["E"] = [b"q\0", b"c"]
    with pytest.raises(Unavailable):
        await asked(milter)


@pytest_twisted.ensureDeferred
async def test_too_much(milter: FakeMilter) -> None:
    """A body beyond the limit, and changes without end."""
    milter.answers["E"] = [b"b" + b"x" * 60_000] * 2 + [b"c"]
    with pytest.raises(Unavailable):
        await asked(milter, max_body=100_000)
    milter.answers["E"] = [b"hX\0y\0"] * 1100 + [b"c"]
    with pytest.raises(Unavailable):
        await asked(milter)


@pytest.mark.parametrize("command", list("OCHMRTLNBE"))
@pytest.mark.parametrize("answer", [HANG, CLOSE])
@pytest_twisted.ensureDeferred
async def test_dies_and_hangs(milter: FakeMilter, command: str, answer: bytes) -> None:
    """At every step: the filter fails in time and says where; the next mail is told anew."""
    milter.answers[command] = [answer]
    session = Session(milter, connect_timeout="200ms", **QUICK)
    with pytest.raises(Unavailable) as caught:
        await session.walk()
    assert caught.value.reason.startswith(f"{milter.where}: ")
    milter.answers.clear()
    milter.told.clear()
    assert await session.walk(stages=("message",)) is CONTINUE
    helo = "H" if session.context.helo else ""
    assert milter.commands == f"OC{helo}MRTLLLLNBE", "it is told all that it had not heard"
    await session.end()


@pytest_twisted.ensureDeferred
async def test_still_at_work(milter: FakeMilter) -> None:
    """Progress gives the phase its time again, so that a slow milter may finish."""
    milter.answers["E"] = []
    session = Session(milter, end_timeout="300ms")
    walking = Deferred.fromCoroutine(session.walk())
    while "E" not in milter.commands:
        await deferLater(reactor, 0, int)
    (wire,) = milter.open
    for _ in range(4):
        await deferLater(reactor, 0.1, int)
        wire.transport.write(milter_packet(b"p"))
    await deferLater(reactor, 0.1, int)
    wire.transport.write(milter_packet(b"a"))
    assert await walking is CONTINUE
    await session.end()


@pytest_twisted.ensureDeferred
async def test_nobody_waits(milter: FakeMilter) -> None:
    """Who does not want to know any more leaves no connection in the middle of something."""
    milter.answers["M"] = [HANG]
    session = Session(milter)
    walking = Deferred.fromCoroutine(session.walk())
    while "M" not in milter.commands:
        await deferLater(reactor, 0, int)
    walking.cancel()
    with pytest.raises(CancelledError):
        await walking
    milter.answers.clear()
    assert await session.walk(stages=("sender", "recipient", "message")) is CONTINUE
    assert milter.connections == 2
    await session.end()


@pytest_twisted.ensureDeferred
async def test_mails_of_one_connection(milter: FakeMilter) -> None:
    """Each is told of by itself; one that came to nothing is taken back."""
    session = Session(milter)
    assert await session.walk() is CONTINUE
    assert await session.walk(stages=("sender", "recipient")) is CONTINUE
    assert await session.walk(stages=("sender", "recipient", "message")) is CONTINUE
    await session.end()
    assert milter.commands == "OCHMRTLLLLNBE" + "MR" + "A" + "MRTLLLLNBE" + "Q"


@pytest_twisted.ensureDeferred
async def test_the_envelope_is_the_message_s(milter: FakeMilter) -> None:
    """What the milter heard of the envelope is set right before it hears the message."""
    session = Session(milter)
    assert await session.walk(message(BOB), ALL[:4]) is CONTINUE
    assert await session.walk(message(CAROL), ("message",)) is CONTINUE
    assert milter.data("R") == [b"<bob@example.org>\0", b"<carol@example.org>\0"]
    assert milter.commands == "OCHMR" + "A" + "MRTLLLLNBE"
    milter.answers["R"] = [b"r"]
    verdict = await session.walk(message(BOB), ("message",))
    assert verdict.action is Action.REJECT
    verdict = await session.walk(message(BOB, CAROL), ("message",))
    assert verdict.action is Action.DEFER
    await session.end()


@pytest_twisted.ensureDeferred
async def test_tells_of_refusals(milter: FakeMilter) -> None:
    """Recipients that others refused, to who wants them; lines that are no commands."""
    milter.steps = 0x800
    session = Session(milter)
    refusal = Reply.of(550, "No such user", "5.1.1")
    assert await session.walk(stages=ALL[:3]) is CONTINUE
    denial = Denial("routes", refusal, stage="recipient", recipient=Recipient(CAROL))
    await session.stages.deny(session.context, denial)
    await session.stages.deny(session.context, replace(denial, by="milter"))
    await session.stages.deny(session.context, Denial("protocol", refusal, line=b"WHAT\0 now"))
    await session.end()
    assert milter.commands == "OCHMRUAQ"
    assert milter.data("R") == [b"<carol@example.org>\0"]
    macros = {data[:1]: data[1:] for data in milter.data("D")}
    assert (
        macros[b"R"] == b"{rcpt_mailer}\0error\0{rcpt_host}\x005.1.1\0{rcpt_addr}\0No such user\0"
    )
    assert milter.data("U") == [b"WHAT  now\0"]


@pytest_twisted.ensureDeferred
async def test_reuse(milter: FakeMilter) -> None:
    """With `reuse` one connection serves another SMTP connection; one that went stale does not."""
    session = Session(milter, reuse=True)
    assert await session.walk() is CONTINUE
    await session.stages.disconnect(session.context)
    session.stages, session.context = session.filter.open(), connection()
    assert await session.walk() is CONTINUE
    assert milter.connections == 1
    assert milter.commands == "OCHMRTLLLLNBE" + "K" + "CHMRTLLLLNBE"
    await session.stages.disconnect(session.context)
    milter.answers["C"] = [CLOSE]  # a milter that closes when it is used again
    session.stages, session.context = session.filter.open(), connection()
    with pytest.raises(Unavailable):
        await session.walk()
    assert milter.connections == 2, "it was tried on a connection of its own"
    milter.answers.clear()
    assert await session.walk() is CONTINUE
    await session.end()
    assert milter.connections == 3


@pytest_twisted.ensureDeferred
async def test_nobody_listens(milter: FakeMilter) -> None:
    """A milter that is down fails the filter, and the reason names it."""
    await milter.stop()
    with pytest.raises(Unavailable) as caught:
        await asked(milter)
    assert caught.value.reason.startswith(f"{milter.where}: connect: ")
    await milter.listen(Path(milter.where.removeprefix("unix:")))
