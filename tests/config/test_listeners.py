"""Tests for `mailplat.config.listeners`."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor

from mailplat.config.listeners import Listener, listeners_of
from mailplat.config.load import parse
from mailplat.config.sections.server import ListenerProtocol, TLSUse


def listeners(text: str) -> tuple[Listener, ...]:
    """Work out the listeners of a configuration."""
    return listeners_of(parse(text, "f", Path("/")))


def test_standard() -> None:
    """Without a table the seven standard ports serve, on every address, shifted by the offset."""
    found = listeners('[server]\nlisten = ["127.0.0.1", "::1"]\nport_offset = 10000')
    assert len(found) == 14
    assert [(one.name, one.endpoint, one.tls) for one in found[::2]] == [
        ("smtp", "tcp:10025:interface=127.0.0.1", TLSUse.STARTTLS),
        ("submission", "tcp:10587:interface=127.0.0.1", TLSUse.STARTTLS),
        ("submissions", "tcp:10465:interface=127.0.0.1", TLSUse.IMPLICIT),
        ("pop3", "tcp:10110:interface=127.0.0.1", TLSUse.STARTTLS),
        ("pop3s", "tcp:10995:interface=127.0.0.1", TLSUse.IMPLICIT),
        ("imap", "tcp:10143:interface=127.0.0.1", TLSUse.STARTTLS),
        ("imaps", "tcp:10993:interface=127.0.0.1", TLSUse.IMPLICIT),
    ]
    assert found[1].endpoint == "tcp6:10025:interface=\\:\\:1"


@pytest.mark.filterwarnings("ignore:'(spwd|crypt)' is deprecated")  # other plugins import them
def test_endpoints_are_twisted() -> None:
    """Twisted reads every endpoint, with the address that was meant."""
    reactor = MemoryReactor()
    for listener in listeners('[server]\nlisten = ["127.0.0.1", "::1"]'):
        serverFromString(reactor, listener.endpoint).listen(Factory())
    assert {(port, host) for port, _, _, host in reactor.tcpServers} == {
        (port, host) for port in (25, 587, 465, 110, 995, 143, 993) for host in ("127.0.0.1", "::1")
    }


def test_tables() -> None:
    """With tables only they serve; what they leave open comes from the protocol and [auth]."""
    found = listeners(
        """
        [auth]
        require_tls = false
        [[listener]]
        protocol = "lmtp"
        endpoint = "unix:/run/lmtp.sock"
        [[listener]]
        protocol = "imap"
        name = "inside"
        tls = "none"
        require_tls = true
        """
    )
    assert found == (
        Listener("lmtp", ListenerProtocol.LMTP, "unix:/run/lmtp.sock", TLSUse.NONE, False),
        Listener("inside", ListenerProtocol.IMAP, "tcp:143:interface=0.0.0.0", TLSUse.NONE, True),
    )
    assert "in clear" in str(found[1])
