"""SMTP and LMTP, the server's side: random clients, and a session that answers anything at all.

Held against: nothing raises; the answers are bounded lines; input is never refused for good while
no answer is due; the end of input ends the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mailplat.model.reply import Reply
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.commands import Event, StartTLS
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.proto.smtp.server import ServerConversation
from mailplat.testing.fuzzing.inputs import Language
from mailplat.testing.fuzzing.running import Target

__all__ = ["SMTP"]

_OFFERS = Offers(
    smtputf8=True,
    dsn=True,
    chunking=True,
    binary=True,
    require_tls=True,
    starttls=True,
    mechanisms=PASSWORD_MECHANISMS,
    auth_needs_tls=False,
)
_LIMITS = Limits(
    message_size=2000,
    recipients=5,
    command_line=1000,
    auth_line=1500,
    text_line=400,
    read_ahead=3000,
)

_LANGUAGE = Language(
    sentences=[
        b"EHLO client.example\r\n",
        b"LHLO client.example\r\n",
        b"HELO [192.0.2.1]\r\n",
        b"EHLO x\r\nMAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By\r\n"
        b"RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c@d.example\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..dot\r\ntext\r\n.\r\n",
        b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n"
        b"a\r\n.\r\n",
        b"EHLO x\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME SMTPUTF8\r\nRCPT TO:<\xc3\xa4@d>\r\n"
        b"BDAT 5\r\nhelloBDAT 3 LAST\r\nabc",
        b"MAIL FROM:<@r.example:a@b.example>\r\n",
        b'RCPT TO:<"quoted \\" local"@[IPv6:2001:db8::1]>\r\n',
        b"RCPT TO:<postmaster>\r\n",
        b"DATA\r\n",
        b"text\r\n.\r\n",
        b"text\n.\r\nmore\r\n.\n\r\n.\r\n",
        b"BDAT 0 LAST\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"STARTTLS\r\n",
        b"RSET\r\nNOOP x\r\nVRFY alice\r\nEXPN list\r\nHELP\r\n",
        b"QUIT\r\n",
    ],
    words=[
        b" ", b"\r\n", b"\n", b"\r", b"\r\n.\r\n", b"\n.\n", b".", b"..", b"<", b">", b"@", b":",
        b'"', b"\\", b"[", b"]", b"0", b"99999999999999999999", b"-1", b"SIZE=", b"BODY=", b"LAST",
        b" BY=5;N", b"\x00", b"\xff", b"\xc3\xa4", b"MAIL FROM:", b"RCPT TO:", b"BDAT 4\r\n", b"=",
        b"*", b"+", b"XCLIENT ADDR=1.2.3.4\r\n", b"xn--4ca", b"DATA\r\n",
    ],
)  # fmt: skip

_REFUSALS = (
    Reply.of(450, "Later", "4.3.0"),
    Reply.of(550, "No", "5.1.1"),
    Reply.of(535, "No", "5.7.8"),
    Reply.of(421, "Gone", "4.3.2"),
)


def _run(pieces: Sequence[bytes], chance: Random) -> None:
    dialect = Dialect.LMTP if chance.random() < 0.2 else Dialect.SMTP
    conversation = ServerConversation(
        "mx.example", _OFFERS, _LIMITS, dialect=dialect, tls=chance.random() < 0.3
    )
    conversation.greet()
    lines, said = 2, 0
    for piece in [*pieces, None]:
        if piece is None:
            conversation.end_of_input()
        else:
            conversation.receive(piece)
            lines += piece.count(b"\n") + piece.upper().count(b"BDAT") + 1
        while (event := conversation.next_event()) is not None:
            _answer(conversation, event, chance)
        output = conversation.bytes_to_send()
        said += len(output)
        assert not output or output.endswith(b"\r\n")
        assert said <= 1500 * lines, "too much said"
        assert conversation.closing or not conversation.paused, "waits for input, and takes none"
    assert conversation.closing, "the end of input is not the end"


def _answer(conversation: ServerConversation, event: Event, chance: Random) -> None:
    if chance.random() < 0.15:
        conversation.answer(chance.choice(_REFUSALS))
        return
    conversation.accept()
    if isinstance(event, StartTLS):
        conversation.tls_started()


SMTP = Target(_LANGUAGE, _run)
