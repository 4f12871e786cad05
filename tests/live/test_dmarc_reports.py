"""Reports on DMARC, from mail that comes in to the report in a mailbox, in a real server."""

from __future__ import annotations

import email
import smtplib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from mailplat.message.auth.dmarc_report_reading import read_report, unpacked
from mailplat.testing.name_server import NameServer
from mailplat.testing.twistd import Installation, TwistdServer, until

pytestmark = pytest.mark.live

FILTER = '\n[[filter]]\nuse = "authentication:"\nlisteners = ["smtp"]\n'


@pytest_twisted.ensureDeferred
async def test_a_domain_is_told(tmp_path: Path) -> None:
    """What came in a domain's name is kept over a restart, reported once, and can be read."""
    names = NameServer()
    names.txt("_dmarc.d.example", b"v=DMARC1; p=quarantine; rua=mailto:u001@example.org")
    names.txt("d.example._report._dmarc.example.org", b"v=DMARC1")
    where = names.listen()._options.servers[0][1]
    options = {
        "resolver": f'servers = ["127.0.0.1"]\nport = {where}\n',
        "dmarc": "reports = true\n",
    }
    installation = Installation.make(tmp_path, "sql:sqlite:///mail.db", options=options)
    installation.configuration.write_text(installation.configuration.read_text() + FILTER)
    server = TwistdServer(installation)
    first, second = installation.users[:2]

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", installation.port("smtp"), timeout=20) as client:
            for sender in ("a@d.example", "b@d.example"):
                text = f"From: {sender}\r\nSubject: x\r\n\r\nhello\r\n"
                client.sendmail(sender, [first], text)

    def report() -> Any:
        return [one for one in server.bodies(second) if b"Report Domain" in one]

    try:
        await deferToThread(server.start)
        await deferToThread(send)
        await deferToThread(server.stop)
        with closing(sqlite3.connect(installation.data / "dmarc.sqlite")) as database:
            for table in ("span", "alike"):  # yesterday
                database.execute(f"UPDATE {table} SET begin = begin - 86400")
            database.commit()
        await deferToThread(server.start)
        came = await deferToThread(lambda: until(report, say="the report comes"))
        await deferToThread(server.stop)
    finally:
        server.end()
        await names.stop()
    assert not server.complaints(), server.complaints()
    (message,) = [email.message_from_bytes(one) for one in came]
    attached: Any = message.get_payload(1)
    found = read_report(unpacked(attached.get_payload(decode=True)))
    assert (found.published.domain, found.published.policy) == ("d.example", "quarantine")
    (row,) = found.rows
    assert (row.source, row.count, row.disposition) == ("127.0.0.1", 2, "quarantine")
