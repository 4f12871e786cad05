"""What real clients do, and rely on: a dialogue for each habit."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

EMPTY = {
    "a CRLF too many": """
C:
C: a NOOP
S: a OK NOOP completed
C:
C:
C: b NOOP
S: b OK NOOP completed
""",
    "pipelined commands are answered in order": """
C: a NAMESPACE
C+ b LIST "" "%"
C+ c STATUS INBOX (MESSAGES)
C+ d XYZ
C+ e NOOP
S: * NAMESPACE (("" "/")) NIL NIL
S: a OK NAMESPACE completed
S: * LIST (\\HasNoChildren) "/" INBOX
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: b OK LIST completed
S: * STATUS INBOX (MESSAGES 0)
S: c OK STATUS completed
S: d BAD Unknown command
S: e OK NOOP completed
""",
    "the root of a home": """
C: a LIST "" ""
S: * LIST (\\Noselect) "/" ""
S: a OK LIST completed
C: b LIST "" "%/%"
S: b OK LIST completed
C: c LIST "" "INBOX/%"
S: c OK LIST completed
C: d LIST "nothing/" "*"
S: d OK LIST completed
C: e LIST "" "nothing"
S: e OK LIST completed
C: f LSUB "" "*"
S: * LSUB () "/" INBOX
S: * LSUB (\\Sent) "/" Sent
S: f OK LSUB completed
C: g XLIST "" "*"
S: * XLIST (\\HasNoChildren \\Inbox) "/" INBOX
S: * XLIST (\\HasNoChildren \\Sent) "/" Sent
S: g OK XLIST completed
""",
    "INBOX in any case": """
C: a STATUS inbox (MESSAGES)
S: * STATUS INBOX (MESSAGES 0)
S: a OK STATUS completed
C: b LIST "" Inbox
S: * LIST (\\HasNoChildren) "/" INBOX
S: b OK LIST completed
C: c CREATE iNbOx/sub
S: c OK [MAILBOXID (...)] CREATE completed
C: d LIST "" "inbox/%"
S: * LIST (\\HasNoChildren) "/" INBOX/sub
S: d OK LIST completed
C: e CREATE inbox
S: e NO [ALREADYEXISTS] ...
C: f SUBSCRIBE "inbox"
S: f OK SUBSCRIBE completed
C: g SELECT InBoX
S> g OK [READ-WRITE] SELECT completed
""",
    "ID with nothing in it": """
C: a ID NIL
S: * ID ("name" "mailplat")
S: a OK ID completed
C: b ID ()
S: * ID ("name" "mailplat")
S: b OK ID completed
C: c ID ("name" "Thunder" "version" NIL)
S: * ID ("name" "mailplat")
S: c OK ID completed
""",
    "a raw ampersand once UTF-8 is on": """
C: a CREATE "R&D"
S: a NO [CANNOT] ...
C: b CREATE "R&-D"
S: b OK ...
C: c ENABLE UTF8=ACCEPT
S: * ENABLED UTF8=ACCEPT
S: c OK ENABLE completed
C: d STATUS "R&D" (MESSAGES)
S: * STATUS R&D (MESSAGES 0)
S: d OK STATUS completed
C: e CREATE "Entwürfe"
S: e OK ...
C: f LIST "" E*
S: * LIST (\\HasNoChildren) "/" "Entwürfe"
S: f OK LIST completed
C: g SELECT INBOX
S> g OK ...
C: h SEARCH CHARSET UTF-8 ALL
S: h BAD ...
""",
    "a pattern that no name can match": """
C: a LIST "" "&%"
S: a OK LIST completed
""",
    "a new command ends IDLE": """
C: a SELECT INBOX
S> a OK ...
C: b IDLE
S: + idling
C: c NOOP
S: b OK IDLE completed
S: c OK NOOP completed
""",
    "DONE in any case": """
C: a IDLE
S: + idling
C: done
S: a OK IDLE completed
""",
    "an EXPUNGE with nothing to remove": """
C: a SELECT INBOX
S> a OK ...
C: b EXPUNGE
S: b OK EXPUNGE completed
C: c CLOSE
S: c OK CLOSE completed
C: d EXPUNGE
S: d BAD ...
""",
    "a very long line": f"""
C: a SELECT INBOX
S> a OK ...
C: b UID SEARCH UID {",".join(str(3 * number) for number in range(1, 10000))}
S: * SEARCH
S: b OK UID SEARCH completed
""",
}

WITH_MAIL = {
    "items come in the order asked, UID first": """
C: b FETCH 1 (FLAGS RFC822.SIZE UID)
S: * 1 FETCH (UID 1 FLAGS (...) RFC822.SIZE ...)
S: b OK FETCH completed
C: c UID FETCH 1 (RFC822.SIZE FLAGS)
S: * 1 FETCH (UID 1 RFC822.SIZE ... FLAGS (...))
S: c OK UID FETCH completed
C: d FETCH 1 FAST
S: * 1 FETCH (FLAGS (...) INTERNALDATE "..." RFC822.SIZE ...)
S: d OK FETCH completed
""",
    "CHANGEDSINCE 0": """
C: b FETCH 1:3 FLAGS (CHANGEDSINCE 0)
S: * OK [HIGHESTMODSEQ ...] ...
S: * 1 FETCH (FLAGS (...) MODSEQ (...))
S: * 2 FETCH (FLAGS (...) MODSEQ (...))
S: * 3 FETCH (FLAGS (...) MODSEQ (...))
S: b OK FETCH completed
C: c UID FETCH 1:* (FLAGS) (CHANGEDSINCE 99999)
S: c OK UID FETCH completed
""",
    "a chunk behind the end": """
C: b UID FETCH 1 BODY.PEEK[]<99999.1000>
S: * 1 FETCH (UID 1 BODY[]<99999> {0}
S: )
S: b OK UID FETCH completed
C: c UID FETCH 1 BODY.PEEK[TEXT]<5.4>
S: * 1 FETCH (UID 1 BODY[TEXT]<5> {4}
S: is m)
S: c OK UID FETCH completed
C: d UID FETCH 1 BODY.PEEK[9]
S: * 1 FETCH (UID 1 BODY[9] NIL)
S: d OK UID FETCH completed
""",
    "UNDELETED beside a text": """
C: b STORE 2 +FLAGS.SILENT \\Deleted
S: b OK STORE completed
C: c UID SEARCH UNDELETED TEXT "message"
S: * SEARCH 1 3
S: c OK UID SEARCH completed
C: d SEARCH NOT DELETED SUBJECT "number 3"
S: * SEARCH 3
S: d OK SEARCH completed
""",
    "flags without parentheses": """
C: b STORE 1 +FLAGS \\Seen
S: * 1 FETCH (FLAGS (\\Seen \\Recent))
S: b OK STORE completed
""",
    "reading marks as seen, peeking does not": """
C: b FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject)] FLAGS)
S: * 1 FETCH (BODY[HEADER.FIELDS (subject)] {21}
S: Subject: Number 1
S:
S:  FLAGS (\\Recent))
S: b OK FETCH completed
C: c FETCH 1 BODY[TEXT]
S: * 1 FETCH (BODY[TEXT] {20}
S: This is message 1.
S: )
S: * 1 FETCH (FLAGS (\\Seen \\Recent))
S: c OK FETCH completed
C: d FETCH 1 RFC822.HEADER
S> )
S: d OK FETCH completed
""",
}


@pytest.mark.parametrize("name", EMPTY)
@pytest_twisted.ensureDeferred
async def test_habit(server: Any, name: str) -> None:
    """The server takes it as clients mean it."""
    await server.play(EMPTY[name])


@pytest.mark.parametrize("name", WITH_MAIL)
@pytest_twisted.ensureDeferred
async def test_habit_with_mail(server: Any, name: str) -> None:
    """The same in a mailbox of three messages."""
    await server.put(mail(1), mail(2), mail(3))
    await server.play("C: a SELECT INBOX\nS> a OK ...\n" + WITH_MAIL[name])


@pytest_twisted.ensureDeferred
async def test_idling_is_never_too_long(server: Any) -> None:
    """In IDLE the server says every two minutes that it is there, and never that it had enough."""
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await turn()
    send(b"b IDLE\r\n")
    await turn()
    wire.take()
    for _ in range(120):
        server.clock.advance(60)
    assert wire.take() == b"* OK Still here\r\n" * 60
    assert not wire.closing
    send(b"DONE\r\n")
    await turn()
    assert wire.take() == b"b OK IDLE completed\r\n"
    for _ in range(29):
        server.clock.advance(60)
    assert not wire.closing
    server.clock.advance(120)
    assert wire.take() == b"* BYE Autologout; idle for too long\r\n"
    assert wire.closing


@pytest_twisted.ensureDeferred
async def test_a_stopping_server_says_so_to_who_idles(server: Any) -> None:
    """IDLE is no reason to be cut off without a word."""
    wire, send = server.log_in()
    send(b"a IDLE\r\n")
    await turn()
    wire.take()
    server.connections[0].shut_down()
    assert wire.take().startswith(b"* BYE [UNAVAILABLE] ")
    assert wire.closing


@pytest_twisted.ensureDeferred
async def test_no_line_is_empty_or_ends_in_a_blank(server: Any) -> None:
    """Clients stumble over empty texts, trailing blanks and counts below zero."""
    await server.put(mail(1), b"", b"\r\n", b"Subject: \r\n\r\n", b"Content-Type: text/plain\r\n")
    wire, send = server.log_in()
    for line in (
        "CAPABILITY",
        "SELECT INBOX",
        "FETCH 1:* (FLAGS ENVELOPE BODY BODYSTRUCTURE PREVIEW EMAILID THREADID SAVEDATE)",
        "UID SEARCH ALL",
        "UID SEARCH DELETED",
        "UID SEARCH RETURN () DELETED",
        "SORT (DATE) UTF-8 DELETED",
        "THREAD REFERENCES UTF-8 DELETED",
        "STORE 1:* +FLAGS (a)",
        "STATUS INBOX (MESSAGES)",
        "GETQUOTAROOT INBOX",
        "ENABLE NOTHING",
        "XYZ",
        "UID EXPUNGE 99",
        "LOGOUT",
    ):
        send(b"t " + line.encode() + b"\r\n")
        for _ in range(5):
            await turn()
    said = wire.take()
    for line in said.split(b"\r\n"):
        assert not line.endswith(b" "), line
        assert b" -1" not in line
        words = line.split(b" ")
        if words[0] == b"t":
            assert len(words) > 2
    assert b"t OK LOGOUT completed\r\n" in said
