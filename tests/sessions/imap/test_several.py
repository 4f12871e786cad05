"""Several clients on one mailbox: what each is told of the others' doing, and when."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.logger import Logger

from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

BOTH = """
C: s SELECT INBOX
S> s OK [READ-WRITE] ...
2C: s SELECT INBOX
2S> s OK [READ-WRITE] ...
"""

DIALOGUES = {
    "expunges wait until numbers may change": """
2C: x STORE 1 +FLAGS.SILENT \\Deleted
2S: x OK ...
2C: y EXPUNGE
2S: * 1 EXPUNGE
2S: y OK ...
C: a FETCH 2:3 UID
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: a OK FETCH completed
C: b STORE 3 +FLAGS.SILENT \\Seen
S: b OK STORE completed
C: c SEARCH ALL
S: * SEARCH 1 2 3
S: c OK SEARCH completed
C: d NOOP
S: * 1 EXPUNGE
S: d OK NOOP completed
2C: z NOOP
2S: * 2 FETCH (FLAGS (\\Seen))
2S: z OK NOOP completed
""",
    "UID commands tell expunges": """
2C: x UID STORE 1 +FLAGS.SILENT \\Deleted
2S: x OK ...
2C: y UID EXPUNGE 1:2
2S: * 1 EXPUNGE
2S: y OK ...
C: a UID FETCH 2 FLAGS
S: * 2 FETCH (UID 2 FLAGS (\\Recent))
S: * 1 EXPUNGE
S: a OK UID FETCH completed
""",
    "FETCH, STORE, COPY and MOVE of what another removed": """
2C: x STORE 2 +FLAGS.SILENT \\Deleted
2S: x OK ...
2C: y EXPUNGE
2S: * 2 EXPUNGE
2S: y OK ...
C: a FETCH 1:3 UID
S: * 1 FETCH (UID 1)
S: * 3 FETCH (UID 3)
S: a OK [EXPUNGEISSUED] ...
C: b FETCH 2 BODY[]
S: b OK [EXPUNGEISSUED] ...
C: c STORE 1:2 +FLAGS \\Flagged
S: * 1 FETCH (FLAGS (\\Flagged \\Recent))
S: c OK [EXPUNGEISSUED] ...
C: d STORE 2 FLAGS.SILENT (\\Seen)
S: d OK [EXPUNGEISSUED] ...
C: e COPY 2 Sent
S: * 2 EXPUNGE
S: e OK COPY completed
C: f UID FETCH 2 FLAGS
S: f OK UID FETCH completed
C: g UID STORE 2 +FLAGS \\Seen
S: g OK UID STORE completed
C: h UID MOVE 2 Sent
S: h OK UID MOVE completed
""",
    "copies and moves into a watched mailbox": """
2C: i IDLE
2S: + idling
C: a COPY 1 INBOX
S: * 4 EXISTS
S: * ... RECENT
S: a OK [COPYUID ... 1 4] COPY completed
2S: * 4 EXISTS
2S: * ... RECENT
C: b MOVE 2:3 Sent
S: * OK [COPYUID ... 2:3 1:2] Moved
S: * 3 EXPUNGE
S: * 2 EXPUNGE
S: b OK MOVE completed
2S: * 3 EXPUNGE
2S: * 2 EXPUNGE
C: c MOVE 1 INBOX
S: * OK [COPYUID ... 1 5] Moved
S: * 1 EXPUNGE
S: * 2 EXISTS
S: * ... RECENT
S: c OK MOVE completed
2S: * 1 EXPUNGE
2S: * 2 EXISTS
2S: * ... RECENT
2C: DONE
2S: i OK IDLE completed
C: d MOVE 1 Nowhere
S: d NO [TRYCREATE] ...
C: e UID MOVE 99 Nowhere
S: e NO [TRYCREATE] ...
C: f UID COPY 99 Nowhere
S: f NO [TRYCREATE] ...
""",
    "the open mailbox is deleted by its own session": """
C: a CREATE box
S: a OK ...
C: b SELECT box
S> b OK [READ-WRITE] ...
C: c DELETE INBOX
S: c NO [CANNOT] ...
C: d NOOP
S: d OK ...
C: e SEARCH ALL
S: * SEARCH
S: e OK ...
C: f RENAME box other
S: f OK ...
C: g SEARCH ALL
S: * SEARCH
S: g OK ...
C: h DELETE other
S: * OK [CLOSED] ...
S: h OK DELETE completed
C: i SEARCH ALL
S: i BAD ...
""",
    "the open mailbox is deleted by another": """
C: a CREATE box
S: a OK ...
C: b SELECT box
S> b OK ...
2C: b EXAMINE box
2S> b OK ...
2C: c IDLE
2S: + idling
3C: d DELETE box
3S: d OK DELETE completed
2S: * BYE The mailbox was deleted by another session
C: e FETCH 1 FLAGS
S: e BAD No such message
C: f NOOP
S: * BYE The mailbox was deleted by another session
""",
    "the open mailbox is deleted, and the session turns elsewhere": """
C: a CREATE box
S: a OK ...
C: b SELECT box
S> b OK ...
2C: d DELETE box
2S: d OK DELETE completed
C: e SELECT INBOX
S: * OK [CLOSED] ...
S> e OK [READ-WRITE] ...
""",
    "the open mailbox is renamed": """
C: a CREATE box
S: a OK ...
C: b SELECT box
S> b OK ...
2C: c RENAME box other
2S: c OK RENAME completed
2C: d COPY 1 other
2S: d OK [COPYUID ...] COPY completed
C: e NOOP
S: * 1 EXISTS
S: * 1 RECENT
S: e OK NOOP completed
C: f FETCH 1 UID
S: * 1 FETCH (UID 1)
S: f OK FETCH completed
2C: g RENAME INBOX old
2S: * 3 EXPUNGE
2S: * 2 EXPUNGE
2S: * 1 EXPUNGE
2S: g OK RENAME completed
""",
    "recent to one session alone": """
3C: x APPEND INBOX {14}
3S: + OK
3C: Subject: a
3C:
3C:
3S: x OK ...
C: a NOOP
S: * 4 EXISTS
S: * 4 RECENT
S: a OK NOOP completed
2C: a NOOP
2S: * 4 EXISTS
2S: * 0 RECENT
2S: a OK NOOP completed
3C: y STATUS INBOX (RECENT)
3S: * STATUS INBOX (RECENT 0)
3S: y OK STATUS completed
C: b SEARCH RECENT
S: * SEARCH 1 2 3 4
S: b OK SEARCH completed
2C: b SEARCH OLD
2S: * SEARCH 1 2 3 4
2S: b OK SEARCH completed
C: c FETCH 4 FLAGS
S: * 4 FETCH (FLAGS (\\Recent))
S: c OK FETCH completed
2C: c FETCH 4 FLAGS
2S: * 4 FETCH (FLAGS ())
2S: c OK FETCH completed
""",
    "who only examines claims nothing": """
3C: s EXAMINE INBOX
3S> s OK [READ-ONLY] ...
3C: x APPEND INBOX {14}
3S: + OK
3C: Subject: a
3C:
3C:
3S: * 4 EXISTS
3S: * 1 RECENT
3S: x OK ...
3C: y STATUS INBOX (RECENT)
3S: * STATUS INBOX (RECENT 1)
3S: y OK STATUS completed
C: a NOOP
S: * 4 EXISTS
S: * 4 RECENT
S: a OK NOOP completed
3C: z STORE 1 FLAGS ()
3S: z NO [READ-ONLY] ...
3C: z EXPUNGE
3S: z NO [READ-ONLY] ...
3C: z MOVE 1 Sent
3S: z NO [READ-ONLY] ...
3C: z FETCH 1 BODY[TEXT]
3S> )
3S: z OK FETCH completed
3C: z CLOSE
3S: z OK CLOSE completed
""",
    "a keyword that another made": """
2C: x STORE 2 +FLAGS ($Work)
2S: * FLAGS (... $Work)
2S: * OK [PERMANENTFLAGS (... $Work \\*)] ...
2S: * 2 FETCH (FLAGS ($Work))
2S: x OK ...
C: a FETCH 2 FLAGS
S: * FLAGS (... $Work)
S: * OK [PERMANENTFLAGS (... $Work \\*)] ...
S: * 2 FETCH (FLAGS ($Work \\Recent))
S: * 2 FETCH (FLAGS ($Work \\Recent))
S: a OK FETCH completed
C: b SEARCH KEYWORD $work
S: * SEARCH 2
S: b OK SEARCH completed
C: c SEARCH UNKEYWORD $Work
S: * SEARCH 1 3
S: c OK SEARCH completed
""",
    "CLOSE expunges in silence, UNSELECT not at all": """
C: a STORE 1 +FLAGS.SILENT \\Deleted
S: a OK ...
C: b UNSELECT
S: b OK UNSELECT completed
2C: b NOOP
2S: * 1 FETCH (FLAGS (\\Deleted))
2S: b OK NOOP completed
C: c SELECT INBOX
S> c OK ...
C: d CLOSE
S: d OK CLOSE completed
2C: e NOOP
2S: * 1 EXPUNGE
2S: e OK NOOP completed
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """Nobody's numbers get out of step, and nobody is told too early."""
    await server.put(mail(1), mail(2), mail(3))
    await server.play(BOTH + DIALOGUES[name])


@pytest_twisted.ensureDeferred
async def test_lost_while_idling(server: Any, caught: list[Any]) -> None:
    """A connection that is lost while it is told something leaves nothing behind."""
    _, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await turn()
    send(b"b IDLE\r\n")
    await turn()
    await server.put(mail(1))
    server.lose(1)
    await server.put(mail(2))
    await turn()
    assert not caught
    assert server.services.logins._counts == {}
    assert not server.clock.getDelayedCalls()


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was logged as a failure."""
    found: list[Any] = []
    monkeypatch.setattr(Logger, "failure", lambda *args, **more: found.append(args))
    return found
