"""Maildirs that other programs read and change while the server runs."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.twistd import Installation, TwistdServer

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\nx\r\n"


@pytest.fixture
def maildirs(tmp_path: Path) -> Iterator[TwistdServer]:
    """A server of the test's own over Maildirs."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = TwistdServer(Installation.make(folder, "maildir:mail"))
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.end()
    assert not server.complaints()


def test_python_and_mutt_share_a_mailbox_with_imap(
    maildirs: TwistdServer, at_a_terminal: Any, private: Callable[[str, str], Path]
) -> None:
    """Who idles hears what they do, and they see what was delivered."""
    user = maildirs.installation.users[0]
    password = maildirs.installation.password
    maildirs.send(user, MESSAGE % b"delivered")
    path = maildirs.installation.data / "mail" / user
    box = mailbox.Maildir(path, create=False)
    with maildirs.connect("imaps", tls=True) as wire, wire.makefile("rb") as lines:

        def hear(pattern: bytes) -> None:
            """Read until a line matches; the socket's time-out bounds it."""
            while not re.match(pattern, line := lines.readline()):
                assert line

        wire.sendall(f"a LOGIN {user} {password}\r\nb SELECT INBOX\r\nc IDLE\r\n".encode())
        hear(rb"\+ ")
        ((key, delivered),) = box.items()
        assert delivered["Subject"] == "delivered"
        delivered.set_subdir("cur")
        delivered.set_flags("FS")
        box[key] = delivered
        hear(rb"\* 1 FETCH .*\\Flagged.*\\Seen|\* 1 FETCH .*\\Seen.*\\Flagged")
        box.add(MESSAGE.replace(b"\r\n", b"\n") % b"added")
        hear(rb"\* 2 EXISTS")
        settings = private(
            "muttrc", f'set folder="{path}"\nset delete=yes\nset quit=yes\nset move=no\n'
        )
        keys = "<delete-pattern>~s delivered<enter><quit>"
        at_a_terminal(["mutt", "-F", settings, "-f", path, "-e", f'push "{keys}"'])
        hear(rb"\* 1 EXPUNGE")
        for name in ("cur", "new", "tmp"):
            (path / ".By hand" / name).mkdir(parents=True)
        wire.sendall(b'DONE\r\nd LIST "" *\r\n')
        hear(rb'\* LIST .* "By hand"')
        hear(rb"d OK")
        wire.sendall(b"e UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
        hear(rb"Subject: added")
        hear(rb"e OK")
