"""Policy in a running server: greylisting over a restart, early talkers, an access list."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.twistd import Installation, TwistdServer, until

MESSAGE = "From: a@d.example\r\nSubject: hello\r\n\r\nhello\r\n"

FILTERS = """
[[filter]]
use = "early_talker:"
listeners = ["smtp"]
[filter.options]
pause = "300ms"
trusted = []

[[filter]]
use = "access_list:access"
listeners = ["smtp"]
[filter.options]
recheck = 0

[[filter]]
use = "greylist:"
listeners = ["smtp"]
[filter.options]
delay = "2s"
trusted = []

[[filter]]
use = "rate_limits:"
listeners = ["smtp"]
[filter.options]
shared = true
trusted = []
[[filter.options.limits]]
by = "sender"
most = 40
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TwistdServer]:
    """A server with policy filters."""
    installation = Installation.make(tmp_path, "sql:sqlite:///mail.db", users=2)
    with installation.configuration.open("a") as file:
        file.write(FILTERS)
    (installation.data / "access").write_text("allow sender friend@d.example\n")
    server = TwistdServer(installation)
    server.start()
    yield server
    server.end()


def sent(server: TwistdServer, sender: str) -> int:
    """Send a mail; give the code of the answer."""
    with server.smtp() as client:
        try:
            client.sendmail(sender, [server.installation.users[0]], MESSAGE)
        except smtplib.SMTPRecipientsRefused as refused:
            ((code, _),) = refused.recipients.values()
            return code
    return 250


def test_policy(server: TwistdServer) -> None:
    """First 450, after a restart still known, and then taken; friends are not kept waiting."""
    user = server.installation.users[0]
    assert sent(server, "a@d.example") == 450
    assert sent(server, "friend@d.example") == 250
    server.stop()
    server.start()
    until(lambda: sent(server, "a@d.example") == 250, say="it is let through")
    assert sent(server, "a@d.example") == 250
    assert len(server.bodies(user)) == 3
    (server.installation.data / "access").write_text("deny sender a@d.example Go away\n")
    with server.smtp() as client:
        client.ehlo("c.example")
        code, words = client.mail("a@d.example")
        assert (code, words) == (550, b"5.7.1 Go away")
    assert (server.installation.data / "policy.sqlite").stat().st_mode & 0o777 == 0o600
    server.stop()
    assert not server.complaints()


def test_early_talker(server: TwistdServer) -> None:
    """Who speaks before the greeting is turned away in its place."""
    port = server.installation.port("smtp")
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        wire.sendall(b"EHLO c.example\r\n")
        said = b""
        while data := wire.recv(4096):
            said += data
            if b"\r\n" in said:
                break
    assert said.startswith(b"554 ")
    assert b"before you were greeted" in said
