"""DANE in a running server: from a user to servers that prove who they are, and to others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from mailplat.interfaces.resolver import TLSA
from mailplat.testing.authority import MadeAuthority
from mailplat.testing.name_server import NameServer
from mailplat.testing.scripted_server import ScriptedServer
from mailplat.testing.turns import until
from mailplat.testing.twistd import Installation, TwistdServer

pytestmark = pytest.mark.live


@pytest_twisted.ensureDeferred
async def test_dane_from_a_user_to_the_world(tmp_path: Path) -> None:
    """Mail goes to the server whose certificate DNS names; the other waits; both are counted."""
    issued = MadeAuthority(tmp_path).issue("whatever.example")
    world = ScriptedServer("PIPELINING", "STARTTLS", tls=issued.tls)
    port = await world.listen()
    names = NameServer()
    for domain, record in (
        ("good.example", issued.tlsa()),
        ("bad.example", TLSA(3, 1, 1, b"x" * 32)),
    ):
        names.mx(domain, f"mx.{domain}")
        names.a(f"mx.{domain}", "127.0.0.1")
        names.tlsa(f"_{port}._tcp.mx.{domain}", record)
        names.sign(domain, f"mx.{domain}", f"_{port}._tcp.mx.{domain}")
    where = names.listen()._options.servers[0][1]
    folder = tmp_path / "server"
    folder.mkdir()
    options = {
        "resolver": f'validators = ["127.0.0.1"]\nport = {where}\n',
        "relay": f"port = {port}\n",
        "tls_reports": "enabled = true\n",
    }
    server = TwistdServer(Installation.make(folder, "sql:sqlite:///mail.db", options=options))
    user = server.installation.users[0]

    def submit() -> None:
        with server.smtp("submission", user) as client:
            text = f"From: {user}\r\nSubject: out\r\n\r\nhello\r\n"
            client.sendmail(user, ["ann@good.example", "ben@bad.example"], text)

    try:
        await deferToThread(server.start)
        await deferToThread(submit)
        await until(lambda: bool(world.messages) and "DANE demands" in server.log(), 20)
        await deferToThread(server.stop)
    finally:
        server.end()
        await names.stop()
        await world.stop()
    assert [taken for taken, _ in world.messages] == [("ann@good.example",)]
    assert not server.complaints(), server.complaints()
    with closing(sqlite3.connect(server.installation.data / "tls-reports.sqlite")) as database:
        rows = database.execute(
            "SELECT domain, kind, result, count FROM tls_session ORDER BY domain"
        ).fetchall()
    assert rows == [
        ("bad.example", "tlsa", "validation-failure", 1),
        ("good.example", "tlsa", "", 1),
    ]
