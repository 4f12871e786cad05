"""Tests for `mailplat.proto.smtp.server`: the dialogue."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.reply import Reply
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.commands import (
    Data,
    Event,
    Hello,
    Login,
    Mail,
    Rcpt,
    Reset,
    StartTLS,
    Verify,
)
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.proto.smtp.replies import format_reply
from mailplat.proto.smtp.server import ServerConversation
from mailplat.proto.smtp.states import TRANSITIONS, State

ENVELOPE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
NO = Reply.of(550, "No", "5.7.1")


def refuse(kind: type[Event]) -> Callable[[Event], Reply | None]:
    """Refuse one kind of event."""
    return lambda event: NO if isinstance(event, kind) else None


def test_greeting() -> None:
    """Nothing is asked before the greeting; who speaks before it is known."""
    conversation = ServerConversation("mx.example", Offers(), Limits())
    assert conversation.next_event() is None
    assert not conversation.early
    conversation.receive(b"EHLO c\r\n")
    assert conversation.early
    assert conversation.next_event() is None
    conversation.greet()
    assert conversation.bytes_to_send() == b"220 mx.example ESMTP mailplat\r\n"
    assert conversation.next_event() == Hello("EHLO", "c")
    assert conversation.next_event() is None


def test_turned_away() -> None:
    """A client that is turned away can only quit (RFC 5321 §3.1); after 421 not even that."""
    conversation = ServerConversation("mx.example", Offers(), Limits())
    conversation.greet(Reply.of(554, "No", "5.7.1"))
    conversation.receive(b"EHLO c\r\nQUIT\r\n")
    assert conversation.next_event() is None
    said = conversation.bytes_to_send().decode().splitlines()
    assert [line[:9] for line in said] == ["554 5.7.1", "503 5.5.1", "221 2.0.0"]
    assert conversation.closing
    conversation = ServerConversation("mx.example", Offers(), Limits())
    conversation.greet(Reply.of(421, "Later"))
    assert conversation.closing
    assert conversation.bytes_to_send() == b"421 Later\r\n"


def test_a_mail(dialogue) -> None:  # type: ignore[no-untyped-def]
    """The ordinary way of a mail."""
    client = dialogue(hello=False)
    assert client.lines(b"EHLO client.example\r\n") == [
        "250-mx.example",
        "250-PIPELINING",
        "250-SIZE 52428800",
        "250-STARTTLS",
        "250-ENHANCEDSTATUSCODES",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-DSN",
        "250-CHUNKING",
        "250-BINARYMIME",
        "250-LIMITS MAILMAX=1000 RCPTMAX=1000",
        "250 HELP",
    ]
    assert client.lines(b"MAIL FROM:<a@b.example>\r\n") == ["250 2.1.0 Sender ok"]
    assert client.lines(b"RCPT TO:<c@d.example>\r\n") == ["250 2.1.5 Recipient ok"]
    assert client.lines(b"DATA\r\n") == ["354 End the message with <CRLF>.<CRLF>"]
    assert client.lines(b"Subject: x\r\n\r\n..\r\n") == []
    assert client.lines(b".\r\n") == ["250 2.0.0 Ok"]
    assert client.messages == [b"Subject: x\r\n\r\n.\r\n"]
    assert client.lines(b"QUIT\r\n") == ["221 2.0.0 Bye"]
    assert client.conversation.closing
    hello, mail, rcpt, data = client.events
    assert hello == Hello("EHLO", "client.example")
    assert mail.sender.address == Address("a", "b.example")
    assert rcpt.recipient.address == Address("c", "d.example")
    assert data == Data(binary=False)


def test_every_cut_gives_the_same(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A pipelined dialogue is answered alike however it is cut."""
    wire = (
        b"EHLO c\r\nNOOP\r\n" + ENVELOPE + b"RCPT TO:<bad\r\nDATA\r\nhi\r\n..\r\n.\r\n"
        b"AUTH PLAIN\r\nMAIL FROM:<>\r\nRSET\r\n" + ENVELOPE + b"BDAT 4\r\n\r\n.\r"
        b"BDAT 3 LAST\r\n\nxyVRFY a\r\nXYZZY\r\nRSET x\r\nHELO c\r\nQUIT\r\nNOOP\r\n"
    )
    whole = dialogue(hello=False)
    whole.feed(wire)
    assert whole.messages == [b"hi\r\n.\r\n", b"\r\n.\r\nxy"]
    for cut in range(1, len(wire)):
        client = dialogue(hello=False)
        client.feed(wire[:cut])
        client.feed(wire[cut:])
        assert client.sent == whole.sent, cut
        assert client.messages == whole.messages, cut
        assert client.events == whole.events, cut
    client = dialogue(hello=False)
    for byte in wire:
        client.feed(bytes([byte]))
    assert (client.sent, client.messages) == (whole.sent, whole.messages)


def test_pipelined_input_waits() -> None:
    """No event comes while another is unanswered, and replies keep their order."""
    conversation = ServerConversation("mx.example", Offers(), Limits())
    conversation.greet()
    conversation.receive(b"EHLO c\r\n" + ENVELOPE + b"NOOP\r\n")
    assert isinstance(conversation.next_event(), Hello)
    conversation.accept()
    assert isinstance(conversation.next_event(), Mail)
    conversation.bytes_to_send()
    assert conversation.next_event() is None
    assert conversation.bytes_to_send() == b""
    conversation.accept()
    assert isinstance(conversation.next_event(), Rcpt)
    conversation.answer(NO)
    assert conversation.next_event() is None
    said = conversation.bytes_to_send().decode().splitlines()
    assert [line[:9] for line in said] == ["250 2.1.0", "550 5.7.1", "250 2.0.0"]


def test_paused() -> None:
    """Beyond the limit of unread bytes nothing more should be read."""
    conversation = ServerConversation("mx.example", Offers(), Limits(read_ahead=100))
    conversation.greet()
    conversation.receive(b"EHLO c\r\n" + b"NOOP\r\n" * 20)
    assert conversation.paused
    assert conversation.next_event() is not None
    assert conversation.paused
    conversation.accept()
    assert conversation.next_event() is None
    assert not conversation.paused


@pytest.mark.parametrize(
    ("wire", "codes"),
    [
        (b"XYZZY\r\n", ["500 5.5.1"]),
        (b"\r\n", ["500 5.5.1"]),
        (b"NOOP\0\r\n", ["500 5.5.2"]),
        (b"NO\rOP\r\n", ["500 5.5.2"]),
        (b"\xff\xfe\r\n", ["500 5.5.1"]),
        (b"NOOP whatever\r\n", ["250 2.0.0"]),
        (b"noop \t \r\n", ["250 2.0.0"]),
        (b"EHLO\r\n", ["501 5.5.4"]),
        (b"LHLO c\r\n", ["500 5.5.1"]),
        (b"RSET x\r\n", ["501 5.5.4"]),
        (b"QUIT x\r\nQUIT\r\n", ["501 5.5.4", "221 2.0.0"]),
        (b"HELP\r\n", ["214 2.0.0"]),
        (b"VRFY\r\n", ["501 5.5.4"]),
        (b"VRFY a\r\n", ["252 2.5.0"]),
        (b"EXPN a\r\n", ["502 5.5.1"]),
        (b"RCPT TO:<a@b>\r\n", ["503 5.5.1"]),
        (b"DATA\r\n", ["503 5.5.1"]),
        (b"MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n", ["250 2.1.0", "503 5.5.1"]),
        (b"MAIL FROM:<a@b>\r\nDATA\r\n", ["250 2.1.0", "554 5.5.1"]),
        (b"MAIL FROM:<a@b>\r\nSTARTTLS\r\n", ["250 2.1.0", "503 5.5.1"]),
        (ENVELOPE + b"DATA x\r\n", ["250 2.1.0", "250 2.1.5", "501 5.5.4"]),
        (ENVELOPE + b"RSET\r\nDATA\r\n", ["250 2.1.0", "250 2.1.5", "250 2.0.0", "503 5.5.1"]),
        (ENVELOPE + b"EHLO c\r\nDATA\r\n", ["250 2.1.0", "250 2.1.5", "250 HELP", "503 5.5.1"]),
        (b"MAIL FROM:<a\r\n", ["501 5.1.7"]),
        (b"MAIL FROM:<> SIZE=99999999999\r\n", ["552 5.3.4"]),
        (b"MAIL FROM:<> REQUIRETLS\r\n", ["555 5.5.4"]),
        (b"STARTTLS x\r\n", ["501 5.5.4"]),
        (b"N" * 3000 + b"\r\nNOOP\r\n", ["500 5.5.2", "250 2.0.0"]),
        (b"AUTH PLAIN " + b"A" * 20000 + b"\r\n", ["500 5.5.2"]),
    ],
)
def test_answers(dialogue, wire: bytes, codes: list[str]) -> None:  # type: ignore[no-untyped-def]
    """Every command has one answer, at whatever place it comes."""
    assert dialogue().codes(wire) == codes
    client = dialogue()
    said = [code for byte in wire for code in client.codes(bytes([byte]))]
    assert said == codes


def test_every_row_of_the_table(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Each state takes the commands in its rows, goes where they say, and refuses the others."""
    ways = {
        State.START: b"",
        State.READY: b"EHLO c\r\n",
        State.SENDER: b"EHLO c\r\nMAIL FROM:<a@b>\r\n",
        State.RECIPIENTS: b"EHLO c\r\n" + ENVELOPE,
        State.CHUNKS: b"EHLO c\r\n" + ENVELOPE + b"BDAT 0\r\n",
        State.SPENT: b"EHLO c\r\n" + ENVELOPE + b"BDAT 1\r\n\nEHLO c\r\n",
    }
    commands = {
        "EHLO": b"EHLO c",
        "HELO": b"HELO c",
        "STARTTLS": b"STARTTLS",
        "AUTH": b"AUTH PLAIN AGEAYg==",
        "MAIL": b"MAIL FROM:<a@b>",
        "RCPT": b"RCPT TO:<c@d>",
        "DATA": b"DATA",
        "RSET": b"RSET",
        "NOOP": b"NOOP",
        "QUIT": b"QUIT",
    }
    offers = Offers(
        chunking=True, starttls=True, mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False
    )
    for state, way in ways.items():
        for verb, command in commands.items():
            if state is State.SPENT:
                way = b"EHLO c\r\n" + ENVELOPE + b"BDAT 1\r\n\n"
            client = dialogue(hello=False, offers=offers)
            client.feed(way)
            assert client.conversation.state is state
            (line,) = client.lines(command + b"\r\n")[-1:]
            target = TRANSITIONS.get((state, verb))
            if target is None:
                assert line.startswith(("503 5.5.1", "554 5.5.1")), (state, verb)
                assert client.conversation.state is state
            else:
                assert line[0] in "23", (state, verb)
                expected = State.START if target is State.TLS else target
                assert client.conversation.state is expected, (state, verb)


def test_bare_line_feed_ends_the_connection(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A client that ends lines with LF is told, and followed no further."""
    client = dialogue()
    assert client.codes(b"NOOP\nMAIL FROM:<a@b>\r\n") == ["500 5.5.2"]
    assert client.conversation.closing
    assert client.events == []
    assert client.codes(b"NOOP\r\n") == []


def test_web_browser(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A web client that was led here gets nowhere."""
    client = dialogue()
    assert client.codes(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<>\r\n") == ["500 5.5.1"]
    assert client.conversation.closing


def test_long_line_is_bounded(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A line without an end is not kept."""
    client = dialogue()
    for _ in range(100):
        client.feed(b"x" * 10000)
        assert len(client.conversation._input) <= 12288
    assert client.codes(b"\r\nNOOP\r\n") == ["500 5.5.2", "250 2.0.0"]


def test_too_many_errors(dialogue) -> None:  # type: ignore[no-untyped-def]
    """One refusal too many ends the connection; an accepted mail wipes the slate."""
    client = dialogue(limits=Limits(errors=3))
    assert client.codes(b"X\r\n" * 3) == ["500 5.5.1"] * 3
    client.feed(ENVELOPE + b"DATA\r\n.\r\n")
    assert client.codes(b"X\r\n" * 3) == ["500 5.5.1"] * 3
    assert client.codes(b"X\r\n" * 3) == ["500 5.5.1", "421 4.7.0"]
    assert client.conversation.closing


def test_too_many_messages(dialogue) -> None:  # type: ignore[no-untyped-def]
    """After so many messages the client has to connect again."""
    client = dialogue(limits=Limits(messages=2))
    for _ in range(2):
        assert client.codes(ENVELOPE + b"DATA\r\n.\r\n")[-1] == "250 2.0.0"
    assert client.codes(ENVELOPE) == ["421 4.7.0"]
    assert client.conversation.closing


def test_too_many_failed_logins(dialogue) -> None:  # type: ignore[no-untyped-def]
    """The third wrong password is the last (RFC 4954 §4)."""
    client = dialogue(refuse(Login), tls=True)
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\n" * 2) == ["550 5.7.1"] * 2
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\n") == ["550 5.7.1", "421 4.7.0"]


def test_too_many_idle_commands(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Commands that bring no mail forward are counted."""
    client = dialogue(limits=Limits(idle_commands=5))
    assert client.codes(b"NOOP\r\n" * 5) == ["250 2.0.0"] * 4 + ["421 4.7.0"]
    assert client.conversation.closing


def test_too_many_recipients(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Those above the limit are put off, those before stay (RFC 5321 §4.5.3.1.10)."""
    client = dialogue(limits=Limits(recipients=2))
    client.feed(ENVELOPE)
    assert client.codes(b"RCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\n") == ["250 2.1.5", "452 4.5.3"]
    assert client.codes(b"DATA\r\n.\r\n")[-1] == "250 2.0.0"


def test_refusals_lead_nowhere(dialogue) -> None:  # type: ignore[no-untyped-def]
    """After a refusal the state is what it was."""
    for kind, wire, state in (
        (Hello, b"EHLO c\r\n", State.START),
        (Mail, b"EHLO c\r\nMAIL FROM:<>\r\n", State.READY),
        (Rcpt, b"EHLO c\r\n" + ENVELOPE, State.SENDER),
        (Data, b"EHLO c\r\n" + ENVELOPE + b"DATA\r\n", State.RECIPIENTS),
        (StartTLS, b"STARTTLS\r\n", State.START),
        (Verify, b"VRFY x\r\n", State.START),
    ):
        client = dialogue(refuse(kind), hello=False)
        assert client.lines(wire)[-1][:4] == "550 "
        assert client.conversation.state is state


def test_starttls_forgets_everything(dialogue) -> None:  # type: ignore[no-untyped-def]
    """What was pipelined behind STARTTLS is dropped, and so is the state (RFC 3207 §4.2)."""
    client = dialogue()
    wire = b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@b>\r\n"
    client.conversation.receive(wire)
    assert client.conversation.next_event() == StartTLS()
    client.conversation.accept()
    client.conversation.receive(b"RCPT TO:<x@y>\r\n")
    assert client.conversation.next_event() is None
    assert client.said() == b"220 2.0.0 Ready to start TLS\r\n"
    client.conversation.tls_started()
    assert client.feed(b"") == b""
    assert client.codes(b"MAIL FROM:<a@b>\r\n") == ["503 5.5.1"]
    keywords = client.feed(b"EHLO c\r\n")
    assert b"STARTTLS" not in keywords
    assert b"AUTH PLAIN LOGIN\r\n" in keywords
    assert b"REQUIRETLS" in keywords
    assert client.codes(b"STARTTLS\r\n") == ["503 5.5.1"]
    assert client.codes(b"MAIL FROM:<> REQUIRETLS\r\n") == ["250 2.1.0"]


def test_auth_plain(dialogue) -> None:  # type: ignore[no-untyped-def]
    """AUTH with and without an initial response (RFC 4954 §4)."""
    message = b64encode(b"\0tim\0secret")
    for wire in (b"AUTH plain " + message, b"AUTH PLAIN\r\n" + message):
        client = dialogue(tls=True)
        assert client.lines(wire + b"\r\n")[-1] == "235 2.7.0 Authentication successful"
        assert client.events == [Login("PLAIN", PasswordCredentials("tim", "secret"))]
        assert client.conversation.authenticated
        assert client.codes(b"AUTH PLAIN\r\n") == ["503 5.5.1"]
        assert client.codes(b"MAIL FROM:<>\r\nRSET\r\n") == ["250 2.1.0", "250 2.0.0"]


def test_auth_login(dialogue) -> None:  # type: ignore[no-untyped-def]
    """The challenges are lines of base64."""
    client = dialogue(tls=True)
    assert client.lines(b"AUTH LOGIN\r\n") == ["334 VXNlcm5hbWU6"]
    assert client.lines(b"dGlt\r\n") == ["334 UGFzc3dvcmQ6"]
    assert client.codes(b"c2VjcmV0\r\n") == ["235 2.7.0"]


@pytest.mark.parametrize(
    ("wire", "codes"),
    [
        (b"AUTH\r\n", ["504 5.5.4"]),
        (b"AUTH CRAM-MD5\r\n", ["504 5.5.4"]),
        (b"AUTH PLAIN !\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN =\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN AABhAA==\r\n", ["501 5.5.2"]),
        (b"AUTH PLAIN AGEA\r\n", ["535 5.7.8"]),
        (b"AUTH LOGIN\r\n*\r\n", ["334 VXNlcm5hbWU6", "501 5.7.0"]),
        (b"AUTH LOGIN\r\nMAIL FROM:<a@b>\r\n", ["334 VXNlcm5hbWU6", "501 5.5.2"]),
        (b"AUTH PLAIN\r\n" + b"A" * 12300 + b"\r\n", ["334 ", "500 5.5.6"]),
        (b"AUTH PLAIN\r\n" + b"A" * 40000 + b"\r\n", ["334 ", "500 5.5.6"]),
        (b"MAIL FROM:<>\r\nAUTH PLAIN\r\n", ["250 2.1.0", "503 5.5.1"]),
    ],
)
def test_auth_refused(dialogue, wire: bytes, codes: list[str]) -> None:  # type: ignore[no-untyped-def]
    """What cannot become credentials is answered here, and mail can go on."""
    client = dialogue(tls=True)
    assert client.codes(wire) == codes
    assert client.events in ([], [Mail(client.events[0].sender)] if client.events else [])
    assert client.codes(b"RSET\r\nMAIL FROM:<>\r\n") == ["250 2.0.0", "250 2.1.0"]


def test_auth_login_refused(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A wrong password leaves the client where it was."""
    client = dialogue(refuse(Login), tls=True)
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\n") == ["550 5.7.1"]
    assert not client.conversation.authenticated


def test_auth_needs_tls(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Without TLS no password is taken, unless the listener says so."""
    client = dialogue()
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\n") == ["538 5.7.11"]
    offers = Offers(mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False)
    client = dialogue(offers=offers)
    assert b"AUTH PLAIN LOGIN" in client.feed(b"EHLO c\r\n")
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\n") == ["235 2.7.0"]
    client = dialogue(offers=Offers())
    assert client.codes(b"AUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n") == ["502 5.5.1", "502 5.5.1"]


def test_lmtp(dialogue) -> None:  # type: ignore[no-untyped-def]
    """LMTP: LHLO, and a reply for each recipient (RFC 2033 §4)."""
    client = dialogue(dialect=Dialect.LMTP)
    assert client.codes(b"EHLO c\r\nHELO c\r\n") == ["500 5.5.1", "500 5.5.1"]
    assert client.codes(b"MAIL FROM:<>\r\nDATA\r\n") == ["250 2.1.0", "503 5.5.1"]
    assert client.codes(b"RCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\n") == ["250 2.1.5"] * 2
    assert client.codes(b"DATA\r\nhi\r\n.\r\n")[1:] == ["250 2.0.0"] * 2
    client.feed(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\n")
    client.conversation.receive(b"BDAT 2 LAST\r\nhi")
    assert isinstance(client.conversation.next_event(), Data)
    client.conversation.accept()
    assert client.conversation.next_event() is not None
    with pytest.raises(ValueError):
        client.conversation.answer(NO, NO, NO)


def test_lmtp_answers_differ(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Each recipient's reply is its own; a spoiled message is refused for all."""
    client = dialogue(dialect=Dialect.LMTP)
    client.feed(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
    client.conversation.receive(b"hi\r\n.\r\n")
    assert client.conversation.next_event() is not None
    client.conversation.answer(Reply.of(250, "Ok"), NO)
    assert client.said() == b"250 2.0.0 Ok\r\n550 5.7.1 No\r\n"
    client.feed(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
    assert client.codes(b"h\n.\r\n.\r\n") == ["550 5.6.0"] * 2


def test_lmtp_bdat_for_nobody(dialogue) -> None:  # type: ignore[no-untyped-def]
    """BDAT LAST for no recipients has no replies (RFC 2033 §4.3)."""
    client = dialogue(dialect=Dialect.LMTP)
    assert client.codes(b"MAIL FROM:<>\r\nBDAT 2 LAST\r\nhiNOOP\r\n") == ["250 2.1.0", "250 2.0.0"]
    assert client.codes(b"BDAT 2\r\nhi") == ["554 5.5.1"]


def test_bdat(dialogue) -> None:  # type: ignore[no-untyped-def]
    """Chunks are counted and answered one by one (RFC 3030 §2)."""
    client = dialogue()
    client.feed(b"MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<a@b>\r\n")
    assert client.codes(b"DATA\r\n") == ["503 5.5.1"]
    assert client.codes(b"BDAT 8\r\n\r\n.\r\n\0\n\rBDAT 0\r\n") == ["250 2.0.0"] * 2
    assert client.codes(b"DATA\r\nMAIL FROM:<>\r\n") == ["503 5.5.1"] * 2
    assert client.codes(b"BDAT 0 LAST\r\n") == ["250 2.0.0"]
    assert client.messages == [b"\r\n.\r\n\0\n\r"]
    assert client.codes(b"BDAT 1 LAST\r\nx") == ["503 5.5.1"]


def test_bdat_that_cannot_be(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A chunk that nobody wants is drained; one without a size ends the connection."""
    assert dialogue().codes(b"BDAT 6\r\nNOOP\r\nNOOP\r\n") == ["503 5.5.1", "250 2.0.0"]
    assert dialogue().codes(b"MAIL FROM:<>\r\nBDAT 6\r\nNOOP\r\nNOOP\r\n") == [
        "250 2.1.0",
        "554 5.5.1",
        "250 2.0.0",
    ]
    for client, code in (
        (dialogue(), "501 5.5.4"),
        (dialogue(offers=Offers()), "502 5.5.1"),
    ):
        assert client.codes(b"BDAT x6\r\nNOOP\r\n") == [code]
        assert client.conversation.closing


def test_bdat_refused(dialogue) -> None:  # type: ignore[no-untyped-def]
    """After a refused chunk all further ones are drained and refused, until RSET."""
    client = dialogue(refuse(Data))
    client.feed(ENVELOPE)
    assert client.codes(b"BDAT 6\r\nNOOP\r\nBDAT 2 LAST\r\nXXNOOP\r\n") == [
        "550 5.7.1",
        "503 5.5.1",
        "250 2.0.0",
    ]
    assert client.codes(b"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\n") == [
        "503 5.5.1",
        "250 2.0.0",
        "250 2.1.0",
    ]
    client.feed(b"RSET\r\n" + ENVELOPE)
    assert client.codes(b"BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n") == ["550 5.7.1", "250 2.0.0"]


def test_end_of_input(dialogue) -> None:  # type: ignore[no-untyped-def]
    """A client that closed its half is still answered, and then left."""
    client = dialogue()
    client.conversation.receive(b"NOOP\r\nMAIL FROM:<>\r\nNOO")
    client.conversation.end_of_input()
    assert client.codes(b"") == ["250 2.0.0", "250 2.1.0"]
    assert client.conversation.closing
    client = dialogue()
    client.conversation.receive(ENVELOPE + b"DATA\r\nhalf")
    client.conversation.end_of_input()
    client.feed(b"")
    assert client.messages == []
    assert client.conversation.closing


def test_goodbye(dialogue) -> None:  # type: ignore[no-untyped-def]
    """421 comes unasked, once."""
    client = dialogue()
    client.conversation.goodbye()
    client.conversation.goodbye()
    assert client.said().startswith(b"421 4.3.2 ")
    assert client.conversation.closing
    with pytest.raises(RuntimeError):
        client.conversation.answer(NO)


def test_format_reply() -> None:
    """Replies are well-formed whatever their text is."""
    assert format_reply(Reply.of(250, "a\r\nb\xfc", "2.1.0")) == b"250 2.1.0 a??b?\r\n"
    assert format_reply(Reply(550, ("a", "b"), "2.0.0")) == b"550-5.0.0 a\r\n550 5.0.0 b\r\n"
    assert format_reply(Reply.of(354, "Go", "3.0.0")) == b"354 Go\r\n"
    assert format_reply(Reply.of(250, ""), enhanced=False) == b"250 \r\n"
    assert len(format_reply(Reply.of(250, "x" * 1000, "2.0.0"))) <= 512


VERBS = [
    b"EHLO c\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b".\r\n",
    b"x\r\n",
    b"BDAT 3\r\n",
    b"BDAT 2 LAST\r\n",
    b"RSET\r\n",
    b"AUTH LOGIN\r\n",
    b"dGlt\r\n",
    b"STARTTLS\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"QUIT\r\n",
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(VERBS), max_size=25), st.data())
def test_junk_at_any_cut(pieces: list[bytes], data: st.DataObject) -> None:
    """Whatever comes, the answers do not depend on how it was cut."""

    def talk(*chunks: bytes) -> tuple[bytes, list[Event]]:
        conversation = ServerConversation(
            "mx.example",
            Offers(chunking=True, mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False),
            Limits(errors=5),
        )
        conversation.greet()
        events: list[Event] = []
        for chunk in chunks:
            conversation.receive(chunk)
            while (event := conversation.next_event()) is not None:
                if isinstance(event, Mail | Rcpt | Reset | Hello | Login):
                    events.append(event)
                conversation.accept()
        return conversation.bytes_to_send(), events

    wire = b"".join(pieces)
    cut = data.draw(st.integers(0, len(wire)))
    assert talk(wire) == talk(wire[:cut], wire[cut:])
