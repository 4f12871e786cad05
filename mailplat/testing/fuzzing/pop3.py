"""POP3: random clients, and a session that answers anything at all.

Held against: nothing raises; the answers are bounded; input is never refused for good while no
answer is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mailplat.model.errors import AuthenticationFailed, Unavailable
from mailplat.proto.pop3.events import Event, Listing, Login, Quit, StartTLS
from mailplat.proto.pop3.maildrop import Maildrop
from mailplat.proto.pop3.offers import Limits, Offers
from mailplat.proto.pop3.server import ServerConversation
from mailplat.testing.fuzzing.inputs import Language
from mailplat.testing.fuzzing.running import Target

__all__ = ["POP3"]

_OFFERS = Offers("mx.example", stls=True, clear_passwords=True)
_LIMITS = Limits(line=300, response=500, read_ahead=2000)

_LANGUAGE = Language(
    sentences=[
        b"CAPA\r\n",
        b"STLS\r\n",
        b"USER alice\r\nPASS secret\r\n",
        b"USER alice\r\nPASS secret\r\nSTAT\r\n",
        b"AUTH\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"AUTH PLAIN =\r\n*\r\n",
        b"UTF8\r\nLANG en\r\nLANG\r\n",
        b"STAT\r\nLIST\r\nUIDL\r\n",
        b"LIST 1\r\nUIDL 2\r\nRETR 3\r\n",
        b"TOP 1 5\r\nRETR 1\r\n",
        b"DELE 1\r\nDELE 2\r\nRSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
    ],
    words=[
        b" ", b"\r\n", b"\n", b"\r", b"0", b"1", b"3", b"4", b"99999999999999999999", b"-1", b"*",
        b"=", b"\x00", b"\xff", b"\xc3\xa4", b"USER ", b"PASS ", b"RETR ", b"AUTH ", b".", b"\t",
    ],
    most=8,
)  # fmt: skip


def _run(pieces: Sequence[bytes], chance: Random) -> None:
    conversation = ServerConversation(_OFFERS, _LIMITS, tls=chance.random() < 0.5)
    conversation.greet()
    lines, said = 1, 0
    for piece in pieces:
        conversation.receive(piece)
        lines += piece.count(b"\n") + 1
        while (event := conversation.next_event()) is not None:
            _answer(conversation, event, chance)
        said += len(conversation.bytes_to_send())
        assert said <= 1200 * lines, "too much said"
        assert conversation.closing or not conversation.paused, "waits for input, and takes none"
    conversation.end_of_input()
    assert conversation.next_event() is None


def _answer(conversation: ServerConversation, event: Event, chance: Random) -> None:
    if chance.random() < 0.15:
        refusal = AuthenticationFailed() if isinstance(event, Login) else Unavailable()
        conversation.refuse(refusal)
    elif isinstance(event, StartTLS):
        conversation.accept_stls()
        conversation.tls_started()
    elif isinstance(event, Login):
        conversation.accept_login(Maildrop(7, (1, 3, 4), (100, 2000, 0)))
    elif isinstance(event, Listing):
        conversation.begin("3 messages")
        conversation.content(b"1 100\r\n2 2000\r\n")
        conversation.end()
    elif isinstance(event, Quit):
        conversation.bye()
    else:
        conversation.message(b".Subject: x\r\n\r\n.\r\n..\r\nno line end")


POP3 = Target(_LANGUAGE, _run)
