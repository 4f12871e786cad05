"""PREVIEW, SAVEDATE, OBJECTID and the limits of APPEND, as a client sees them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from mailplat.model.numset import NumSet
from mailplat.store.memory.handle import MemoryMailbox
from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

SHORT = b"From: a@example.org\r\nSubject: x\r\n\r\nHello  there,\r\n\r\nAnn\r\n"


@pytest_twisted.ensureDeferred
async def test_previews(server: Any) -> None:
    """The text of a message begins so; nothing is NIL only where nobody looked (RFC 8970 §3)."""
    await server.put(SHORT, b"Subject: x\r\n\r\n")
    await server.play("""
C: a SELECT INBOX
S> a OK ...
C: b FETCH 1:2 (PREVIEW)
S: * 1 FETCH (PREVIEW "Hello there, Ann")
S: * 2 FETCH (PREVIEW "")
S: b OK FETCH completed
C: c UID FETCH 1 (PREVIEW (LAZY) FLAGS)
S: * 1 FETCH (UID 1 PREVIEW "Hello there, Ann" FLAGS (...))
S: c OK UID FETCH completed
C: d FETCH 1 PREVIEW (EAGER)
S: d BAD ...
""")


@pytest_twisted.ensureDeferred
async def test_save_dates(server: Any) -> None:
    """A message was saved when it came into this mailbox, whatever its date (RFC 8514)."""
    await server.put(mail(1), date=1)
    await server.play("""
C: a SELECT INBOX
S> a OK ...
C: b FETCH 1 (SAVEDATE INTERNALDATE)
S: * 1 FETCH (SAVEDATE "...-20..." INTERNALDATE "01-Jan-1970 00:00:01 +0000")
S: b OK FETCH completed
C: c SEARCH SAVEDBEFORE 1-Jan-2020
S: * SEARCH
S: c OK SEARCH completed
C: d SEARCH SAVEDATESUPPORTED SAVEDSINCE 1-Jan-2020
S: * SEARCH 1
S: d OK SEARCH completed
""")


@pytest_twisted.ensureDeferred
async def test_object_ids(server: Any) -> None:
    """A message keeps its EMAILID where it is copied or moved to; a mailbox its own (RFC 8474)."""
    await server.put(mail(1), mail(2))
    wire, send = server.log_in()

    async def ask(line: bytes) -> bytes:
        send(b"t " + line + b"\r\n")
        for _ in range(3):
            await turn()
        said: bytes = wire.take()
        assert b"t OK" in said
        return said

    opened = await ask(b"SELECT INBOX")
    mailbox_id = re.findall(rb"MAILBOXID \((\w+)\)", opened)[0]
    first, second = re.findall(rb"EMAILID \(([\w-]+)\)", await ask(b"FETCH 1:2 (EMAILID)"))
    assert first != second
    assert b"* SEARCH 2\r\n" in await ask(b"SEARCH EMAILID " + second)
    assert b"THREADID NIL" in await ask(b"FETCH 1 (THREADID)")
    await ask(b"MOVE 1 Sent")
    await ask(b"COPY 1 Sent")
    await ask(b"RENAME Sent Gone")
    await ask(b"SELECT Gone")
    assert re.findall(rb"EMAILID \(([\w-]+)\)", await ask(b"FETCH 1:2 EMAILID")) == [first, second]
    told = await ask(b"STATUS INBOX (MAILBOXID)")
    assert told.startswith(b"* STATUS INBOX (MAILBOXID (" + mailbox_id + b"))\r\n")


@pytest_twisted.ensureDeferred
async def test_appended_literals(server: Any) -> None:
    """A message comes synchronizing or not, at the limit that was told, and not above it."""
    await server.play("""
C: a APPEND INBOX {99999999}
S: a NO [TOOBIG] ...
C: b APPEND INBOX {3+}
C: abc
S: b OK [APPENDUID ... 1] APPEND completed
C: c APPEND INBOX (\\Seen) {3}
S: + ...
C: abc
S: c OK [APPENDUID ... 2] APPEND completed
""")


@pytest_twisted.ensureDeferred
async def test_seen_is_set_once(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """FETCH of many bodies is one change of flags, told behind the last of them."""
    changed: list[NumSet] = []
    stored = MemoryMailbox.store_flags

    async def counted(mailbox: MemoryMailbox, uids: NumSet, *args: Any) -> Any:
        changed.append(uids)
        return await stored(mailbox, uids, *args)

    monkeypatch.setattr(MemoryMailbox, "store_flags", counted)
    await server.put(mail(1), mail(2), mail(3), mail(4))
    await server.play("""
C: a SELECT INBOX
S> a OK ...
C: b FETCH 1,3:4 (BODY[]<0.4> FLAGS)
S: * 1 FETCH (BODY[]<0> {4}
S: From FLAGS (\\Recent))
S: * 3 FETCH (BODY[]<0> {4}
S: From FLAGS (\\Recent))
S: * 4 FETCH (BODY[]<0> {4}
S: From FLAGS (\\Recent))
S: * 1 FETCH (FLAGS (\\Seen \\Recent))
S: * 3 FETCH (FLAGS (\\Seen \\Recent))
S: * 4 FETCH (FLAGS (\\Seen \\Recent))
S: b OK FETCH completed
C: c FETCH 1:* BODY[]<0.1>
S> * 2 FETCH (FLAGS (\\Seen \\Recent))
S: c OK FETCH completed
""")
    assert changed == [NumSet.of([1, 3, 4]), NumSet.of([2])]
