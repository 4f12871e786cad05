"""Ports made of what the configuration says."""

from __future__ import annotations

import pytest

from mailplat.app.listening import with_backlog


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp:25", "tcp:25:backlog=1024"),
        ("tcp6:25:interface=\\:\\:1", "tcp6:25:interface=\\:\\:1:backlog=1024"),
        ("unix:/run/lmtp.sock", "unix:/run/lmtp.sock:backlog=1024"),
        ("tcp:25:backlog=7", "tcp:25:backlog=7"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_bursts_may_wait(endpoint: str, expected: str) -> None:
    """Where the kind of endpoint knows a backlog, and nobody set it."""
    assert with_backlog(endpoint) == expected
