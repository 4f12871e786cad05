"""Who may log in, what is offered when, and what never gets into a log."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import eventAsText, globalLogPublisher

from mailplat.model.peer import TLSInfo
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.sessions.imap.switches import switches
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import turn

PLAIN = base64.b64encode(b"\0alice\0secret").decode()

FOR_BOB = base64.b64encode(b"bob\0alice\0secret").decode()

DIALOGUES = {
    "LOGIN": """
2C: a LOGIN {5}
2S: + OK
2C: alice {6+}
2C: secret
2S: a OK [CAPABILITY IMAP4rev1 ... UIDPLUS ...] Logged in
2C: b LOGIN alice secret
2S: b BAD ...
2C: c AUTHENTICATE PLAIN
2S: c BAD ...
2C: d LOGOUT
2S: * BYE Logging out
2S: d OK LOGOUT completed
C: a LOGIN alice wrong
S: a NO [AUTHENTICATIONFAILED] ...
""",
    "AUTHENTICATE": f"""
C: a AUTHENTICATE PLAIN
S: +...
C: *
S: a BAD Authentication cancelled
C: b AUTHENTICATE PLAIN !!!
S: b BAD Malformed authentication response
C: c AUTHENTICATE NONSENSE
S: c NO [CANNOT] ...
C: d AUTHENTICATE plain
S: +...
C: {PLAIN}
S: d OK [CAPABILITY ...] Logged in
2C: a AUTHENTICATE PLAIN {PLAIN}
2S: a OK [CAPABILITY ...] Logged in
3C: a AUTHENTICATE LOGIN
3S: + ...
3C: {base64.b64encode(b"alice").decode()}
3S: + ...
3C: {base64.b64encode(b"secret").decode()}
3S: a OK [CAPABILITY ...] Logged in
4C: a AUTHENTICATE PLAIN {FOR_BOB}
4S: a NO [AUTHENTICATIONFAILED] ...
""",
    "nothing else before log-in": """
C: a SELECT INBOX
S: a BAD ...
C: b LIST "" *
S: b BAD ...
C: c APPEND INBOX {3+}
C: abc
S: c BAD ...
C: d IDLE
S: d BAD ...
C: e ENABLE CONDSTORE
S: e BAD ...
C: f COMPRESS DEFLATE
S: f BAD ...
C: g NOOP
S: g OK NOOP completed
C: h ID NIL
S: * ID ("name" "mailplat")
S: h OK ID completed
C: i STARTTLS now
S: i BAD ...
""",
    "an account has so many sessions": """
C: a LOGIN alice secret
S: a OK ...
2C: a LOGIN alice secret
2S: a OK ...
3C: a LOGIN alice secret
3S: a OK ...
4C: a LOGIN alice secret
4S: a NO [LIMIT] ...
4C: b LOGIN bob secret
4S: b OK ...
3C: b LOGOUT
3S> b OK ...
""",
    "UNAUTHENTICATE": """
C: a UNAUTHENTICATE
S: a BAD ...
C: b LOGIN alice secret
S: b OK [... UNAUTHENTICATE] Logged in
C: c ENABLE CONDSTORE
S: * ENABLED CONDSTORE
S: c OK ENABLE completed
C: d SELECT INBOX
S> d OK ...
C: e UNAUTHENTICATE
S: e OK UNAUTHENTICATE completed
C: f SELECT INBOX
S: f BAD ...
C: g LOGIN bob secret
S: g OK ...
C: h STORE 1 FLAGS ()
S: h BAD ...
C: i SELECT INBOX
S> i OK ...
C: j FETCH 1:* FLAGS
S: j OK FETCH completed
""",
    "COMPRESS": """
C: a LOGIN alice secret
S: a OK [...COMPRESS=DEFLATE...] Logged in
C: b COMPRESS GZIP
S: b BAD ...
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """Log-in is by the book."""
    await server.play(DIALOGUES[name], logged_in=False)


def capabilities(said: bytes) -> set[str]:
    """Read a CAPABILITY response or response code."""
    line = said.partition(b"CAPABILITY ")[2].partition(b"\r\n")[0].partition(b"]")[0]
    return set(line.decode().split())


class TestOffers:
    """What is offered in clear, where log-in needs TLS."""

    @pytest.fixture
    def options(self) -> IMAPOptions:
        """As in real life."""
        return IMAPOptions(disabled=switches({"IDLE", "COMPRESS=DEFLATE", "CONDSTORE"}))

    @pytest_twisted.ensureDeferred
    async def test_in_clear(self, server: Any) -> None:
        """Log-in is neither offered nor done; STARTTLS is offered."""
        wire, send = server.connect()
        send(b"a CAPABILITY\r\n")
        offered = capabilities(wire.take())
        assert {"STARTTLS", "LOGINDISABLED", "IMAP4rev1", "IMAP4rev2", "ID"} <= offered
        assert not any(name.startswith("AUTH=") for name in offered)
        assert "IDLE" not in offered
        for line in (b"b LOGIN alice secret\r\n", b"b AUTHENTICATE PLAIN\r\n"):
            send(line)
            assert wire.take().startswith(b"b NO [PRIVACYREQUIRED] ")

    @pytest_twisted.ensureDeferred
    async def test_after_starttls(self, server: Any) -> None:
        """Under TLS there is no STARTTLS any more, and log-in works."""
        wire, send = server.connect()
        connection = server.connections[0]
        connection._tls = object()
        send(b"a STARTTLS\r\nb LOGIN alice secret\r\n")
        assert wire.take() == b"a OK Begin TLS negotiation now\r\n"
        connection.handshakeCompleted()
        connection.peer = _with_tls(connection.peer)
        await turn()
        assert wire.take() == b""  # what was pipelined behind STARTTLS is gone
        send(b"c CAPABILITY\r\n")
        offered = capabilities(wire.take())
        assert {"AUTH=PLAIN", "SASL-IR"} <= offered
        assert not {"STARTTLS", "LOGINDISABLED"} & offered
        send(b"d STARTTLS\r\n")
        assert wire.take().startswith(b"d BAD ")
        send(b"e LOGIN alice secret\r\n")
        offered = capabilities(wire.take())
        assert {"UIDPLUS", "MOVE", "SORT", "THREAD=REFS", "APPENDLIMIT=52428800"} <= offered
        assert not {"STARTTLS", "AUTH=PLAIN", "COMPRESS=DEFLATE"} & offered
        send(b"f COMPRESS DEFLATE\r\n")
        assert wire.take().startswith(b"f BAD ")
        send(b"g ENABLE CONDSTORE QRESYNC\r\n")
        assert wire.take() == b"* ENABLED\r\ng OK ENABLE completed\r\n"


def _with_tls(peer: Any) -> Any:
    return replace(peer, tls=TLSInfo("TLSv1.3", "x"))


@pytest_twisted.ensureDeferred
async def test_every_capability_is_known(server: Any) -> None:
    """What is offered is done: no command of an extension is answered by a shrug."""
    wire, send = server.log_in()
    await server.put(b"Subject: x\r\n\r\n")
    for line in (
        "NAMESPACE",
        'LIST (SPECIAL-USE) "" * RETURN (STATUS (SIZE DELETED APPENDLIMIT MAILBOXID))',
        'XLIST "" *',
        "ENABLE CONDSTORE QRESYNC UTF8=ACCEPT IMAP4rev2",
        "SELECT INBOX (QRESYNC (1 1))",
        "SEARCH RETURN (SAVE PARTIAL 1:1) YOUNGER 1",
        "SORT RETURN (ALL) (DISPLAYFROM) UTF-8 ALL",
        "THREAD ORDEREDSUBJECT UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "THREAD REFS UTF-8 ALL",
        "FETCH 1 (PREVIEW (LAZY) SAVEDATE EMAILID THREADID BINARY.SIZE[1] MODSEQ)",
        "UID MOVE 1 Sent",
        "GETQUOTAROOT INBOX",
        "ID NIL",
        "UNSELECT",
        "IDLE",
        "DONE",
        "COMPRESS DEFLATE",
    ):
        wire.take()
        send(b"t " + line.encode() + b"\r\n" if line != "DONE" else b"DONE\r\n")
        said = b""
        for _ in range(200):
            await turn()
            said += wire.take()
            if b"t OK" in said or b"+ " in said:
                break
        assert b"t OK" in said or said.startswith(b"+ idling"), (line, said)


@pytest_twisted.ensureDeferred
async def test_compressed(server: Any) -> None:
    """Once compressed, every answer can be read at once."""
    wire, send = server.log_in()
    send(b"a COMPRESS DEFLATE\r\n")
    assert wire.take() == b"a OK DEFLATE begins\r\n"
    deflating, inflating = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    async def ask(line: bytes) -> bytes:
        send(deflating.compress(line) + deflating.flush(zlib.Z_SYNC_FLUSH))
        await turn()
        return inflating.decompress(wire.take())

    assert await ask(b"b NOOP\r\n") == b"b OK NOOP completed\r\n"
    assert (await ask(b"c COMPRESS DEFLATE\r\n")).startswith(b"c BAD [COMPRESSIONACTIVE] ")
    assert "COMPRESS=DEFLATE" not in capabilities(await ask(b"d CAPABILITY\r\n"))
    assert (await ask(b"e SELECT INBOX\r\n")).endswith(b"e OK [READ-WRITE] SELECT completed\r\n")
    assert await ask(b"f IDLE\r\n") == b"+ idling\r\n"
    await server.put(b"Subject: x\r\n\r\n")
    await turn()
    assert inflating.decompress(wire.take()) == b"* 1 EXISTS\r\n* 1 RECENT\r\n"


@pytest_twisted.ensureDeferred
async def test_guesses_wait_and_end(server: Any) -> None:
    """Each further guess waits before it is looked at; the third one ends the connection."""
    wire, send = server.connect()
    send(b"a LOGIN alice one\r\n")
    assert wire.take().startswith(b"a NO [AUTHENTICATIONFAILED] ")
    for tag, wait in ((b"b", 2), (b"c", 4)):
        send(tag + b" LOGIN alice " + tag + b"\r\n")
        assert wire.take() == b""
        server.clock.advance(wait - 0.1)
        assert wire.take() == b""
        server.clock.advance(0.2)
        said = wire.take()
        assert said.startswith(tag + b" NO [AUTHENTICATIONFAILED] ")
    assert said.endswith(b"* BYE Too many log-ins failed\r\n")
    assert wire.closing


@pytest.mark.parametrize(
    "lines",
    [
        [b"a LOGIN alice hunter2\r\n"],
        [b"a LOGIN alice hunter2 more\r\n"],
        [b'a LOGIN "alice hunter2\r\n'],
        [b"a LOGIN alice {7+}\r\nhunter2\r\n"],
        [b"a AUTHENTICATE PLAIN " + base64.b64encode(b"\0alice\0hunter2") + b"\r\n"],
        [b"a AUTHENTICATE PLAIN\r\n", base64.b64encode(b"\0alice\0hunter2") + b"\r\n"],
        [b"a AUTHENTICATE LOGIN\r\n", base64.b64encode(b"alice") + b"\r\n", b"aHVudGVyMg==\r\n"],
    ],
)
@pytest.mark.parametrize("broken", [False, True])
@pytest_twisted.ensureDeferred
async def test_passwords_are_not_logged(
    server: Any,
    lines: list[bytes],
    broken: bool,
    monkeypatch: pytest.MonkeyPatch,
    logged_errors: LoggedErrors,
) -> None:
    """Whatever happens to a log-in, what was typed is in no log and in no answer."""
    events: list[str] = []

    def keep(event: Any) -> None:
        events.append(eventAsText(event, includeTraceback=True) + repr(event))

    if broken:

        def fail(*args: Any) -> Any:
            raise ValueError("broken")

        monkeypatch.setattr(server.services.accounts, "check_password", fail)
    observer: Any = keep
    globalLogPublisher.addObserver(observer)
    try:
        wire, send = server.connect()
        for line in lines:
            send(line)
            await turn()
        said = wire.take()
    finally:
        globalLogPublisher.removeObserver(observer)
        logged_errors.flush()
    assert b"a " in said
    everything = "".join(events) + said.decode()
    assert "hunter2" not in everything
    assert "aHVudGVyMg" not in everything
    assert base64.b64encode(b"\0alice\0hunter2").decode() not in everything
