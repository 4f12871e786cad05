"""What a listener allows beside sending mail: times, priorities, questions, proxies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest_twisted

from mailplat.model.envelope import ByMode, DeliverBy
from mailplat.model.verdict import Verdict
from mailplat.net.networks import Networks
from mailplat.proto.smtp.offers import Dialect
from mailplat.sessions.smtp.policy import Policy, Telling

ALICE, BOB = "alice@example.org", "bob@example.org"
SENDER = f"MAIL FROM:<{ALICE}>"
MESSAGE = "From: Alice <alice@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"


def set_policy(room: Any, **policy: Any) -> None:
    """Give the listener a policy."""
    room.options = replace(room.options, policy=Policy(**policy))


def test_mail_may_be_held(room: Any) -> None:
    """HOLDFOR and HOLDUNTIL within limits keep mail back, in the spool, for mailboxes here too."""
    room.offers = replace(room.offers, hold=86400)
    room.options = replace(room.options, submission=True)
    room.parts = replace(room.parts, spool=room.spool)
    set_policy(room, hold=86400)
    client = room.connect()
    assert "250-FUTURERELEASE 86400 2026-01-02T12:00:00Z\r\n" in client.say("EHLO c\r\n")
    client.log_in()
    for wrong, code in (
        ("HOLDFOR=86401", "501 5.5.4"),
        ("HOLDFOR=0", "501 5.5.4"),
        ("HOLDFOR=1d", "501 5.5.4"),
        ("HOLDUNTIL=2026-01-02T12:00:01Z", "501 5.5.4"),
        ("HOLDUNTIL=2026-01-01T11:59:59Z", "501 5.5.4"),
        ("HOLDUNTIL=2026-13-01T11:59:59Z", "501 5.5.4"),
        ("HOLDUNTIL=tomorrow", "501 5.5.4"),
        ("HOLDFOR=5 HOLDUNTIL=2026-01-01T12:30:00Z", "501 5.5.4"),
    ):
        assert client.codes(f"{SENDER} {wrong}\r\n") == [code], wrong
    for right in ("HOLDFOR=3600", "HOLDUNTIL=2026-01-01T14:00:00.5+01:00"):
        assert client.codes(f"{SENDER} {right}\r\nRCPT TO:<{BOB}>\r\n") == [
            "250 2.1.0",
            "250 2.1.5",
        ]
        assert client.codes(f"DATA\r\n{MESSAGE}.\r\n")[-1] == "250 2.0.0"
        envelope = room.spool.mails.pop()[0]
        assert envelope.sender.released(1_767_268_800) == 1_767_272_400


def test_deliver_by(room: Any) -> None:
    """BY is kept for the queue; what cannot be is refused."""
    room.offers = replace(room.offers, deliver_by=60)
    room.parts = replace(room.parts, spool=room.spool)
    client = room.connect()
    assert "250-DELIVERBY 60\r\n" in client.say("EHLO c\r\n")
    client.log_in()
    for wrong, code in (
        ("BY=0;R", "501 5.5.4"),
        ("BY=-5;R", "501 5.5.4"),
        ("BY=59;R", "555 5.5.4"),
        ("BY=60", "501 5.5.4"),
        ("BY=1234567890;N", "501 5.5.4"),
        ("BY", "501 5.5.4"),
    ):
        assert client.codes(f"{SENDER} {wrong}\r\n") == [code], wrong
    client.say(f"{SENDER} BY=60;rt\r\nRCPT TO:<x@{BOB.split('@')[1]}>\r\nRSET\r\n")
    client.say(f"{SENDER} BY=-60;N HOLDFOR=5\r\n")
    assert client.codes(f"{SENDER} BY=60;rt\r\n") == ["250 2.1.0"]
    assert client.connection.conversation.state.name == "SENDER"
    sender = DeliverBy(60, ByMode.RETURN, True)
    assert client.connection._session._context.sender.deliver_by == sender


def test_priority(room: Any) -> None:
    """Anybody may be less urgent; more only who is trusted, and others are told (RFC 6710 §4.1)."""
    room.offers = replace(room.offers, priority=True)
    client = room.connect()
    assert "250-MT-PRIORITY\r\n" in client.say("EHLO c\r\n")
    assert client.codes("MAIL FROM:<c@d.example> MT-PRIORITY=-9\r\nRSET\r\n")[0] == "250 2.1.0"
    assert client.say("MAIL FROM:<c@d.example> MT-PRIORITY=4\r\n") == (
        "250 2.3.6 0 is the priority of this mail\r\n"
    )
    for wrong in ("10", "+1", "-0", "", "x"):
        said = client.codes(f"RSET\r\nMAIL FROM:<c@d.example> MT-PRIORITY={wrong}\r\n")
        assert said[1][:3] == "501", wrong
    set_policy(room, urgent_users=3)
    client = room.hello()
    client.log_in()
    assert client.say(f"{SENDER} MT-PRIORITY=4\r\nRSET\r\n").startswith("250 2.3.6 3 is ")
    assert client.codes(f"{SENDER} MT-PRIORITY=3\r\n") == ["250 2.1.0"]
    set_policy(room, urgent_networks=Networks(["192.0.2.0/24"]))
    client = room.hello()
    assert client.codes("MAIL FROM:<c@d.example> MT-PRIORITY=9\r\n") == ["250 2.1.0"]


@pytest_twisted.ensureDeferred
async def test_priority_is_told_in_the_trace(room: Any) -> None:
    """Received has a PRIORITY clause (RFC 6710 §4.1)."""
    room.offers = replace(room.offers, priority=True)
    client = room.hello()
    client.say(f"MAIL FROM:<c@d.example> MT-PRIORITY=-2\r\nRCPT TO:<{BOB}>\r\n")
    client.say(f"DATA\r\n{MESSAGE}.\r\n")
    (stored,) = await room.mail_of(BOB)
    assert b"\tpriority -2;\r\n" in stored


def test_questions_about_addresses(room: Any) -> None:
    """VRFY and EXPN tell the truth to whom the policy says, and nothing to others."""
    questions = f"VRFY {ALICE}\r\nVRFY <nobody@example.org>\r\nVRFY x@y.example\r\nVRFY Alice\r\n"
    expn = f"EXPN {ALICE}\r\nEXPN nobody@example.org\r\nEXPN x@y.example\r\n"
    client = room.hello()
    assert client.codes(questions) == ["252 2.5.0"] * 4
    assert client.codes(expn) == ["502 5.5.1"] * 3
    set_policy(room, verify=Telling.EVERYBODY, expand=Telling.USERS)
    client = room.hello()
    told = ["250 2.1.5", "550 5.1.1", "252 2.5.0", "501 5.1.3"]
    assert client.codes(questions) == told
    assert client.codes(expn) == ["502 5.5.1"] * 3
    client.log_in()
    assert client.codes(expn) == ["250 2.1.5", "550 5.1.1", "550 5.1.1"]
    assert client.say("EXPN a@example.org\r\n") == "250 2.1.5 <alice@example.org>\r\n"
    room.options = replace(room.options, submission=True)
    assert room.hello().codes(questions) == ["530 5.7.0"] * 4


def test_xclient_is_for_trusted_proxies(room: Any) -> None:
    """Others are not offered it, and not heard."""
    client = room.connect()
    assert "XCLIENT" not in client.say("EHLO c\r\nHELP\r\n")
    assert client.codes("XCLIENT ADDR=203.0.113.5\r\n") == ["502 5.5.1"]
    assert client.connection.peer.address == "192.0.2.1"


@pytest_twisted.ensureDeferred
async def test_xclient(room: Any) -> None:
    """The session goes on with the client that the proxy names; filters see that one alone."""
    met: list[tuple[str, str]] = []

    def connect(context: Any) -> Verdict:
        met.append(("connect", context.peer.address))
        if context.peer.address == "203.0.113.13":
            return Verdict.reject("go away")
        return Verdict()

    def disconnect(context: Any) -> None:
        met.append(("disconnect", context.peer.address))

    room.filter = {"connect": connect, "disconnect": disconnect}
    set_policy(room, proxies=Networks(["192.0.2.0/24"]))
    client = room.connect()
    said = client.say("EHLO proxy.example\r\n")
    assert "250-XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT LOGIN\r\n" in said
    assert client.codes("XCLIENT\r\nXCLIENT X=1\r\nXCLIENT ADDR=x ADDR=y\r\n") == ["501 5.5.4"] * 3
    assert client.codes("XCLIENT PORT=99999\r\nXCLIENT PROTO=HTTP\r\n") == ["501 5.5.4"] * 2
    assert client.codes("XCLIENT HELO=a+0Ab\r\nXCLIENT LOGIN=nobody\r\n") == [
        "501 5.5.4",
        "550 5.7.1",
    ]
    said = client.say(
        "XCLIENT NAME=c.example ADDR=IPV6:2001:db8::7 PORT=51000 PROTO=ESMTP HELO=[UNAVAILABLE]"
        " DESTADDR=198.51.100.9 DESTPORT=2525\r\n"
    )
    assert said == "220 mx.example.org ESMTP mailplat\r\n"
    peer = client.connection.peer
    assert (peer.address, peer.port) == ("2001:db8::7", 51000)
    assert (peer.local_address, peer.local_port) == ("198.51.100.9", 2525)
    assert client.codes("MAIL FROM:<c@d.example>\r\nEHLO c.example\r\n")[0] == "503 5.5.1"
    assert client.codes("MAIL FROM:<c@d.example>\r\nXCLIENT ADDR=203.0.113.5\r\n") == [
        "250 2.1.0",
        "503 5.5.1",
    ]
    assert client.codes(f"RCPT TO:<{ALICE}>\r\nDATA\r\n{MESSAGE}.\r\n")[-1] == "250 2.0.0"
    (stored,) = await room.mail_of(ALICE)
    assert b"([IPv6:2001:db8::7])" in stored
    said = client.say(f"XCLIENT ADDR=203.0.113.5 LOGIN={ALICE}\r\nEHLO c\r\n{SENDER}\r\n")
    assert said.endswith("250 2.1.0 Sender ok\r\n")
    assert client.codes("RSET\r\nAUTH PLAIN\r\n") == ["250 2.0.0", "503 5.5.1"]
    assert client.codes("XCLIENT ADDR=203.0.113.13\r\n") == ["421 4.7.0"]
    assert client.wire.closing
    client.lose()
    assert [address for what, address in met if what == "connect"] == [
        address for what, address in met if what == "disconnect"
    ]
    assert [address for what, address in met if what == "connect"] == [
        "192.0.2.1",
        "2001:db8::7",
        "203.0.113.5",
        "203.0.113.13",
    ]


def test_filters_know_the_protocol(room: Any) -> None:
    """A filter sees whether SMTP or LMTP is spoken."""
    seen: list[str] = []

    def connect(context: Any) -> Verdict:
        seen.append(context.protocol)
        return Verdict()

    room.filter = {"connect": connect}
    room.connect()
    room.options, room.dialect = replace(room.options, lmtp=True), Dialect.LMTP
    room.connect()
    assert seen == ["smtp", "lmtp"]
