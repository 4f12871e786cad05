"""The filter that asks policy services, with Debian's postgrey in a server."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.testing.policy_daemons import start_postgrey
from mailplat.testing.scanners import CLEAN, mail_with
from mailplat.testing.twistd import Installation, TwistdServer, until


def test_postgrey(needs: Callable[[str], str], tmp_path: Path) -> None:
    """A mail is put off, comes again, and arrives with postgrey's field in its header."""
    needs("postgrey")
    folder = tmp_path / "postgrey"
    folder.mkdir()
    daemon = start_postgrey(folder)
    try:
        installation = Installation.make(tmp_path, "memory:", users=1)
        with installation.configuration.open("a") as file:
            file.write(f'\n[[filter]]\nuse = "{daemon.use}"\n')
        server = TwistdServer(installation)
        (alice,) = installation.users
        try:
            server.start()
            with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
                server.send(alice, mail_with(CLEAN))
            ((code, text),) = caught.value.recipients.values()
            assert code == 450
            assert b"Greylisted" in text

            def again() -> bool:
                try:
                    server.send(alice, mail_with(CLEAN))
                except smtplib.SMTPRecipientsRefused:
                    return False
                return True

            until(again, say="the mail is let in")
            (arrived,) = server.bodies(alice)
            assert b"\r\nX-Greylist: delayed " in arrived
            server.stop()
            assert not server.complaints()
        finally:
            server.end()
    finally:
        daemon.stop()
