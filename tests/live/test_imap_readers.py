"""Other people's programs read by IMAP: curl, mutt, neomutt and mbsync, over both ports."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mailplat.testing.twistd import TwistdServer

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n.first\r\n\r\n..\r\nl\xc3\xa4st\r\n"

WAYS = ["imap", "imaps"]

Private = Callable[[str, str], Path]


def fill(server: TwistdServer, user: str) -> list[bytes]:
    """Put three messages into INBOX, and give them as the server keeps them."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)
    return server.bodies(user)


@pytest.mark.parametrize("way", WAYS)
def test_curl(server: TwistdServer, user: str, run: Any, tmp_path: Path, way: str) -> None:
    """Curl lists, searches, retrieves byte for byte, flags, appends, expunges."""
    kept = fill(server, user)
    url = f"{way}://127.0.0.1:{server.installation.port(way)}"

    def curl(path: str, *arguments: str | Path) -> bytes:
        said: bytes = run(
            [
                *("curl", "-sS", "--ssl-reqd", "--cacert", server.installation.certificate),
                *("--user", f"{user}:{server.installation.password}"),
                *(*arguments, f"{url}/{path}"),
            ]
        ).stdout
        return said

    assert b'LIST (\\HasNoChildren) "/" INBOX' in curl("")
    assert curl("INBOX?SUBJECT%20two").split() == b"* SEARCH 2".split()
    assert curl("INBOX;UID=2") == kept[1]
    assert curl("INBOX;MAILINDEX=3;SECTION=TEXT") == kept[2].partition(b"\r\n\r\n")[2]
    assert b"Flagged" in curl("INBOX", "-X", r"STORE 1 +FLAGS (\Flagged)")
    curl("INBOX", "-X", r"STORE 2 +FLAGS (\Deleted)")
    assert b"* 2 EXPUNGE" in curl("INBOX", "-X", "EXPUNGE")
    file = tmp_path / "draft"
    file.write_bytes(MESSAGE % b"draft")
    curl("Drafts", "--upload-file", file)
    assert server.bodies(user, "Drafts") == [file.read_bytes()]
    assert server.subjects(user) == {"one": {r"\Flagged"}, "three": {r"\Seen"}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(
    server: TwistdServer,
    user: str,
    at_a_terminal: Any,
    private: Private,
    tmp_path: Path,
    program: str,
    way: str,
) -> None:
    """Mutt and its descendant search, flag, read, move into a new mailbox, delete, and go."""
    kept = fill(server, user)
    piped = tmp_path / "piped"
    account = f"{way}://{quote(user, safe='')}@localhost:{server.installation.port(way)}/"
    settings = private(
        "muttrc",
        f"""
set imap_pass = "{server.installation.password}"
set ssl_starttls = yes
set ssl_force_tls = yes
set certificate_file = "{server.installation.certificate}"
set folder = "{account}"
set spoolfile = "{account}INBOX"
set record = ""
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set quit = yes
set wait_key = no
set sleep_time = 0
set pipe_decode = no
""",
    )
    keys = (
        "<tag-pattern>~s two<enter><tag-prefix><flag-message><untag-pattern>~A<enter>"
        "<tag-pattern>~s three<enter><tag-prefix><save-message>=Kept<enter>"
        "<untag-pattern>~A<enter><delete-pattern>~s one<enter>"
        f"<tag-pattern>~s two<enter><tag-prefix><pipe-message>cat >{piped}<enter>"
        "<untag-pattern>~A<enter><sync-mailbox><quit>"
    )
    at_a_terminal([program, "-F", settings, "-e", f'push "{keys}"'])
    assert kept[1] in piped.read_bytes().replace(b"\n", b"\r\n")
    assert set(server.subjects(user)) == {"two"}
    assert server.subjects(user)["two"] >= {r"\Flagged"}
    assert server.bodies(user, "Kept") == [kept[2]]


class Mbsync:
    """A Maildir that mbsync keeps level with an account."""

    def __init__(self, server: TwistdServer, user: str, way: str, folder: Path, run: Any) -> None:
        self.mail = folder / "mail"
        self.mail.mkdir()
        self._run = run
        self._settings = folder / "mbsyncrc"
        self._settings.touch(0o600)
        self._settings.write_text(
            f"""
IMAPAccount server
Host localhost
Port {server.installation.port(way)}
User {user}
Pass {server.installation.password}
SSLType {"IMAPS" if way == "imaps" else "STARTTLS"}
CertificateFile {server.installation.certificate}

IMAPStore far
Account server

MaildirStore near
Path {self.mail}/
Inbox {self.mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
        )

    def sync(self) -> None:
        """Bring both sides level."""
        self._run(["mbsync", "-c", self._settings, "-a"])

    def put(self, mailbox: str, subject: bytes) -> None:
        """Add a message here, in a mailbox that may be new."""
        for name in ("tmp", "new", "cur"):
            (self.mail / mailbox / name).mkdir(parents=True, exist_ok=True)
        file = self.mail / mailbox / "new" / f"{time.time_ns()}.1.here"
        file.write_bytes((MESSAGE % subject).replace(b"\r\n", b"\n"))

    def file(self, mailbox: str, subject: bytes) -> Path:
        """Find a message here."""
        return next(
            file
            for file in self._files(mailbox)
            if b"\nSubject: " + subject + b"\n" in file.read_bytes()
        )

    def flag(self, mailbox: str, subject: bytes, letters: str) -> None:
        """Give a message flags here."""
        file = self.file(mailbox, subject)
        name = file.name.partition(":2,")[0]
        file.rename(self.mail / mailbox / "cur" / f"{name}:2,{letters}")

    def _files(self, mailbox: str) -> list[Path]:
        return [*(self.mail / mailbox).glob("new/*"), *(self.mail / mailbox).glob("cur/*")]

    def subjects(self, mailbox: str) -> dict[str, set[str]]:
        """Tell the messages of a mailbox here by subject, with their flags."""
        return {
            file.read_bytes().split(b"\nSubject: ")[1].split(b"\n")[0].decode(): set(
                file.name.partition(":2,")[2]
            )
            for file in self._files(mailbox)
        }


@pytest.mark.parametrize("way", WAYS)
def test_mbsync(server: TwistdServer, user: str, run: Any, tmp_path: Path, way: str) -> None:
    """Both sides tell each other new mail, flags, deletions and new mailboxes."""
    fill(server, user)
    here = Mbsync(server, user, way, tmp_path, run)
    here.sync()
    assert set(here.subjects("INBOX")) == {"one", "two", "three"}
    here.flag("INBOX", b"one", "FS")
    here.flag("INBOX", b"two", "T")
    here.put("INBOX", b"four")
    here.put("Here", b"five")
    with server.imap("imaps", user) as imap:
        imap.store("3", "+FLAGS", r"(\Answered)")
        imap.create("There/Below")
        imap.append("There/Below", r"(\Seen)", None, MESSAGE % b"six")
        imap.append("INBOX", None, None, MESSAGE % b"seven")
    here.sync()
    there = server.subjects(user)
    assert set(there) == {"one", "three", "four", "seven"} == set(here.subjects("INBOX"))
    assert there["one"] == {r"\Flagged", r"\Seen"}
    assert here.subjects("INBOX")["three"] == {"R"}
    assert set(server.subjects(user, "Here")) == {"five"}
    assert here.subjects("There/Below") == {"six": {"S"}}
    with server.imap("imaps", user) as imap:
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
    here.flag("INBOX", b"four", "S")
    here.flag("Here", b"five", "ST")
    here.sync()
    here.sync()
    assert server.subjects(user) == {"three": {r"\Answered"}, "four": {r"\Seen"}, "seven": set()}
    assert here.subjects("INBOX") == {"three": {"R"}, "four": {"S"}, "seven": set()}
    assert here.subjects("Here") == {} == server.subjects(user, "Here")
    body = here.file("INBOX", b"seven").read_bytes()
    # mbsync adds a field of its own, to find a message again that it put somewhere
    assert body.replace(b"\n", b"\r\n").endswith(b"\r\n\r\n.first\r\n\r\n..\r\nl\xc3\xa4st\r\n")
