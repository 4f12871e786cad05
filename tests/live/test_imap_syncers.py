"""Programs that bring IMAP mail into Maildirs: offlineimap, both ways and in IDLE, and getmail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.twistd import TwistdServer, until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n.first\r\n\r\n..\r\nl\xc3\xa4st\r\n"

Private = Callable[[str, str], Path]


def fill(server: TwistdServer, user: str) -> None:
    """Put three messages into INBOX."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)


def in_maildir(folder: Path) -> dict[str, Path]:
    """Tell the files of a Maildir by the subject of their message."""
    files = [*folder.glob("new/*"), *folder.glob("cur/*")]
    return {file.read_bytes().split(b"\nSubject: ")[1].split()[0].decode(): file for file in files}


def test_offlineimap(
    server: TwistdServer,
    user: str,
    run: Any,
    needs: Callable[[str], str],
    private: Private,
    tmp_path: Path,
) -> None:
    """Offlineimap keeps both sides level: mail, flags, mailboxes; then waits in IDLE for more."""
    mail = tmp_path / "mail"

    def settings(name: str, *more: str) -> Path:
        return private(
            name,
            f"""
[general]
accounts = mine
ui = quiet
metadata = {tmp_path}/metadata
socktimeout = 30
[Account mine]
localrepository = here
remoterepository = there
{"autorefresh = 30" if more else ""}
[Repository here]
type = Maildir
localfolders = {mail}
sync_deletes = yes
[Repository there]
type = IMAP
remotehost = localhost
remoteport = {server.installation.port("imaps")}
remoteuser = {user}
remotepass = {server.installation.password}
ssl = yes
sslcacertfile = {server.installation.certificate}
{chr(10).join(more)}
""",
        )

    fill(server, user)
    once = ["offlineimap", "-o", "-c", settings("once")]
    run(once)
    inbox = mail / "INBOX"
    assert set(in_maildir(inbox)) == {"one", "two", "three"}
    assert {folder.name for folder in mail.iterdir()} >= {"Drafts", "Sent", "Trash"}
    body = in_maildir(inbox)["one"].read_bytes()
    assert body.endswith(b"\n\n.first\n\n..\nl\xc3\xa4st\n")

    one, two = in_maildir(inbox)["one"], in_maildir(inbox)["two"]
    one.rename(inbox / "cur" / f"{one.name.partition(':2,')[0]}:2,FS")
    two.unlink()
    for name in ("tmp", "new", "cur"):
        (mail / "Here" / name).mkdir(parents=True)
    (mail / "Here" / "cur" / "1.2.here:2,S").write_bytes(
        (MESSAGE % b"four").replace(b"\r\n", b"\n")
    )
    with server.imap("imaps", user) as imap:
        imap.store("3", "+FLAGS", r"(\Answered)")
        imap.append("Drafts", r"(\Draft)", None, MESSAGE % b"five")
    run(once)
    assert server.subjects(user) == {"one": {r"\Flagged", r"\Seen"}, "three": {r"\Answered"}}
    assert server.subjects(user, "Here") == {"four": {r"\Seen"}}
    assert in_maildir(inbox)["three"].name.endswith(":2,R")
    assert in_maildir(mail / "Drafts")["five"].name.endswith(":2,D")

    waiting = settings("waiting", "idlefolders = ['INBOX']", "holdconnectionopen = yes")
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [needs("offlineimap"), "-c", waiting, "-u", "basic", "-d", "imap"],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: b"IDLE" in (tmp_path / "said").read_bytes())
        server.send(user, MESSAGE % b"six")
        until(lambda: "six" in in_maildir(inbox), say="what arrives in IDLE is fetched")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["delete", "keep"])
def test_getmail(
    server: TwistdServer, user: str, run: Any, private: Private, tmp_path: Path, kind: str
) -> None:
    """Getmail takes what is unseen, and moves it into another mailbox or flags it."""
    fill(server, user)
    with server.imap("imaps", user) as imap:
        imap.store("2", "+FLAGS", r"(\Seen)")
    mail = tmp_path / "mail"
    (mail / "new").mkdir(parents=True)
    settings = private(
        "getmailrc",
        f"""
[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = {server.installation.port("imaps")}
username = {user}
password = {server.installation.password}
ca_certs = {server.installation.certificate}
imap_search = UNSEEN
{"move_on_delete = Archive" if kind == "delete" else "imap_on_delete = (|Seen |Flagged)"}
[destination]
# it writes no Maildir for root, whom tests may run as
type = MDA_external
allow_root_commands = true
path = /bin/sh
arguments = ("-c", "cat >{mail}/new/$$")
[options]
delete = true
delivered_to = false
received = false
""".replace("|", "\\"),
    )
    command = ["getmail", "--getmaildir", tmp_path, "--rcfile", settings]
    run(command)
    assert set(in_maildir(mail)) == {"one", "three"}
    assert in_maildir(mail)["one"].read_bytes().endswith(b"\n\n.first\n\n..\nl\xc3\xa4st\n")
    if kind == "delete":
        assert server.subjects(user) == {"two": {r"\Seen"}}
        assert set(server.subjects(user, "Archive")) == {"one", "three"}
    else:
        taken = {r"\Seen", r"\Flagged"}
        assert server.subjects(user) == {"one": taken, "two": {r"\Seen"}, "three": taken}
    run(command)
    assert set(in_maildir(mail)) == {"one", "three"}
