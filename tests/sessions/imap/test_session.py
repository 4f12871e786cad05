"""IMAP dialogues against a store in memory, one and several clients."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPOptions

APPEND = """
C: x1 APPEND INBOX (\\Flagged) " 1-Jan-2026 12:00:00 +0000" {45}
S: + ...
C: From: a@example.org
C: Subject: hello
C:
C: body
C:
S: x1 OK [APPENDUID ... 1] APPEND completed
"""

DIALOGUES = {
    "append and fetch": APPEND
    + """
C: a SELECT INBOX
S: * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)
S: * OK [PERMANENTFLAGS (...\\*)] ...
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...] ...
S: * OK [UIDNEXT 2] ...
S: * OK [HIGHESTMODSEQ ...] ...
S: * OK [MAILBOXID (...)] ...
S: a OK [READ-WRITE] SELECT completed
C: b FETCH 1 (FLAGS RFC822.SIZE INTERNALDATE)
S: * 1 FETCH (FLAGS (\\Flagged \\Recent) RFC822.SIZE 45 INTERNALDATE "01-Jan-2026 12:00:00 +0000")
S: b OK FETCH completed
C: c FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]
S: * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {18}
S: Subject: hello
S:
S: )
S: c OK FETCH completed
C: d UID FETCH 1 BODY[TEXT]<1.3>
S: * 1 FETCH (UID 1 BODY[TEXT]<1> {3}
S: ody)
S: * 1 FETCH (...FLAGS (\\Seen \\Flagged \\Recent)...)
S: d OK UID FETCH completed
C: e FETCH 2 FLAGS
S: e BAD No such message
C: f UID FETCH 2:9 FLAGS
S: f OK UID FETCH completed
""",
    "two clients see each other's changes": APPEND
    + """
C: a SELECT INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...
S: * OK [UIDNEXT 2] ...
S: * OK [HIGHESTMODSEQ ...
S: * OK [MAILBOXID ...
S: a OK ...
C: a2 IDLE
S: + idling
2C: b EXAMINE INBOX
2S: * FLAGS ...
2S: * OK [PERMANENTFLAGS ()] ...
2S: * 1 EXISTS
2S: * 0 RECENT
2S: * OK [UNSEEN 1] ...
2S: * OK [UIDVALIDITY ...
2S: * OK [UIDNEXT 2] ...
2S: * OK [HIGHESTMODSEQ ...
2S: * OK [MAILBOXID ...
2S: b OK [READ-ONLY] ...
2C: b2 STORE 1 +FLAGS (\\Deleted)
2S: b2 NO [READ-ONLY] ...
2C: b3 SELECT INBOX
2S: * OK [CLOSED] ...
2S: * FLAGS ...
2S: * OK [PERMANENTFLAGS ...
2S: * 1 EXISTS
2S: * 0 RECENT
2S: * OK [UNSEEN 1] ...
2S: * OK [UIDVALIDITY ...
2S: * OK [UIDNEXT 2] ...
2S: * OK [HIGHESTMODSEQ ...
2S: * OK [MAILBOXID ...
2S: b3 OK [READ-WRITE] ...
2C: b4 STORE 1 +FLAGS (\\Deleted $New)
2S: * FLAGS (... $New)
2S: * OK [PERMANENTFLAGS (... $New \\*)] ...
2S: * 1 FETCH (FLAGS (\\Flagged \\Deleted $New))
2S: b4 OK STORE completed
S: * FLAGS (... $New)
S: * OK [PERMANENTFLAGS ...
S: * 1 FETCH (FLAGS (\\Flagged \\Deleted $New \\Recent))
2C: b5 EXPUNGE
2S: * 1 EXPUNGE
2S: b5 OK ...
S: * 1 EXPUNGE
C: DONE
S: a2 OK IDLE completed
""",
    "copy, move, uidplus": APPEND
    + """
C: a SELECT INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...
S: * OK [UIDNEXT 2] ...
S: * OK [HIGHESTMODSEQ ...
S: * OK [MAILBOXID ...
S: a OK ...
C: b COPY 1 Sent
S: b OK [COPYUID ... 1 1] COPY completed
C: c COPY 1 Nowhere
S: c NO [TRYCREATE] ...
C: d UID MOVE 1 Sent
S: * OK [COPYUID ... 1 2] Moved
S: * 1 EXPUNGE
S: d OK UID MOVE completed
C: e UID COPY 1 Sent
S: e OK UID COPY completed
C: f STATUS Sent (MESSAGES UIDNEXT UNSEEN SIZE)
S: * STATUS Sent (MESSAGES 2 UIDNEXT 3 UNSEEN 2 SIZE 90)
S: f OK STATUS completed
""",
    "searches": APPEND
    + """
C: a EXAMINE INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...
S: * OK [UIDNEXT 2] ...
S: * OK [HIGHESTMODSEQ ...
S: * OK [MAILBOXID ...
S: a OK ...
C: s1 SEARCH FLAGGED UNSEEN SUBJECT HELL SINCE 1-Jan-2026
S: * SEARCH 1
S: s1 OK SEARCH completed
C: s2 SEARCH NOT FLAGGED
S: * SEARCH
S: s2 OK SEARCH completed
C: s3 UID SEARCH RETURN (MIN MAX COUNT ALL) OR BODY "BODY" FROM nobody
S: * ESEARCH (TAG "s3") UID MIN 1 MAX 1 COUNT 1 ALL 1
S: s3 OK UID SEARCH completed
C: s4 SEARCH RETURN (SAVE) TEXT subject
S: s4 OK SEARCH completed
C: s5 FETCH $ UID
S: * 1 FETCH (UID 1)
S: s5 OK FETCH completed
C: s6 SEARCH BEFORE 1-Jan-2026
S: * SEARCH
S: s6 OK SEARCH completed
C: s7 SEARCH LARGER 44 SMALLER 46 KEYWORD nothing
S: * SEARCH
S: s7 OK SEARCH completed
""",
    "mailboxes": """
C: a LIST "" "*"
S: * LIST (\\HasNoChildren) "/" INBOX
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: a OK LIST completed
C: b CREATE a/b
S: b OK [MAILBOXID (...)] CREATE completed
C: c LIST "" %
S: * LIST (\\HasNoChildren) "/" INBOX
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: * LIST (\\NonExistent \\Noselect \\HasChildren) "/" a
S: c OK LIST completed
C: d RENAME a x
S: d OK RENAME completed
C: d2 RENAME nothing x
S: d2 NO [NONEXISTENT] ...
C: e SUBSCRIBE x/b
S: e OK SUBSCRIBE completed
C: f LSUB "" %
S: * LSUB () "/" INBOX
S: * LSUB (\\Sent) "/" Sent
S: * LSUB (\\Noselect) "/" x
S: f OK LSUB completed
C: g DELETE x/b
S: g OK DELETE completed
C: h LIST (SUBSCRIBED) "" * RETURN (CHILDREN)
S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
S: * LIST (\\HasNoChildren \\Subscribed \\Sent) "/" Sent
S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" x/b
S: h OK LIST completed
C: i LIST "" ""
S: * LIST (\\Noselect) "/" ""
S: i OK LIST completed
C: j DELETE INBOX
S: j NO [CANNOT] ...
C: k NAMESPACE
S: * NAMESPACE (("" "/")) NIL NIL
S: k OK NAMESPACE completed
C: l GETQUOTAROOT INBOX
S: * QUOTAROOT INBOX ""
S: * QUOTA "" ()
S: l OK GETQUOTAROOT completed
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """The server says what the transcript says, and nothing else."""
    await server.play(DIALOGUES[name])


OWN_CHANGES = (
    APPEND
    + """
C: a SELECT INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...] ...
S: * OK [UIDNEXT 2] ...
S: * OK [HIGHESTMODSEQ ...] ...
S: * OK [MAILBOXID (...)] ...
S: a OK [READ-WRITE] SELECT completed
C: b COPY 1 INBOX
S: * 2 EXISTS
S: * 2 RECENT
S: b OK [COPYUID ... 1 2] COPY completed
C: c MOVE 1 Sent
S: * OK [COPYUID ... 1 1] Moved
S: * 1 EXPUNGE
S: c OK MOVE completed
C: d STORE 1 +FLAGS.SILENT (\\Deleted)
S: d OK STORE completed
C: e EXPUNGE
S: * 1 EXPUNGE
S: e OK EXPUNGE completed
"""
)


@pytest_twisted.ensureDeferred
async def test_own_changes_are_told_at_once(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command changed is told before its OK, however late the store's notice comes."""
    monkeypatch.setattr(Selected, "_told", lambda _: None)
    await server.play(OWN_CHANGES)


class TestBlocksOfBytes:
    """FETCH of bodies that fit a block one by one, but not together."""

    @pytest.fixture
    def options(self) -> IMAPOptions:
        """A block of 100 bytes."""
        return IMAPOptions(auth_needs_tls=False, block_bytes=100)

    @pytest.mark.parametrize("sizes", [(60, 60, 60), (40, 60, 1), (101, 99), (1, 100, 250, 30, 70)])
    def test_every_body_comes_whole(self, server: Any, sizes: tuple[int, ...]) -> None:
        """However they are put together."""
        wire, send = server.log_in()
        for size in sizes:
            send(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (size, b"\n" + b"x" * (size - 1)))
        send(b"b SELECT INBOX\r\n")
        wire.take()
        send(b"c FETCH 1:* BODY.PEEK[]\r\n")
        expected = b"".join(
            b"* %d FETCH (BODY[] {%d}\r\n%b)\r\n" % (number, size, b"\n" + b"x" * (size - 1))
            for number, size in enumerate(sizes, 1)
        )
        assert wire.take() == expected + b"c OK FETCH completed\r\n"
