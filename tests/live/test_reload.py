"""SIGHUP: a server reads its configuration again, and nobody who is connected notices."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailplat.net.selfsigned import write_self_signed
from mailplat.testing.twistd import Installation, TwistdServer, until

pytestmark = pytest.mark.live

FILTER = '[[filter]]\nuse = "senders:{}"\n'

PLUGIN = """
from mailplat.model.verdict import CONTINUE, Verdict
from mailplat.interfaces.filters import IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import IFilterPlugin
from twisted.plugin import IPlugin
from zope.interface import implementer

@implementer(IStages)
class Saying(Stages):
    def hello(self, context, name):
        return Verdict.reject({words!r})

@implementer(IFilter)
class Says:
    stages = (Stage.HELLO,)

    def __init__(self, name):
        self.name = name

    def open(self):
        return Saying()

@implementer(IPlugin, IFilterPlugin)
class SaysPlugin:
    prefix = "says"

    def filter(self, name, argument, settings):
        return Says(name)

says = SaysPlugin()
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwistdServer]:
    """A server over an empty store; plugins may be put beside its configuration."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a test is faster than a file's time
    server = TwistdServer(Installation.make(tmp_path, "memory:", users=3))
    server.start()
    yield server
    server.end()


def reload(server: TwistdServer, text: str) -> str:
    """Write the configuration and send SIGHUP; give what the log says of it."""
    server.installation.configuration.write_text(text)
    before = len(server.log())
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: "reload: " in server.log()[before:], say="it was read again")
    until(lambda: server.log()[before:].endswith("\n"))
    return server.log()[before:]


def certificate(server: TwistdServer) -> bytes | None:
    """Give the certificate that a new connection gets."""
    with socket.create_connection(("127.0.0.1", server.installation.port("imaps")), 10) as wire:
        trusting = ssl._create_unverified_context()
        with trusting.wrap_socket(wire) as tls:
            return tls.getpeercert(True)


def test_new_connections_get_what_is_new(server: TwistdServer) -> None:
    """Filters, limits and certificates change for new connections; those there are go on."""
    users = server.installation.users
    text = server.installation.configuration.read_text()
    old = certificate(server)
    with server.smtp() as before, server.imap("imap", users[0]) as reading:
        before.ehlo("c.example")
        server.installation.certificate.unlink()
        write_self_signed(server.installation.certificate, ["localhost"], datetime.now(UTC))
        said = reload(
            server,
            text + FILTER.format("bad@elsewhere.example") + "[smtp]\nmax_recipients = 100\n",
        )
        assert "in force: smtp.max_recipients, filter;" in said
        assert "restart" not in said
        assert before.mail("bad@elsewhere.example")[0] == 250  # as the connection began
        assert before.rcpt(users[0])[0] == 250
        assert before.data(b"Subject: still here\r\n\r\nhello\r\n")[0] == 250
        assert reading.select()[1] == [b"1"]
        with server.smtp() as after:
            after.ehlo("c.example")
            assert after.mail("bad@elsewhere.example")[0] == 550
    assert certificate(server) != old
    server.stop()
    assert not server.complaints()


def test_a_faulty_configuration_is_refused(server: TwistdServer) -> None:
    """Its faults are logged with their lines, and the old one goes on; so with a broken plugin."""
    text = server.installation.configuration.read_text()
    said = reload(server, text + FILTER.format("bad@x.example") + "[smtp]\nmax_recipient = 0\n")
    assert "reload: refused" in said
    assert "mailplat.toml:" in said
    assert "did you mean" in said
    with server.smtp() as client:
        client.ehlo("c.example")
        assert client.mail("bad@x.example")[0] == 250
    offset = server.installation.offset
    reload(server, text.replace(f"port_offset = {offset}", f"port_offset = {offset + 1}"))
    until(lambda: "needs a restart: server.port_offset" in server.log())
    with server.smtp() as client:
        assert client.noop()[0] == 250


def test_plugins_are_read_again(server: TwistdServer, tmp_path: Path) -> None:
    """A plugin that came meanwhile is found, one that changed runs its new code, or is refused."""
    text = server.installation.configuration.read_text() + '[[filter]]\nuse = "says:"\n'
    plugins = tmp_path / "mailplat" / "plugins"
    plugins.mkdir(parents=True)

    def hello() -> str:
        with smtplib.SMTP("127.0.0.1", server.installation.port("smtp"), timeout=10) as client:
            return client.ehlo("c.example")[1].decode()

    assert "installed are" in reload(server, text)
    (plugins / "says.py").write_text(PLUGIN.format(words="First"))
    assert "in force: filter" in reload(server, text)
    assert "First" in hello()
    (plugins / "says.py").write_text(PLUGIN.format(words="The second"))
    reload(server, text)
    assert "The second" in hello()
    (plugins / "says.py").write_text("this is no Python")
    assert "cannot be loaded" in reload(server, text)
    assert "The second" in hello()
