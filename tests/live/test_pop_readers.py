"""Other people's programs fetch mail by POP3: curl, mpop, fetchmail and getmail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.twistd import TwistdServer

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n.first\r\n\r\n..\r\nl\xc3\xa4st\r\n"

WAYS = ["pop3", "pop3s"]

Private = Callable[[str, str], Path]


def fill(server: TwistdServer, user: str) -> list[bytes]:
    """Put three messages into a maildrop, and give them as the server keeps them."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)
    return server.bodies(user)


def letters(file: Path) -> list[bytes]:
    """Give the bodies of an mbox file or of what was piped to it, in order."""
    text = file.read_bytes().replace(b"\r\n", b"\n")
    return [part.split(b"\n", 1)[0] for part in text.split(b"\nSubject: ")[1:]]


@pytest.mark.parametrize("way", WAYS)
def test_curl_reads_and_deletes(server: TwistdServer, user: str, run: Any, way: str) -> None:
    """Curl lists, retrieves byte for byte, deletes."""
    kept = fill(server, user)
    url = f"{way}://127.0.0.1:{server.installation.port(way)}/"
    common = [
        *("curl", "-sS", "--ssl-reqd", "--cacert", server.installation.certificate),
        *("--user", f"{user}:{server.installation.password}"),
    ]
    listed = run([*common, url]).stdout.split(b"\r\n")
    assert listed[:3] == [b"%d %d" % (n, len(body)) for n, body in enumerate(kept, 1)]
    assert run([*common, url + "2"]).stdout == kept[1]
    run([*common, "-X", "DELE", "--head", url + "2"])
    assert run([*common, "-X", "UIDL", url]).stdout.count(b"\r\n") == 2
    run([*common[:-1], f"{user}:wrong", url], codes=[67])


@pytest.mark.parametrize("way", WAYS)
def test_mpop(
    server: TwistdServer, user: str, run: Any, private: Private, tmp_path: Path, way: str
) -> None:
    """Mpop takes all mail and deletes it; the second time it takes only what is new."""
    fill(server, user)
    box = tmp_path / "box"
    settings = private(
        "mpoprc",
        f"""
account default
host 127.0.0.1
port {server.installation.port(way)}
tls on
tls_starttls {"off" if way == "pop3s" else "on"}
tls_trust_file {server.installation.certificate}
auth user
user {user}
password {server.installation.password}
delivery mbox {box}
uidls_file {tmp_path / "uidls"}
keep on
""",
    )
    run(["mpop", "-C", settings])
    assert letters(box) == [b"one", b"two", b"three"]
    server.send(user, MESSAGE % b"four")
    run(["mpop", "-C", settings])
    assert letters(box) == [b"one", b"two", b"three", b"four"]
    run(["mpop", "-C", settings, "--keep=off"])
    assert server.bodies(user) == []


@pytest.mark.parametrize("way", WAYS)
def test_fetchmail(
    server: TwistdServer, user: str, run: Any, private: Private, tmp_path: Path, way: str
) -> None:
    """Fetchmail takes all mail and deletes it; kept mail is not taken twice."""
    fill(server, user)
    box = tmp_path / "box"
    security = (
        "ssl" if way == "pop3s" else 'sslproto "TLS1.2+"'  # without "ssl" it asks for STLS
    )
    settings = private(
        "fetchmailrc",
        f"""
set no bouncemail
poll localhost protocol POP3 port {server.installation.port(way)} uidl
  user "{user}" password "{server.installation.password}"
  {security}
  sslcertck sslcertfile {server.installation.certificate}
  mda "cat >> {box}" keep
""",
    )
    command = ["fetchmail", "-f", settings, "--nodetach", "-v"]
    places = {"FETCHMAILHOME": str(tmp_path / "home")}
    said = run(command, environment=places).stdout
    assert b"Server certificate" in said or b"TLS" in said
    assert letters(box) == [b"one", b"two", b"three"]
    run(command, environment=places, codes=[1])  # nothing new
    assert len(server.bodies(user)) == 3
    run([*command, "--nokeep", "--all"], environment=places)
    assert letters(box) == [b"one", b"two", b"three"] * 2
    assert server.bodies(user) == []


def test_getmail(
    server: TwistdServer, user: str, run: Any, private: Private, tmp_path: Path
) -> None:
    """Getmail knows by UIDL what it has, and deletes when it is told to."""
    fill(server, user)
    box = tmp_path / "box"
    settings = private(
        "getmailrc",
        f"""
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {server.installation.port("pop3s")}
username = {user}
password = {server.installation.password}
ca_certs = {server.installation.certificate}
[destination]
# it writes no mailbox for root, whom tests may run as
type = MDA_external
allow_root_commands = true
path = /bin/sh
arguments = ("-c", "cat >>{box}")
[options]
read_all = false
""",
    )
    command = ["getmail", "--getmaildir", tmp_path, "--rcfile", settings]
    run(command)
    assert letters(box) == [b"one", b"two", b"three"]
    server.send(user, MESSAGE % b"four")
    run([*command, "--delete"])
    assert letters(box) == [b"one", b"two", b"three", b"four"]
    assert server.bodies(user) == []
