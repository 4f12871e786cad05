"""A server with a milter that changes everything it can, and refuses on every occasion."""

from __future__ import annotations

import smtplib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from mailplat.testing.milters import CLOSE, FakeMilter
from mailplat.testing.scanners import CLEAN, mail_with
from mailplat.testing.twistd import Installation, TwistdServer


@pytest_twisted.async_yield_fixture
async def milter(tmp_path: Path) -> AsyncIterator[FakeMilter]:
    """A milter that wants to hear of everything."""
    one = await FakeMilter(steps=0x100800).listen(tmp_path / "milter")
    yield one
    await one.stop()


@pytest.fixture
def server(milter: FakeMilter, tmp_path: Path) -> Iterator[TwistdServer]:
    """A server that asks it."""
    installation = Installation.make(tmp_path, "memory:", users=2)
    with installation.configuration.open("a") as file:
        file.write(f'\n[[filter]]\nuse = "milter:{milter.where}"\n')
    made = TwistdServer(installation)
    yield made
    made.end()


@pytest_twisted.ensureDeferred
async def test_everything(milter: FakeMilter, server: TwistdServer) -> None:
    """Changes are made to the byte, refusals are told, and what is missed is told of later."""
    alice, bob = server.installation.users

    def session() -> dict[str, Any]:
        server.start()
        found: dict[str, Any] = {}
        with server.smtp("submission", alice) as smtp:
            found["unknown"] = smtp.docmd("WHAT", "is this")
            smtp.sendmail(alice, [alice], mail_with(CLEAN))
        found["alice"], found["bob"] = server.bodies(alice), server.bodies(bob)
        return found

    milter.answers["E"] = [
        *(b"-<%s>\0" % alice.encode(), b"+<%s>\0" % bob.encode()),
        *(b"i\0\0\0\1X-Placed\0 here,\n\ttoo\0", b"m\0\0\0\1Subject\0 changed\0"),
        *(b"hX-Last\0  exactly  so\0", b"bAnother body.\r\n", b"c"),
    ]
    found = await deferToThread(session)
    assert found["unknown"][0] == 500
    assert milter.data("U") == [b"WHAT is this\0"]
    macros = b"\0".join(milter.data("D"))
    assert b"{auth_authen}\0" + alice.encode() in macros
    assert b"{auth_type}\0" in macros
    assert b"{tls_version}\0TLSv1" in macros
    assert not any(data.startswith(b"Received\0") for data in milter.data("L"))
    assert found["alice"] == []
    (body,) = found["bob"]
    header, _, rest = body.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in header.split(b"\r\n") if line[:1] not in b" \t"]
    assert names.index(b"X-Placed") == names.index(b"Received") + 1
    assert b"\r\nX-Placed: here,\r\n\ttoo\r\n" in header
    assert b"\r\nSubject: changed\r\n" in header
    assert header.endswith(b"\r\nX-Last:  exactly  so")
    assert rest == b"Another body.\r\n"

    def refusals() -> list[tuple[int, bytes]]:
        codes: list[tuple[int, bytes]] = []
        with server.smtp() as smtp:
            smtp.ehlo()
            milter.answers = {"M": [b"y451 4.7.1 Not you\0"]}
            codes.append(smtp.mail("x@elsewhere.example"))
            milter.answers = {"R": [b"r"]}
            smtp.mail("x@elsewhere.example")
            codes.append(smtp.rcpt(alice))
            codes.append(smtp.rcpt("nobody@example.org"))
            milter.answers = {"E": [CLOSE]}
            smtp.rcpt(bob)
            codes.append(smtp.data(mail_with(CLEAN)))
            milter.answers = {}
            smtp.mail("x@elsewhere.example")
            smtp.rcpt(bob)
            codes.append(smtp.data(mail_with(CLEAN)))
        milter.answers = {"C": [b"4"]}
        try:
            with server.smtp():
                pass
        except smtplib.SMTPConnectError as error:
            codes.append((error.smtp_code, b""))
        server.stop()
        return codes

    milter.told.clear()
    codes = await deferToThread(refusals)
    assert codes[:3] == [
        (451, b"4.7.1 Not you"),
        (550, b"5.7.1 Command rejected"),
        (550, codes[2][1]),
    ]
    assert codes[3][0] == 451
    assert codes[4][0] == 250
    assert codes[5][0] == 421
    assert b"<nobody@example.org>\0" in milter.data("R"), "refused by others, and told of"
    assert f"milter is no help at message: {milter.where}: end of message: " in server.log()
    assert not server.complaints()
