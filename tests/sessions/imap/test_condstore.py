"""CONDSTORE and QRESYNC (RFC 7162): what a client that comes back is told, and no more."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.testing.mails import mail

DIALOGUES = {
    "the first use turns it on": """
C: a SELECT INBOX
S> a OK ...
C: b STORE 1 +FLAGS \\Seen
S: * 1 FETCH (FLAGS (\\Seen \\Recent))
S: b OK STORE completed
C: c FETCH 1 MODSEQ
S: * OK [HIGHESTMODSEQ ...] ...
S: * 1 FETCH (MODSEQ (...))
S: c OK FETCH completed
C: d FETCH 1 (MODSEQ)
S: * 1 FETCH (MODSEQ (...))
S: d OK FETCH completed
C: e STORE 1 -FLAGS \\Seen
S: * 1 FETCH (FLAGS (\\Recent) MODSEQ (...))
S: e OK STORE completed
C: f STORE 1 +FLAGS.SILENT \\Seen
S: * 1 FETCH (UID 1 MODSEQ (...))
S: f OK STORE completed
""",
    "SELECT with CONDSTORE": """
C: a SELECT INBOX (CONDSTORE)
S> * OK [HIGHESTMODSEQ ...] ...
S> a OK [READ-WRITE] ...
C: b STORE 1 +FLAGS \\Seen
S: * 1 FETCH (FLAGS (\\Seen \\Recent) MODSEQ (...))
S: b OK STORE completed
C: c STATUS INBOX (HIGHESTMODSEQ)
S: * STATUS INBOX (HIGHESTMODSEQ ...)
S: c OK STATUS completed
""",
    "ENABLE with a mailbox open": """
C: a SELECT INBOX
S> a OK ...
C: b ENABLE CONDSTORE X-NOTHING
S: * ENABLED CONDSTORE
S: * OK [HIGHESTMODSEQ ...] ...
S: b OK ENABLE completed
C: c ENABLE CONDSTORE
S: * ENABLED CONDSTORE
S: c OK ENABLE completed
""",
    "UNCHANGEDSINCE refuses what changed": """
C: a SELECT INBOX (CONDSTORE)
S> a OK ...
2C: a SELECT INBOX
2S> a OK ...
2C: b STORE 2 +FLAGS.SILENT \\Flagged
2S: b OK ...
C: c STORE 1:3 (UNCHANGEDSINCE 4) +FLAGS (\\Seen)
S: * 1 FETCH (FLAGS (\\Seen \\Recent) MODSEQ (...))
S: * 3 FETCH (FLAGS (\\Seen \\Recent) MODSEQ (...))
S: * 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ (...))
S: c OK [MODIFIED 2] ...
C: d UID STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Draft)
S: d OK [MODIFIED 1:3] ...
""",
    "SEARCH by MODSEQ": """
C: a SELECT INBOX
S> a OK ...
C: b SEARCH MODSEQ 1
S: * OK [HIGHESTMODSEQ ...] ...
S: * SEARCH 1 2 3 (MODSEQ ...)
S: b OK SEARCH completed
C: c SEARCH RETURN (MIN COUNT) MODSEQ "/flags/\\\\seen" all 1
S: * ESEARCH (TAG "c") MIN 1 COUNT 3 MODSEQ ...
S: c OK SEARCH completed
C: d SEARCH MODSEQ 999
S: * SEARCH
S: d OK SEARCH completed
C: e SORT (ARRIVAL) UTF-8 MODSEQ 1
S: * SORT 1 2 3 (MODSEQ ...)
S: e OK SORT completed
""",
    "CHANGEDSINCE and VANISHED": """
C: a ENABLE QRESYNC
S: * ENABLED QRESYNC
S: a OK ENABLE completed
C: b SELECT INBOX
S> b OK ...
2C: a SELECT INBOX
2S> a OK ...
2C: b STORE 3 +FLAGS.SILENT \\Deleted
2S: b OK ...
2C: c EXPUNGE
2S: * 3 EXPUNGE
2S: c OK EXPUNGE completed
C: c UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
S: * 1 FETCH (UID 1 FLAGS (\\Recent) MODSEQ (...))
S: * 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ (...))
S: * VANISHED 3
S: c OK UID FETCH completed
C: d UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
S: * VANISHED (EARLIER) 3
S: * 1 FETCH (UID 1 FLAGS (\\Recent) MODSEQ (...))
S: * 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ (...))
S: d OK UID FETCH completed
C: e UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0 VANISHED)
S: * VANISHED (EARLIER) 3
S> e OK UID FETCH completed
C: f FETCH 1:* (FLAGS) (CHANGEDSINCE 0 VANISHED)
S: f BAD ...
C: g STORE 1 +FLAGS.SILENT \\Deleted
S: * 1 FETCH (UID 1 MODSEQ (...))
S: g OK STORE completed
C: h EXPUNGE
S: * VANISHED 1
S: h OK [HIGHESTMODSEQ ...] EXPUNGE completed
C: i UID MOVE 2 Sent
S: * OK [COPYUID ... 2 1] Moved
S: * VANISHED 2
S: i OK UID MOVE completed
""",
    "VANISHED needs QRESYNC": """
C: a SELECT INBOX
S> a OK ...
C: b UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
S: b BAD ...
C: c SELECT INBOX (QRESYNC (1 1))
S: c BAD ...
""",
    "IMAP4rev2": """
C: a ENABLE IMAP4rev2
S: * ENABLED IMAP4REV2
S: a OK ENABLE completed
C: b SELECT INBOX
S: * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)
S: * OK [PERMANENTFLAGS ...
S: * 3 EXISTS
S: * OK [UIDVALIDITY ...] ...
S: * OK [UIDNEXT 4] ...
S: * OK [HIGHESTMODSEQ ...] ...
S: * OK [MAILBOXID (...)] ...
S: * LIST () "/" INBOX
S: b OK [READ-WRITE] ...
C: c SEARCH ALL
S: * ESEARCH (TAG "c") ALL 1:3
S: c OK SEARCH completed
C: d SEARCH DELETED
S: * ESEARCH (TAG "d")
S: d OK SEARCH completed
C: e FETCH 1 FLAGS
S: * 1 FETCH (FLAGS ())
S: e OK FETCH completed
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """MODSEQs are told to who knows them, and to nobody else."""
    await server.put(mail(1))
    await server.put(mail(2), mail(3))
    await server.play(DIALOGUES[name])


@pytest_twisted.ensureDeferred
async def test_coming_back(server: Any) -> None:
    """A client that was away is told what changed and what vanished, within what it knows."""
    await server.put(mail(1), mail(2), mail(3), mail(4))
    home = await server.store.open_home("alice@example.org")
    before = (await home.status(["INBOX"]))["INBOX"]
    valid, modseq = before.uid_validity, before.highest_modseq
    await server.play("""
C: b SELECT INBOX
S> b OK ...
C: c STORE 1,3 +FLAGS.SILENT \\Deleted
S: c OK ...
C: d EXPUNGE
S: * 3 EXPUNGE
S: * 1 EXPUNGE
S: d OK ...
C: e STORE 1 +FLAGS.SILENT $Work
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...
S: e OK ...
""")
    await server.put(mail(5))
    start = "C: a ENABLE QRESYNC\nS: * ENABLED QRESYNC\nS: a OK ...\n"
    await server.play(
        start
        + f"""
C: b SELECT INBOX (QRESYNC ({valid} {modseq}))
S> * OK [MAILBOXID ...
S: * VANISHED (EARLIER) 1,3
S: * 1 FETCH (UID 2 FLAGS ($Work) MODSEQ (...))
S: * 3 FETCH (UID 5 FLAGS (\\Recent) MODSEQ (...))
S: b OK [READ-WRITE] ...
"""
    )
    await server.play(
        start
        + f"""
C: c SELECT INBOX (QRESYNC ({valid} {modseq} 1:2 (1:2 1:2)))
S> * OK [MAILBOXID ...
S: * VANISHED (EARLIER) 1
S: * 1 FETCH (UID 2 FLAGS ($Work) MODSEQ (...))
S: c OK [READ-WRITE] ...
C: d SELECT INBOX (QRESYNC ({valid + 1} {modseq}))
S> * OK [MAILBOXID ...
S: d OK [READ-WRITE] ...
C: e SELECT INBOX (QRESYNC ({valid} 999999))
S> * OK [MAILBOXID ...
S: e OK [READ-WRITE] ...
"""
    )
