"""Bytes of messages: BINARY, NUL, large sections sent in blocks, clients that stop reading."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
import pytest_twisted

from mailplat.message.binary import CannotEncode, encoded
from mailplat.message.scan import scan
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.testing.turns import turn, until

PLAIN = (
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8A\r\n"
    b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc\r\n"
    b"--b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nabc\r\n"
    b"--b\r\n\r\nplain\r\n"
    b"--b--\r\n"
)
DIALOGUE = """
C: a SELECT INBOX
S> a OK ...
C: b FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])
S: * 1 FETCH (BINARY.SIZE[1] 6 BINARY[1] ~{6}
S: hello\0)
S: b OK FETCH completed
C: c FETCH 1 (BINARY.SIZE[2] BINARY.PEEK[2] BINARY.PEEK[2]<1.2> BODY.PEEK[2])
S: * 1 FETCH (BINARY.SIZE[2] 4 BINARY[2] {4}
S: a=bc BINARY[2]<1> {2}
S: =b BODY[2] {9}
S: a=3Db=
S: c)
S: c OK FETCH completed
C: d FETCH 1 BINARY.PEEK[3]
S: d NO [UNKNOWN-CTE] Unknown transfer encoding
C: e FETCH 1 BINARY.SIZE[3]
S: e NO [UNKNOWN-CTE] Unknown transfer encoding
C: f FETCH 1 BODY.PEEK[3]
S: * 1 FETCH (BODY[3] {3}
S: abc)
S: f OK FETCH completed
C: g FETCH 1 (BINARY.PEEK[4] BINARY.SIZE[9] BINARY.PEEK[9])
S: * 1 FETCH (BINARY[4] {5}
S: plain BINARY.SIZE[9] 0 BINARY[9] NIL)
S: g OK FETCH completed
C: h FETCH 1 (BINARY.PEEK[]<0.12>)
S: * 1 FETCH (BINARY[]<0> {12}
S: MIME-Version)
S: h OK FETCH completed
C: i FETCH 1 (BINARY[4])
S: * 1 FETCH (BINARY[4] {5}
S: plain)
S: * 1 FETCH (FLAGS (\\Seen \\Recent))
S: i OK FETCH completed
"""


@pytest.fixture(params=[1024 * 1024, 8])
def options(request: pytest.FixtureRequest) -> IMAPOptions:
    """Read in large blocks, so that all is read at once, and in tiny ones, so that all streams."""
    return IMAPOptions(auth_needs_tls=False, block_bytes=request.param)


@pytest_twisted.ensureDeferred
async def test_binary(server: Any) -> None:
    """BINARY takes the encoding off; only it may answer by literal8."""
    await server.put(PLAIN)
    await server.play(DIALOGUE)


async def sections(server: Any, number: int, items: str) -> list[bytes]:
    """Fetch sections of a message; give the bytes of each."""
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await turn()
    wire.take()
    send(f"b FETCH {number} ({items})\r\n".encode())
    said = b""

    def answered() -> bool:
        nonlocal said
        said += wire.take()
        return b"b OK" in said or b"b NO" in said

    await until(answered)
    found: list[bytes] = []
    while announced := re.search(rb"~?\{(\d+)\}\r\n", said):
        end = announced.end() + int(announced[1])
        found.append(said[announced.end() : end])
        said = said[end:]
    assert b"b OK" in said
    return found


@pytest_twisted.ensureDeferred
async def test_bytes_stay_as_they_are(server: Any) -> None:
    """What came comes out, NUL and all, as a whole and in pieces."""
    message = b"Subject: x\r\n\r\n" + bytes(range(256)) * 20 + b"\r\n"
    await server.put(message)
    whole, start, middle, behind = await sections(
        server, 1, "BODY.PEEK[] BODY.PEEK[]<0.20> BODY.PEEK[]<1000.1000> BODY.PEEK[]<99999.5>"
    )
    assert whole == message
    assert (start, middle, behind) == (message[:20], message[1000:2000], b"")


@pytest_twisted.ensureDeferred
async def test_large_parts_decode_in_blocks(server: Any) -> None:
    """However a part is cut into blocks, what is decoded of it is the same."""
    data = bytes(range(1, 256)) * 30
    await server.put(
        b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data)
    )
    whole, part = await sections(server, 1, "BINARY.PEEK[1] BINARY.PEEK[1]<100.3000>")
    assert whole == data
    assert part == data[100:3100]


@pytest_twisted.ensureDeferred
async def test_appended_binary_is_encoded(server: Any) -> None:
    """A part with NUL is stored in base64, for BODY[] may not give NUL; BINARY gives it back."""
    part = b"\0\1\2\r\nthree\r\n"
    message = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"--b\r\nContent-Transfer-Encoding: binary\r\nContent-Type: image/png\r\n\r\n"
        + part
        + b"\r\n--b\r\n\r\nplain\r\n--b--\r\n"
    )
    _, send = server.log_in()
    send(b"a APPEND INBOX ~{%d+}\r\n" % len(message) + message + b"\r\n")
    home = await server.store.open_home("alice@example.org")

    async def stored() -> int:
        return int((await home.status(["INBOX"]))["INBOX"].messages)

    while not await stored():
        await turn()
    whole, binary, other = await sections(server, 1, "BODY.PEEK[] BINARY.PEEK[1] BODY.PEEK[2]")
    assert b"\0" not in whole
    assert b"Content-Transfer-Encoding: base64\r\n" in whole
    assert b"Content-Transfer-Encoding: 8bit\r\n" in whole
    assert b"MIME-Version: 1.0\r\n" in whole
    assert (binary, other) == (part, b"plain")


@pytest_twisted.ensureDeferred
async def test_binary_that_cannot_be_encoded(server: Any) -> None:
    """NUL in a header can be hidden by nothing: the message is refused."""
    wire, send = server.log_in()
    send(b"a APPEND INBOX ~{14+}\r\nSubject: a\0b\r\n\r\n"[:-2] + b"\r\n\r\n")
    said = b""

    def answered() -> bool:
        nonlocal said
        said += wire.take()
        return b"a NO" in said

    await until(answered)
    assert said == b"a NO [UNKNOWN-CTE] NUL is allowed in binary parts only\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: \0\r\n\r\nx",
        b"Content-Transfer-Encoding: base64\r\n\r\nAA\0=",
        b"Content-Transfer-Encoding: x-own\r\n\r\nAA\0=",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\0\r\n--b\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_encoding_refuses(message: bytes) -> None:
    """No NUL is ever left."""
    with pytest.raises(CannotEncode):
        b"".join(encoded(message, scan(message).root))


@pytest.mark.parametrize(
    "message",
    [
        b"\r\n\0",
        b"Subject: x\r\n\r\n" + b"\0\xff" * 1000,
        b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\na\0b\r\n",
    ],
)
def test_encoding_leaves_no_nul(message: bytes) -> None:
    """What is encoded has no NUL, and its lines are short."""
    plain = b"".join(encoded(message, scan(message).root))
    assert b"\0" not in plain
    assert max(map(len, plain.split(b"\r\n"))) <= 76


@pytest_twisted.ensureDeferred
async def test_a_client_that_stops_reading_holds_one_block(server: Any) -> None:
    """The next block is read when the socket took the last one."""
    if server.services.options.block_bytes > 1000:
        message = b"Subject: x\r\n\r\n" + b"y" * 4_000_000
    else:
        message = b"Subject: x\r\n\r\n" + b"y" * 1000
    await server.put(message)
    wire, send = server.log_in()
    send(b"a SELECT INBOX\r\n")
    await turn()
    wire.take()
    wire.room = 10
    send(b"b FETCH 1 BODY.PEEK[]\r\n")
    said = b""
    for _ in range(100_000):
        for _ in range(3):
            await turn()
        part = wire.take()
        assert len(part) <= 300_000
        said += part
        if b"b OK" in said:
            break
        wire.drain(10)
    assert said.count(b"y") == message.count(b"y")
    assert said.endswith(b")\r\nb OK FETCH completed\r\n")
