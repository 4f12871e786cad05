"""A large message that cannot be read: refused before anything is said of it, or the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.store import BodyRange
from mailplat.model.errors import Corrupt, Unavailable
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.store.memory.handle import MemoryMailbox
from mailplat.testing.imap_server import IMAPServer
from mailplat.testing.mails import mail
from mailplat.testing.turns import until

SIZE = 50_000


@pytest.fixture
def options() -> IMAPOptions:
    """Messages are large soon."""
    return IMAPOptions(auth_needs_tls=False, block_bytes=10_000)


def damage(patch: pytest.MonkeyPatch, uid: int, first: int, error: Exception) -> None:
    """Let the bytes of a message from one on be unreadable."""
    right: Any = MemoryMailbox.bodies

    async def bodies(self: MemoryMailbox, ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        if any(one.uid == uid and one.stop > first for one in ranges):
            raise error
        found: Sequence[bytes | None] = await right(self, ranges)
        return found

    patch.setattr(MemoryMailbox, "bodies", bodies)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unavailable("a server is down"), b"UNAVAILABLE"), (Corrupt("it is gone"), b"CORRUPTION")],
)
@pytest.mark.parametrize("item", [b"BODY.PEEK[]", b"BODY.PEEK[TEXT]<0.48000>", b"BINARY.SIZE[1]"])
@pytest_twisted.ensureDeferred
async def test_refused(
    server: IMAPServer, monkeypatch: pytest.MonkeyPatch, error: Exception, code: bytes, item: bytes
) -> None:
    """What is known before is answered NO alone; the session and other messages go on."""
    await server.put(mail(1, SIZE), mail(2, SIZE))
    damage(monkeypatch, 1, 40_000, error)
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await until(lambda: b"\r\na OK" in wire.written())
    wire.take()
    send(b"b FETCH 1 (" + item + b")\r\n")
    await until(lambda: b"b NO" in wire.written())
    said = wire.take()
    assert said.startswith(b"b NO [" + code + b"]")
    assert b"server is down" not in said
    send(b"c FETCH 2 (" + item + b")\r\n")
    await until(lambda: b"\r\nc OK" in wire.written())
    assert not wire.aborted


@pytest_twisted.ensureDeferred
async def test_ended(server: IMAPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure inside of a literal ends the connection: nothing is said as if it were mail."""
    await server.put(mail(1, SIZE))
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await until(lambda: b"\r\na OK" in wire.written())
    wire.take()
    asked: list[int] = []
    right: Any = MemoryMailbox.bodies

    async def bodies(self: MemoryMailbox, ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        asked.append(len(ranges))
        if len(asked) > 3:
            raise Unavailable("a server went down")
        found: Sequence[bytes | None] = await right(self, ranges)
        return found

    monkeypatch.setattr(MemoryMailbox, "bodies", bodies)
    send(b"b FETCH 1 (BODY.PEEK[])\r\n")
    await until(lambda: wire.aborted)
    assert (b"* 1 FETCH (BODY[] {50000}\r\n" + mail(1, SIZE)).startswith(wire.take())


@pytest.mark.parametrize("size", [1000, SIZE])
@pytest_twisted.ensureDeferred
async def test_the_rest_is_served(
    server: IMAPServer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Of many messages a damaged one is left away; the others come, and are seen."""
    bodies = [mail(number, size) for number in range(1, 6)]
    await server.put(*bodies)
    damage(monkeypatch, 3, 0, Corrupt("UID 3 is gone"))
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await until(lambda: b"\r\na OK" in wire.written())
    wire.take()
    send(b"b FETCH 1:5 (BODY[])\r\n")
    await until(lambda: b"\r\nb NO [CORRUPTION]" in wire.written())
    said = wire.take()
    for number, body in enumerate(bodies, 1):
        answer = b"* %d FETCH (BODY[] {%d}\r\n" % (number, len(body)) + body + b")\r\n"
        assert (answer in said) == (number != 3)
        seen = b"* %d FETCH (FLAGS (\\Seen" % number
        assert (seen in said) == (number != 3)
    assert b"UID 3 is gone" not in said
