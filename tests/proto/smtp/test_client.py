"""Tests for `mailplat.proto.smtp.client`: against scripts, and against our own server."""

from __future__ import annotations

import itertools
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials, ScramRequest, TokenCredentials
from mailplat.model.envelope import BodyType, Recipient, Sender
from mailplat.model.reply import Reply
from mailplat.proto.sasl.client import choose
from mailplat.proto.sasl.exchange import Challenge, begin, respond
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.sasl.scram import keys_of
from mailplat.proto.sasl.scram_server import ScramExchange
from mailplat.proto.smtp.client import ClientConversation
from mailplat.proto.smtp.client_events import (
    ClientEvent,
    ContentWanted,
    Gone,
    Handed,
    KeyWanted,
    LoginAnswered,
    Phase,
    Ready,
    TLSAnswered,
)
from mailplat.proto.smtp.commands import Block, Event, Login, Rcpt, StartTLS
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.proto.smtp.reply_reader import ReplyLimits
from mailplat.proto.smtp.server import ServerConversation
from mailplat.proto.smtp.transfer import Contents, Result, Transfer

ANN, BEN, EVE = (Recipient(Address(name, "example.org")) for name in ("ann", "ben", "eve"))
SENDER = Sender(Address("sender", "example.net"))
MESSAGE = b"Subject: x\r\n\r\n.dot\r\n..\r\nbye\r\n"
LOST = Reply.of(451, "lost", "4.4.2")
LEAVING = b"421 4.3.2 going down\r\n"

PLAIN = b"220 hi\r\n", b"250 mx\r\n"
PIPELINED = b"220 hi\r\n", b"250-mx\r\n250 PIPELINING\r\n"
CHUNKED = b"220 hi\r\n", b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
SLOWLY_CHUNKED = b"220 hi\r\n", b"250-mx\r\n250 CHUNKING\r\n"


MAIL = b"MAIL FROM:<sender@example.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
MAIL_OF = {PIPELINED: MAIL, CHUNKED: MAIL.removesuffix(b"DATA\r\n")}


def transfer(*recipients: Recipient, sender: Sender = SENDER) -> Transfer:
    """Make a transfer of `MESSAGE`."""
    return Transfer(sender, recipients or (ANN,), Contents(len(MESSAGE)))


class Owner:
    """Owns a conversation: gives contents in blocks, notes events and all that was said."""

    def __init__(self, blocks: Sequence[bytes] = (MESSAGE,), **options: object) -> None:
        self.conversation = ClientConversation("me.example", **options)  # type: ignore[arg-type]
        self.blocks = blocks
        self.events: list[ClientEvent] = []
        self.said = b""
        self._left: list[bytes] = []

    def feed(self, *chunks: bytes) -> bytes:
        """Give the server's bytes; tell what is said to them."""
        said = b""
        for data in chunks:
            self.conversation.receive(data)
            said += self.go_on()
        return said

    def go_on(self) -> bytes:
        """Take what happened, give contents where they are wanted, tell what is said."""
        while (event := self.conversation.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, ContentWanted):
                self._left = self._left or list(self.blocks)
                while self.conversation.streaming:
                    block = self._left.pop(0)
                    self.conversation.content(block, last=not self._left)
        said = self.conversation.bytes_to_send()
        self.said += said
        return said

    def send(self, one: Transfer) -> bytes:
        """Begin a transfer; tell what is said."""
        self._left = []
        self.conversation.send(one)
        return self.go_on()

    def codes(self) -> list[int]:
        """The codes of the last transfer's results; there was one transfer at least."""
        return [result.reply.code for result in self.results()]

    def results(self) -> tuple[Result, ...]:
        """The last transfer's results."""
        return next(e.results for e in reversed(self.events) if isinstance(e, Handed))


def ready(hello: Iterable[bytes], **options: object) -> Owner:
    """Make an owner whose server has greeted."""
    owner = Owner(**options)  # type: ignore[arg-type]
    assert owner.feed(*hello).startswith(b"EHLO me.example\r\n")
    assert owner.events == [Ready()]
    assert owner.conversation.phase is Phase.IDLE
    return owner


def log_in(owner: Any) -> None:
    """Log in by the strongest mechanism that there is."""
    credentials = PasswordCredentials("me", "secret")
    chosen = choose(owner.conversation.offers.mechanisms, credentials, lambda: "nonce")
    assert chosen is not None
    owner.conversation.login(*chosen)


def test_one_at_a_time() -> None:
    """Without PIPELINING a command waits for the answer to the one before."""
    owner = ready(PLAIN)
    assert owner.send(transfer(ANN, BEN)) == b"MAIL FROM:<sender@example.net>\r\n"
    assert owner.feed(b"250 ok\r\n") == b"RCPT TO:<ann@example.org>\r\n"
    assert owner.feed(b"550 5.1.1 who\r\n") == b"RCPT TO:<ben@example.org>\r\n"
    assert owner.feed(b"250 ok\r\n") == b"DATA\r\n"
    wire = owner.feed(b"354 go\r\n")
    assert wire == b"Subject: x\r\n\r\n..dot\r\n...\r\nbye\r\n.\r\n"
    assert owner.conversation.phase is Phase.END
    assert owner.feed(b"250 2.0.0 queued as X\r\n") == b""
    assert owner.results() == (
        Result(Reply(550, ("who",), "5.1.1")),
        Result(Reply(250, ("queued as X",), "2.0.0")),
    )
    assert owner.send(transfer()).startswith(b"MAIL")  # and again


def test_pipelined() -> None:
    """With PIPELINING the commands go out together, DATA last (RFC 2920 §3.1)."""
    owner = ready(PIPELINED)
    assert owner.send(transfer(ANN, BEN)) == (
        b"MAIL FROM:<sender@example.net>\r\nRCPT TO:<ann@example.org>\r\n"
        b"RCPT TO:<ben@example.org>\r\nDATA\r\n"
    )
    assert owner.feed(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").endswith(b"\r\n.\r\n")
    owner.feed(b"250 ok\r\n")
    assert owner.codes() == [250, 250]


@pytest.mark.parametrize(
    ("hello", "replies", "codes", "said"),
    [
        # MAIL is refused: everybody hears why
        (PLAIN, b"452 4.3.1 full\r\n", [452, 452], b"RSET\r\n"),
        (PIPELINED, b"452 full\r\n503 no\r\n503 no\r\n503 no\r\n", [452, 452], b"RSET\r\n"),
        # nobody is accepted
        (PIPELINED, b"250 k\r\n550 a\r\n450 b\r\n554 no\r\n", [550, 450], b"RSET\r\n"),
        # nobody is accepted, and DATA all the same: an empty message ends it (RFC 2920 §3.1)
        (PIPELINED, b"250 k\r\n550 a\r\n450 b\r\n354 go\r\n", [550, 450], b".\r\n"),
        (PIPELINED, b"250 k\r\n550 a\r\n250 k\r\n451 not now\r\n", [550, 451], b"RSET\r\n"),
        (CHUNKED, b"250 k\r\n550 a\r\n450 b\r\n", [550, 450], b"RSET\r\n"),
        # 552 to a further recipient is 452 (RFC 5321 §4.5.3.1.10)
        (PLAIN, b"250 k\r\n@250 a\r\n@552 many\r\n@354 go\r\n@250 k\r\n", [250, 452], b""),
        (PLAIN, b"250 k\r\n@250 a\r\n@552 5.2.2 full\r\n@354 go\r\n@250 k\r\n", [250, 552], b""),
        (PLAIN, b"250 k\r\n@252 a\r\n@251 b\r\n@354 go\r\n@554 spam\r\n", [554, 554], b"RSET\r\n"),
    ],
)
def test_refusals(
    hello: tuple[bytes, bytes], replies: bytes, codes: list[int], said: bytes
) -> None:
    """Whoever is refused has the reply that refused him, and the server is reset after it."""
    owner = ready(hello)
    owner.send(transfer(ANN, BEN))
    last = b""
    for data in replies.split(b"@"):
        last = owner.feed(data)
    if said == b".\r\n":
        assert last == said
        last = owner.feed(b"250 thanks for nothing\r\n")
        said = b"RSET\r\n"
    assert owner.codes() == codes
    assert last == said
    if said:  # the answer to RSET may be late
        assert owner.send(transfer()) == (b"" if hello is PLAIN else MAIL_OF[hello])
        owner.feed(b"250 reset\r\n")
    assert not owner.conversation.closing


def test_refusals_by_chunks_are_reset_in_the_same_way() -> None:
    """After a refused chunk no more bytes are given, and the server is reset (RFC 3030 §2)."""
    owner = ready(SLOWLY_CHUNKED, blocks=[b"one\r\n", b"two\r\n", b"three\r\n"])
    owner.send(transfer())
    owner.feed(b"250 k\r\n")
    assert owner.feed(b"250 k\r\n") == b"BDAT 5\r\none\r\n"
    assert owner.conversation.phase.name == "CHUNK"
    assert owner.feed(b"250 k\r\n") == b"BDAT 5\r\ntwo\r\n"
    assert owner.feed(b"552 5.3.4 too big\r\n") == b"RSET\r\n"
    assert owner.codes() == [552]
    owner.feed(b"250 reset\r\n")
    assert owner.conversation.phase.name == "IDLE"


def test_chunks_are_pipelined() -> None:
    """Where the server pipelines, chunks do not wait; the first refusal is the answer."""
    owner = ready(CHUNKED, blocks=[b"one\n", b"two\r", b"\nthree"])
    assert owner.send(transfer()) == MAIL.removesuffix(b"DATA\r\n")
    wire = owner.feed(b"250 k\r\n250 k\r\n")
    assert wire == b"BDAT 5\r\none\r\nBDAT 3\r\ntwoBDAT 9 LAST\r\n\r\nthree\r\n"
    assert owner.feed(b"250 k\r\n451 disk\r\n503 what\r\n") == b"RSET\r\n"
    assert owner.codes() == [451]
    assert not owner.results()[0].unsure


def test_binary_goes_by_chunks_as_it_is() -> None:
    """A binary message keeps every byte (RFC 3030 §3)."""
    hello = b"220 hi\r\n", b"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"
    owner = ready(hello, blocks=[b"\0\n\r.", b""], chunking=False)
    said = owner.send(transfer(sender=replace(SENDER, body=BodyType.BINARY)))
    assert said.startswith(b"MAIL FROM:<sender@example.net> BODY=BINARYMIME\r\n")
    assert owner.feed(b"250 k\r\n250 k\r\n") == b"BDAT 4\r\n\0\n\r.BDAT 0 LAST\r\n"


def test_lmtp_answers_for_each() -> None:
    """LMTP has a reply for each accepted recipient (RFC 2033 §4.2)."""
    owner = Owner(dialect=Dialect.LMTP)
    assert owner.feed(b"220 hi\r\n") == b"LHLO me.example\r\n"
    owner.feed(PIPELINED[1])
    owner.send(transfer(ANN, BEN, EVE))
    owner.feed(b"250 k\r\n250 k\r\n550 no\r\n250 k\r\n354 go\r\n")
    owner.feed(b"250 ann has it\r\n")
    assert not any(isinstance(event, Handed) for event in owner.events)
    owner.feed(b"452 4.2.2 full\r\n")
    assert owner.codes() == [250, 550, 452]


def test_hello_falls_back() -> None:
    """A server that knows no EHLO is told HELO; one that knows neither is left."""
    owner = Owner()
    owner.feed(b"220 old\r\n")
    assert owner.feed(b"500 what\r\n") == b"HELO me.example\r\n"
    owner.feed(b"250 old.example hello\r\n")
    assert owner.events == [Ready()]
    assert owner.conversation.offers.name == "old.example"
    assert owner.send(transfer()) == b"MAIL FROM:<sender@example.net>\r\n"
    stubborn = Owner()
    stubborn.feed(b"220 x\r\n", b"502 no\r\n", b"550 5.7.1 no\r\n")
    assert stubborn.events == [Gone(Reply(550, ("no",), "5.7.1"))]
    assert stubborn.conversation.closing


@pytest.mark.parametrize("greeting", [b"554 no mail here\r\n", b"421 busy\r\n", b"450 later\r\n"])
def test_turned_away(greeting: bytes) -> None:
    """A server may refuse at once; what it said is the reason."""
    owner = Owner()
    owner.feed(greeting)
    (gone,) = owner.events
    assert isinstance(gone, Gone)
    assert gone.reply.code == int(greeting[:3])
    assert owner.conversation.closing


@pytest.mark.parametrize(
    "said",
    [
        [b"250 hi\r\n"],
        [b"354 hi\r\n"],
        [b"220 hi\r\n", b"354 what\r\n"],
        [b"220 hi\r\n", b"500 what\r\n", b"354 what\r\n"],
    ],
)
def test_nonsense_at_the_beginning(said: list[bytes]) -> None:
    """A positive answer of the wrong kind ends the conversation before it begins."""
    owner = Owner()
    owner.feed(*said)
    (gone,) = owner.events
    assert isinstance(gone, Gone)
    assert gone.reply.status == "4.5.0"


def test_nonsense_to_starttls() -> None:
    """Nobody can tell whether TLS begins after it."""
    owner = ready(PLAIN)
    owner.conversation.start_tls()
    owner.feed(b"250 ok\r\n")
    assert isinstance(owner.events[-1], Gone)


def test_nobody_is_left_for_data() -> None:
    """Without PIPELINING nothing is sent for nobody; LMTP must not ask for it (RFC 2033 §4.2)."""
    owner = ready(PLAIN)
    owner.send(transfer(ANN, BEN))
    assert owner.feed(b"250 k\r\n", b"550 a\r\n", b"550 b\r\n").endswith(b"RSET\r\n")
    assert owner.codes() == [550, 550]
    lmtp = Owner(dialect=Dialect.LMTP)
    lmtp.feed(*PIPELINED)
    lmtp.send(transfer(ANN))
    lmtp.feed(b"250 k\r\n550 a\r\n354 go\r\n")
    assert lmtp.codes() == [550]
    assert isinstance(lmtp.events[-1], Gone)


def test_refusals_while_chunks_are_under_way() -> None:
    """Chunks that are sent already are waited for; a 3xx to one of them is nonsense."""
    for second, code in [(b"503 what\r\n", 451), (b"250 k\r\n", 451), (b"354 go\r\n", 451)]:
        owner = ready(CHUNKED)
        conversation = owner.conversation
        owner.send(transfer())
        conversation.receive(b"250 k\r\n250 k\r\n")
        assert conversation.next_event() == ContentWanted()
        conversation.content(b"one\r\n", last=False)
        conversation.content(b"two\r\n", last=False)
        assert owner.feed(b"451 4.3.0 disk\r\n") == b"BDAT 5\r\none\r\nBDAT 5\r\ntwo\r\n"
        assert not conversation.streaming
        owner.feed(second)
        assert owner.codes() == [code]
        assert owner.results()[0].reply.text == "disk"
        assert conversation.closing is second.startswith(b"354")


def test_tls_drops_what_was_injected() -> None:
    """Plaintext behind the answer to STARTTLS is never read (RFC 3207 §4.2)."""
    for wire in (b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n", b"220 go\r\n" + LEAVING):
        for cut in range(len(wire)):
            owner = ready([b"220 hi\r\n", b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"])
            owner.conversation.start_tls()
            assert owner.go_on() == b"STARTTLS\r\n"
            owner.feed(wire[:cut], wire[cut:])
            assert owner.events[1:] == [TLSAnswered(Reply(220, ("go",)))]
            owner.conversation.tls_started()
            assert owner.go_on() == b"EHLO me.example\r\n"
            assert not owner.conversation.offers.pipelining
            owner.feed(b"250 mx\r\n")
            assert owner.events[2:] == [Ready()]
            assert owner.conversation.offers.mechanisms == frozenset()


def test_tls_refused() -> None:
    """A refused STARTTLS leaves the connection as it was."""
    owner = ready(PLAIN)
    owner.conversation.start_tls()
    owner.feed(b"454 4.7.0 not now\r\n")
    assert owner.events[1:] == [TLSAnswered(Reply(454, ("not now",), "4.7.0"))]
    assert owner.send(transfer()).startswith(b"MAIL")


@pytest.mark.parametrize(
    ("offered", "dialogue", "good"),
    [
        ("PLAIN LOGIN", [(b"AUTH PLAIN AG1lAHNlY3JldA==\r\n", b"235 ok\r\n")], True),
        ("PLAIN", [(b"AUTH PLAIN AG1lAHNlY3JldA==\r\n", b"535 5.7.8 no\r\n")], False),
        (
            "PLAIN",  # it did not look at the initial response
            [
                (b"AUTH PLAIN AG1lAHNlY3JldA==\r\n", b"334 \r\n"),
                (b"AG1lAHNlY3JldA==\r\n", b"235 ok\r\n"),
            ],
            True,
        ),
        (
            "LOGIN",
            [
                (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
                (b"bWU=\r\n", b"334 UGFzc3dvcmQ6\r\n"),
                (b"c2VjcmV0\r\n", b"235 ok\r\n"),
            ],
            True,
        ),
    ],
)
def test_login(offered: str, dialogue: list[tuple[bytes, bytes]], good: bool) -> None:
    """PLAIN goes in one line, LOGIN in three (RFC 4616, draft-murchison-sasl-login)."""
    owner = ready([b"220 hi\r\n", b"250-mx\r\n250 AUTH %s\r\n" % offered.encode()])
    log_in(owner)
    said = owner.go_on()
    for command, reply in dialogue:
        assert said == command
        said = owner.feed(reply)
    assert isinstance(owner.events[-1], LoginAnswered)
    assert owner.conversation.authenticated is good


def test_login_that_asks_for_ever() -> None:
    """A server that asks for more than there is, is told that we give up, and believed no more."""
    owner = ready([b"220 hi\r\n", b"250-mx\r\n250 AUTH LOGIN\r\n"])
    log_in(owner)
    owner.feed(b"334 \r\n", b"334 \r\n", b"334 more\r\n", b"235 come in\r\n")
    assert isinstance(owner.events[-1], LoginAnswered)
    assert not owner.conversation.authenticated


def test_login_by_scram() -> None:
    """The key is derived elsewhere, and a server that proved nothing is not believed."""
    offers = b"250-mx\r\n250 AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-1\r\n"
    for honest in (True, False):
        owner = ready([b"220 hi\r\n", offers])
        log_in(owner)
        server = ScramExchange("SCRAM-SHA-256", "server")
        line = owner.go_on()
        assert line.startswith(b"AUTH SCRAM-SHA-256 ")
        assert begin(server, line.split()[2]) == ScramRequest("me", "SCRAM-SHA-256")
        challenge = server.answer(keys_of("SCRAM-SHA-256", "secret", b"salt", 4096))
        assert isinstance(challenge, Challenge)
        assert owner.feed(b"334 " + challenge.line + b"\r\n") == b""
        wanted = owner.events[-1]
        assert isinstance(wanted, KeyWanted)
        owner.conversation.give_key(wanted.derivation.derive())
        proof = respond(server, owner.go_on().strip())
        assert isinstance(proof, Challenge)
        if honest:
            assert owner.feed(b"334 " + proof.line + b"\r\n") == b"\r\n"
        owner.feed(b"235 come in\r\n")
        assert isinstance(owner.events[-1], LoginAnswered)
        assert owner.conversation.authenticated is honest


def test_long_tokens_go_behind_their_command() -> None:
    """An initial response that would make the line too long waits for the server (RFC 4954 §4)."""
    owner = ready([b"220 hi\r\n", b"250-mx\r\n250 AUTH OAUTHBEARER\r\n"])
    chosen = choose({"OAUTHBEARER"}, TokenCredentials("x" * 1000, "me"), lambda: "n")
    assert chosen is not None
    owner.conversation.login(*chosen)
    assert owner.go_on() == b"AUTH OAUTHBEARER\r\n"
    said = owner.feed(b"334 \r\n")
    assert b64decode(said) == b"n,a=me,\1auth=Bearer " + b"x" * 1000 + b"\1\1"
    assert owner.feed(b"334 e30=\r\n") == b"AQ==\r\n"
    owner.feed(b"535 no\r\n")
    assert not owner.conversation.authenticated


def test_what_cannot_be_sent_is_not_tried() -> None:
    """A recipient that the server cannot take has an answer without a word being said."""
    owner = ready(PLAIN)
    assert owner.send(transfer(Recipient(Address("josé", "example.org")))) == b""
    assert owner.codes() == [550]
    crooked = Recipient(Address("a\r\nRSET", "example.org"))
    owner.send(transfer(Recipient(Address("josé", "example.org")), ANN, crooked))
    owner.feed(*[b"250 k\r\n"] * 2, b"354 go\r\n", b"250 k\r\n")
    assert owner.codes() == [550, 250, 553]
    assert b"RSET" not in owner.said


# The right replies for ANN and BEN, one by one; index 3 is DATA's, 4 the message's.
SCRIPT = [b"250 k\r\n", b"250 k\r\n", b"550 5.1.1 who\r\n", b"354 go\r\n", b"250 k\r\n"]


@pytest.mark.parametrize("hello", [PLAIN, PIPELINED])
@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (LEAVING, 421),
        (b"HTTP/1.1 400 Bad Request\r\n", 451),
        (b"x" * 10_000, 451),
        (b"250-endless\r\n" * 10_000, 451),
        (b"399 what\r\n", 451),
        (b"", 451),  # it hangs up
    ],
)
def test_goes_wrong_at_every_step(
    hello: Sequence[bytes], step: int, wrong: bytes, code: int
) -> None:
    """Whatever the server does instead of its answer: one result each, and it is over.

    What was answered before stands; only a message without an answer is unsure.
    """
    owner = ready(hello)
    owner.send(transfer(ANN, BEN))
    owner.feed(*SCRIPT[:step])
    if wrong:
        owner.feed(wrong)
    else:
        owner.conversation.end_of_input()
        owner.go_on()
    unsure = step == 4 and code == 451
    assert owner.codes() == [code, 550 if step > 2 else code]
    assert [result.unsure for result in owner.results()] == [unsure, False]
    assert isinstance(owner.events[-1], Gone)
    assert owner.conversation.closing
    assert owner.feed(b"250 too late\r\n") == b""
    assert sum(isinstance(event, Handed) for event in owner.events) == 1


@pytest.mark.parametrize("step", range(5))
def test_abandoned_at_every_step(step: int) -> None:
    """A connection lost from outside: the same, and what came in at last still counts."""
    owner = ready(PIPELINED)
    owner.send(transfer(ANN, BEN))
    owner.feed(*SCRIPT[:step])
    owner.conversation.abandon(LOST)
    owner.go_on()
    assert owner.results()[0] == Result(LOST, step == 4)
    assert owner.events[-1] == Gone(LOST)
    late = ready(PIPELINED)
    late.send(transfer(ANN, BEN))
    late.feed(*SCRIPT[:4])
    late.conversation.receive(SCRIPT[4])
    late.conversation.abandon(LOST)
    late.go_on()
    assert late.codes() == [250, 550]


def test_refused_before_the_end_of_the_message() -> None:
    """A server may say no in the middle: its word counts, and nothing follows it."""
    for early, code in [(b"552 5.3.4 too big\r\n", 552), (LEAVING, 421), (b"250 ok\r\n", 451)]:
        owner = ready(PLAIN)
        owner.send(transfer())
        owner.feed(b"250 k\r\n", b"250 k\r\n")
        conversation = owner.conversation
        conversation.receive(b"354 go\r\n")
        assert conversation.next_event() == ContentWanted()
        conversation.content(b"Subject: x\r\n", last=False)
        assert conversation.streaming
        conversation.receive(early)
        assert not conversation.streaming
        owner.go_on()
        assert owner.codes() == [code]
        assert not owner.results()[0].unsure
        assert conversation.closing


def test_unasked_words_end_it() -> None:
    """A server that talks while nothing is asked cannot be followed any further."""
    for said, code in [(LEAVING, 421), (b"250 ok\r\n", 451)]:
        owner = ready(PLAIN)
        owner.feed(said)
        gone = owner.events[-1]
        assert isinstance(gone, Gone)
        assert gone.reply.code == code
        with pytest.raises(RuntimeError):
            owner.conversation.send(transfer())


def test_reset_refused() -> None:
    """A server that takes no RSET is in an unknown state, and left."""
    owner = ready(PIPELINED)
    owner.send(transfer())
    owner.feed(b"250 k\r\n550 no\r\n554 no\r\n", b"500 RSET?\r\n")
    assert owner.codes() == [550]
    assert isinstance(owner.events[-1], Gone)


def test_quit() -> None:
    """QUIT is answered, and the connection ends."""
    owner = ready(PLAIN)
    owner.conversation.quit()
    assert owner.go_on() == b"QUIT\r\n"
    assert owner.conversation.phase is Phase.QUIT
    owner.feed(b"221 bye\r\n")
    assert owner.conversation.closing
    owner.conversation.quit()
    assert owner.go_on() == b""


def test_memory_is_bounded() -> None:
    """Input is refused beyond a bound, and a flood of replies ends the conversation."""
    owner = Owner(limits=ReplyLimits(line=50, size=100))
    owner.conversation.receive(b"220 hi\r\n" * 50)
    assert owner.conversation.paused
    owner.go_on()
    assert owner.conversation.closing
    assert not owner.conversation.paused


class Server:
    """Our own server's conversation, which accepts everybody but Eve."""

    def __init__(self, dialect: Dialect, offers: Offers) -> None:
        self.conversation = ServerConversation("mx", offers, Limits(), dialect=dialect)
        self.conversation.greet()
        self.messages: list[bytes] = []
        self._body = b""

    def feed(self, data: bytes) -> bytes:
        """Give the client's bytes; tell what is said."""
        self.conversation.receive(data)
        while (event := self.conversation.next_event()) is not None:
            self._answer(event)
        return self.conversation.bytes_to_send()

    def _answer(self, event: Event) -> None:
        if isinstance(event, Rcpt) and event.recipient.address.local == "eve":
            self.conversation.answer(Reply.of(550, "no", "5.1.1"))
            return
        if isinstance(event, Block):
            self._body += event.data
            if event.last:
                self.messages.append(self._body)
                self._body = b""
        self.conversation.accept()
        if isinstance(event, StartTLS):
            self.conversation.tls_started()


def converse(owner: Owner, server: Server, cuts: Iterable[int]) -> None:
    """Carry bytes both ways, cut into pieces of these sizes, until nobody says anything."""
    sizes = itertools.cycle(cuts)
    to_client, to_server = server.conversation.bytes_to_send(), owner.go_on()
    while to_client or to_server:
        size = next(sizes)
        piece, to_client = to_client[:size], to_client[size:]
        to_server += owner.feed(piece) if piece else b""
        piece, to_server = to_server[:size], to_server[size:]
        to_client += server.feed(piece) if piece else b""


@settings(max_examples=60, deadline=None)
@given(
    dialect=st.sampled_from(Dialect),
    chunking=st.booleans(),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    blocks=st.lists(
        st.lists(st.sampled_from([b"\r\n", b".", b"text", b"\r\n."])).map(b"".join), min_size=1
    ),
)
def test_our_server_understands(
    dialect: Dialect, chunking: bool, cuts: list[int], blocks: list[bytes]
) -> None:
    """Three mails arrive whole at our own server, whatever the cuts, by DATA and by BDAT."""
    offers = Offers(chunking=chunking, mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False)
    server = Server(dialect, offers)
    owner = Owner(dialect=dialect, blocks=blocks)
    converse(owner, server, cuts)
    log_in(owner)
    converse(owner, server, cuts)
    whole = b"".join(blocks)
    expected = whole if not whole or whole.endswith(b"\r\n") else whole + b"\r\n"
    for recipients, codes in [((ANN, EVE, BEN), [250, 550, 250]), ((EVE,), [550]), ((BEN,), [250])]:
        owner.conversation.send(transfer(*recipients))
        converse(owner, server, cuts)
        assert owner.codes() == codes
    assert server.messages == [expected, expected]
    owner.conversation.quit()
    converse(owner, server, cuts)
    assert owner.conversation.closing


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([PLAIN, PIPELINED, CHUNKED]),
    st.sampled_from(Dialect),
    st.lists(
        st.one_of(
            st.sampled_from([b"250 k\r\n", b"354 go\r\n", b"550 no\r\n", LEAVING, b"250-x\r\n"]),
            st.binary(max_size=6),
        ),
        max_size=14,
    ),
)
def test_any_server(hello: Sequence[bytes], dialect: Dialect, replies: list[bytes]) -> None:
    """Whatever a server says, a transfer has one result for each recipient once it is over."""
    owner = Owner(dialect=dialect)
    owner.feed(*hello)
    owner.send(transfer(ANN, BEN))
    owner.feed(*replies)
    owner.conversation.end_of_input()
    owner.go_on()
    assert owner.conversation.closing
    assert [len(e.results) for e in owner.events if isinstance(e, Handed)] == [2]


def test_login_is_an_event_of_ours() -> None:
    """Our server hears the same name and password that our client was given."""
    server = ServerConversation(
        "mx", Offers(mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False), Limits()
    )
    server.greet()
    owner = Owner()
    server.receive(owner.feed(server.bytes_to_send()))
    server.next_event()
    server.accept()
    owner.feed(server.bytes_to_send())
    log_in(owner)
    server.receive(owner.go_on())
    event = server.next_event()
    assert isinstance(event, Login)
    assert event.credentials == PasswordCredentials("me", "secret")


def test_no_password_is_shown() -> None:
    """Nothing that waits for its reply shows what it said."""
    owner = ready([b"220 hi\r\n", b"250-mx\r\n250 AUTH LOGIN\r\n"])
    log_in(owner)
    owner.go_on()
    owner.feed(b"334 VXNlcm5hbWU6\r\n")
    assert "c2VjcmV0" not in repr(owner.conversation._sent)
