"""Random clients with real sessions and a store: nothing but answers, whatever they say."""

from __future__ import annotations

import os

import pytest_twisted

from mailplat.testing.fuzzing.imap import IMAP
from mailplat.testing.fuzzing.inputs import Language, chance_of, cut
from mailplat.testing.imap_server import IMAPServer
from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

INPUTS = int(os.environ.get("MAILPLAT_FUZZ_INPUTS", "300"))
SEED = int(os.environ.get("MAILPLAT_FUZZ_SEED", "0"))

LANGUAGE = Language(
    [
        *IMAP.language.sentences,
        b"a SELECT INBOX\r\n",
        b"a SELECT box\r\n",
        b"a SELECT box (CONDSTORE)\r\n",
        b"a CREATE box\r\n",
        b"a FETCH 1:* (UID FLAGS ENVELOPE BODY BODYSTRUCTURE SAVEDATE EMAILID MODSEQ)\r\n",
        b"a UID FETCH 1:* (BODY[] BINARY[1] RFC822.SIZE BODY[1.MIME] PREVIEW)\r\n",
        b"a STORE 1:* +FLAGS (\\Deleted)\r\n",
        b"a COPY 1:* INBOX\r\n",
        b"a MOVE 1 INBOX\r\n",
        b"a UID MOVE 1:3 box\r\n",
        b"a UID SEARCH RETURN (SAVE ALL) TEXT this OLDER 5 OR SEEN DELETED\r\n",
        b"a SORT (REVERSE DATE SUBJECT DISPLAYTO) UTF-8 NOT $\r\n",
        b"a THREAD ORDEREDSUBJECT UTF-8 ALL\r\n",
        b"a APPEND INBOX {5+}\r\nA: b\n\r\n",
        b"a REPLACE 1 box {5+}\r\nA: b\n\r\n",
        b"a STATUS INBOX (MESSAGES DELETED-STORAGE SIZE)\r\n",
    ],
    IMAP.language.words,
    most=8,
)


@pytest_twisted.ensureDeferred
async def test_sessions_only_answer(server: IMAPServer) -> None:
    """No traceback, and every client still has its answers or its goodbye."""
    await server.put(*map(mail, range(1, 4)))
    for number in range(INPUTS):
        chance = chance_of(SEED, number)
        pieces = cut(LANGUAGE.spoken(chance), chance)
        wire, send = server.log_in()
        for piece in (b"s SELECT INBOX\r\n", *pieces):
            if not wire.closing:
                send(piece)
            for _ in range(3):
                await turn()
        said = wire.take()
        assert said.startswith(b"* "), (SEED, number, pieces)
        assert b"] Internal" not in said
        server.lose(len(server.connections))
        await turn()
