"""APPEND, MULTIAPPEND and REPLACE: all or nothing, refused in time, nothing left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from mailplat.interfaces.store import NewMessage
from mailplat.model.errors import StorageFull
from mailplat.model.mailbox import Appended, QuotaLimit
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

DIALOGUES = {
    "several messages at once": """
C: a APPEND INBOX (\\Seen) "01-Feb-2026 10:00:00 +0200" {3+}
C: abc ($Work) {4+}
C: defg {2+}
C: hi
S: a OK [APPENDUID ... 1:3] APPEND completed
C: b SELECT INBOX
S> b OK ...
C: c FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)
S: * 1 FETCH (FLAGS (\\Seen \\Recent) INTERNALDATE "01-Feb-2026 08:00:00 +0000" RFC822.SIZE 3)
S: * 2 FETCH (FLAGS ($Work \\Recent) INTERNALDATE "14-Nov-2023 ..." RFC822.SIZE 4)
S: * 3 FETCH (FLAGS (\\Recent) INTERNALDATE "14-Nov-2023 22:13:20 +0000" RFC822.SIZE 2)
S: c OK FETCH completed
""",
    "an empty message calls all off": """
C: a APPEND INBOX {3+}
C: abc {0+}
C:
S: a NO APPEND called off
C: b STATUS INBOX (MESSAGES)
S: * STATUS INBOX (MESSAGES 0)
S: b OK STATUS completed
""",
    "no such mailbox is said before the bytes come": """
C: a APPEND Nowhere {3}
S: a NO [TRYCREATE] ...
C: b APPEND Nowhere {3+}
C: abc
S: b NO [TRYCREATE] ...
C: c NOOP
S: c OK NOOP completed
""",
    "a fault behind the first message": """
C: a APPEND INBOX {3+}
C: abc XYZ
S: a BAD ...
C: b STATUS INBOX (MESSAGES)
S: * STATUS INBOX (MESSAGES 0)
S: b OK STATUS completed
C: c APPEND INBOX (\\Recent) {3+}
C: abc
S: c BAD ...
C: d APPEND INBOX "32-Feb-2026 10:00:00 +0200" {3+}
C: abc
S: d BAD ...
""",
    "into the open mailbox": """
C: a SELECT INBOX
S> a OK ...
C: b APPEND INBOX {3}
S: + OK
C: abc
S: * 1 EXISTS
S: * 1 RECENT
S: b OK [APPENDUID ... 1] APPEND completed
""",
    "REPLACE": """
C: a SELECT INBOX
S> a OK ...
C: b APPEND INBOX {3+}
C: old
S> b OK [APPENDUID ... 1] APPEND completed
C: c REPLACE 1 INBOX (\\Seen) {3+}
C: new
S: * OK [APPENDUID ... 2] ...
S: * 1 EXPUNGE
S: * 1 EXISTS
S: * 1 RECENT
S: c OK REPLACE completed
C: d UID REPLACE 2 Sent {4}
S: + OK
C: sent
S: * OK [APPENDUID ... 1] ...
S: * 1 EXPUNGE
S: d OK UID REPLACE completed
C: e UID REPLACE 2 Sent {4}
S: e NO [NONEXISTENT] ...
C: f REPLACE 1 Sent {4}
S: f BAD ...
C: g STATUS Sent (MESSAGES)
S: * STATUS Sent (MESSAGES 1)
S: g OK STATUS completed
""",
    "REPLACE of what another removed": """
C: a SELECT INBOX
S> a OK ...
C: b APPEND INBOX (\\Deleted) {3+}
C: old
S> b OK ...
2C: a SELECT INBOX
2S> a OK ...
2C: b EXPUNGE
2S: * 1 EXPUNGE
2S: b OK ...
C: c REPLACE 1 INBOX {3}
S: c NO [NONEXISTENT] ...
C: d NOOP
S: * 1 EXPUNGE
S: d OK NOOP completed
2C: c EXAMINE INBOX
2S> c OK ...
2C: d UID REPLACE 1 INBOX {3}
2S: d NO [READ-ONLY] ...
""",
    "literal8": """
C: a APPEND INBOX ~{3+}
C: abc
S: a OK [APPENDUID ... 1] APPEND completed
C: b APPEND INBOX UTF8 (~{3+}
C: abc)
S: b OK [APPENDUID ... 2] APPEND completed
""",
}


@pytest.fixture
def options() -> IMAPOptions:
    """Small limits."""
    return IMAPOptions(auth_needs_tls=False, message_size=1000, append_total=1500)


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """All messages of a command are stored, or none."""
    await server.play(DIALOGUES[name])


@pytest_twisted.ensureDeferred
async def test_limits_are_told_before_the_bytes_come(server: Any) -> None:
    """Size, total and quota are known from the announcement."""
    home = await server.store.open_home("alice@example.org")
    wire, send = server.log_in()
    send(b"a APPEND INBOX {1001}\r\n")
    assert wire.take().startswith(b"a NO [TOOBIG] ")
    send(b"b APPEND INBOX {1000+}\r\n" + b"x" * 1000 + b" {600}\r\n")
    await turn()
    assert wire.take() == b"b NO [TOOBIG] Too many bytes in one APPEND\r\n"
    await home.set_limit(QuotaLimit(storage=100))
    send(b"c APPEND INBOX {101}\r\n")
    assert wire.take().startswith(b"c NO [OVERQUOTA] ")
    send(b"d APPEND INBOX {60+}\r\n" + b"x" * 60 + b" {60}\r\n")
    await turn()
    assert wire.take().startswith(b"d NO [OVERQUOTA] ")
    await home.set_limit(QuotaLimit(messages=1))
    send(b"e APPEND INBOX {1+}\r\nx {1}\r\n")
    await turn()
    assert wire.take().startswith(b"e NO [OVERQUOTA] ")
    send(b"f APPEND INBOX {1+}\r\nx\r\n")
    await turn()
    assert wire.take().startswith(b"f OK [APPENDUID ")
    assert server.services.intakes.memory_left == 64 * 1024 * 1024


class _Slow:
    """A home whose APPEND waits for the test, and says when the bodies were closed."""

    def __init__(self, home: Any) -> None:
        self._home = home
        self.stored: Deferred[None] = Deferred()
        self.bodies: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._home, name)

    async def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        await self.stored
        self.bodies = [message.body.read(0, 100) for message in messages]
        appended: Appended = await self._home.append(name, messages)
        return appended


@pytest_twisted.ensureDeferred
async def test_lost_while_it_is_stored(server: Any) -> None:
    """A store that was given a message may read it to the end, whoever hung up meanwhile."""
    home = _Slow(await server.store.open_home("alice@example.org"))
    server.store.open_home = lambda _: _given(home)
    _, send = server.log_in()
    send(b"a APPEND INBOX {3+}\r\nabc\r\n")
    await turn()
    server.lose(1)
    await turn()
    home.stored.callback(None)
    await turn()
    assert home.bodies == [b"abc"]
    assert (await home.status(["INBOX"]))["INBOX"].messages == 1
    assert server.services.intakes.memory_left == 64 * 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_lost_while_a_message_is_replaced(server: Any) -> None:
    """The old message goes although nobody waits for it: the mailbox is held open till then."""
    await server.put(mail(1))
    home = _Slow(await server.store.open_home("alice@example.org"))
    server.store.open_home = lambda _: _given(home)
    _, send = server.log_in()
    send(b"s SELECT INBOX\r\n")
    await turn()
    send(b"a REPLACE 1 INBOX {3+}\r\nabc\r\n")
    await turn()
    server.lose(1)
    home.stored.callback(None)
    await turn()
    status = (await home.status(["INBOX"]))["INBOX"]
    assert (status.messages, status.size) == (1, 3)


async def _given(value: Any) -> Any:
    return value


@pytest_twisted.ensureDeferred
async def test_no_room(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is told once the client is done, and the session goes on."""
    intake = server.services.intakes.open_intake()

    def full(block: bytes) -> None:
        raise StorageFull("full")

    monkeypatch.setattr(type(intake), "write", lambda self, block: full(block))
    wire, send = server.log_in()
    send(b"a APPEND INBOX {6+}\r\nabc")
    send(b"def\r\nb NOOP\r\n")
    await turn()
    said = wire.take()
    assert said == b"a NO [UNAVAILABLE] Insufficient system storage\r\nb OK NOOP completed\r\n"


@pytest_twisted.ensureDeferred
async def test_broken_off(server: Any) -> None:
    """A message that does not come whole leaves nothing."""
    _, send = server.log_in()
    send(b"a APPEND INBOX {6+}\r\nabc")
    await turn()
    assert server.services.intakes.memory_left < 64 * 1024 * 1024
    server.lose(1)
    await turn()
    assert server.services.intakes.memory_left == 64 * 1024 * 1024
    home = await server.store.open_home("alice@example.org")
    assert (await home.status(["INBOX"]))["INBOX"].messages == 0
