"""SMTP and LMTP, the client's side: random servers, and an owner with mails to hand over.

Held against: nothing raises; every mail has exactly one answer, with a result for each recipient;
what is said is bounded; the end of input ends the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.envelope import Recipient, Sender
from mailplat.proto.sasl.client import choose
from mailplat.proto.smtp.client import ClientConversation
from mailplat.proto.smtp.client_events import (
    ClientEvent,
    ContentWanted,
    Handed,
    KeyWanted,
    LoginAnswered,
    Ready,
    TLSAnswered,
)
from mailplat.proto.smtp.offers import Dialect
from mailplat.proto.smtp.reply_reader import ReplyLimits
from mailplat.proto.smtp.transfer import Contents, Transfer
from mailplat.testing.fuzzing.inputs import Language
from mailplat.testing.fuzzing.running import Target

__all__ = ["SMTP_CLIENT"]

_LANGUAGE = Language(
    sentences=[
        b"220 mx.example ESMTP\r\n250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-DSN\r\n"
        b"250-CHUNKING\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SMTPUTF8\r\n",
        b"220 mx.example ESMTP\r\n250-mx.example\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n",
        b"220 mx.example\r\n502 what?\r\n250 mx.example\r\n",
        b"220-banner\r\n220 more\r\n250 mx.example\r\n",
        b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go\r\n250 2.0.0 Queued\r\n",
        b"250 2.1.0 Ok\r\n550 5.1.1 No\r\n250 2.1.5 Ok\r\n354 Go\r\n250 Ok\r\n450 Later\r\n",
        b"250 Ok\r\n450 4.2.0 a\r\n550 b\r\n503 No recipients\r\n250 reset\r\n",
        b"250-2.1.0 many\r\n250-2.1.0 lines\r\n250 2.1.0 Ok\r\n",
        b"354 Go on\r\n",
        b"220 mx.example ESMTP\r\n250-mx.example\r\n250 AUTH SCRAM-SHA-256 XOAUTH2\r\n334 \r\n"
        b"334 cj1ub25jZTEscz1ZV0ZoLGk9NDA5Ng==\r\n334 dj1hYWFh\r\n235 2.7.0 Logged in\r\n",
        b"235 2.7.0 Logged in\r\n",
        b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 5.7.8 No\r\n",
        b"421 4.3.2 Closing\r\n",
        b"221 2.0.0 Bye\r\n",
        b"554 5.7.1 No\r\n",
        b"250\r\n",
    ],
    words=[
        b" ", b"-", b"\r\n", b"\n", b"\r", b"250 ", b"250-", b"550 ", b"421 ", b"354 ", b"999 ",
        b"25", b"x", b"\x00", b"\xff", b"\xc3\xa4", b"5.1.1", b"2.0.0 ", b"SIZE 5", b"SIZE x",
        b"99999999999999999999", b"AUTH", b"PIPELINING",
    ],
)  # fmt: skip

_BODY = (b".Subject: x\r\n\r\n", b"some text\n.\r\n", b"and the end")
_MAIL = Transfer(
    Sender(Address("a", "b.example")),
    (Recipient(Address("c", "d.example")), Recipient(Address("e", "d.example"))),
    Contents(sum(map(len, _BODY)), eight_bit=False),
)


class _Owner:
    """Hands over a few mails, and counts what it hears of them."""

    def __init__(self, conversation: ClientConversation, chance: Random) -> None:
        self._conversation = conversation
        self._chance = chance
        self._mails = chance.randint(1, 3)
        self.handed = self.sent = 0
        self._secured = self._tried = False
        self._rest: list[bytes] = []

    def hear(self, event: ClientEvent) -> None:
        conversation = self._conversation
        if isinstance(event, ContentWanted):
            self._rest = list(_BODY)
        elif isinstance(event, Handed):
            self.handed += 1
            assert len(event.results) == len(_MAIL.recipients)
        elif isinstance(event, KeyWanted):
            conversation.give_key(bytes(32))  # not the right one, which takes long to derive
        elif isinstance(event, TLSAnswered) and event.reply.positive:
            conversation.tls_started()
            return
        if isinstance(event, (Ready, Handed, TLSAnswered, LoginAnswered)) and not conversation.over:
            self._go_on()

    def _go_on(self) -> None:
        conversation = self._conversation
        if conversation.offers.starttls and not conversation.tls and not self._secured:
            self._secured = True
            conversation.start_tls()
        elif not self._tried and (
            chosen := choose(
                conversation.offers.mechanisms,
                PasswordCredentials("alice", "secret"),
                lambda: "nonce",
            )
        ):
            self._tried = True
            conversation.login(*chosen)
        elif self._mails:
            self._mails -= 1
            self.sent += 1
            conversation.send(_MAIL)
        else:
            conversation.quit()

    def stream(self) -> None:
        while self._rest and self._conversation.streaming:
            block = self._rest.pop(0)
            self._conversation.content(block, last=not self._rest)


_MOST = 5000 + ReplyLimits().line
"""Bytes that the client says at most: SCRAM gives the server's nonce back, once (RFC 5802 §5.1)."""


def _run(pieces: Sequence[bytes], chance: Random) -> None:
    dialect = Dialect.LMTP if chance.random() < 0.2 else Dialect.SMTP
    conversation = ClientConversation("me.example", dialect=dialect)
    owner = _Owner(conversation, chance)
    said = 0
    for piece in [*pieces, None]:
        if piece is None:
            conversation.end_of_input()
        else:
            conversation.receive(piece)
        while (event := conversation.next_event()) is not None:
            owner.hear(event)
            owner.stream()
        owner.stream()
        said += len(conversation.bytes_to_send())
        assert said <= _MOST, "too much said"
        assert conversation.closing or not conversation.paused, "waits for input, and takes none"
    assert conversation.closing, "the end of input is not the end"
    assert owner.handed == owner.sent, "a mail without an answer, or with two"


SMTP_CLIENT = Target(_LANGUAGE, _run)
