"""Other people's programs send: swaks, msmtp, curl and mutt, over 25, 587 STARTTLS and 465."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.twistd import TwistdServer

MESSAGE = b"From: %b\r\nTo: %b\r\nSubject: by %b\r\n\r\n.first\r\n\r\n..\r\nl\xc3\xa4st\r\n"

WAYS = ["smtp", "submission", "submissions"]


def arrived(server: TwistdServer, user: str, subject: str) -> bytes:
    """Give the one message that a user has; it came under TLS."""
    (body,) = server.bodies(user)
    assert f"\r\nSubject: {subject}\r\n".encode() in body
    header, _, rest = body.partition(b"\r\n\r\n")
    assert b"with ESMTPS" in header
    return rest


@pytest.mark.parametrize("way", WAYS)
def test_swaks(server: TwistdServer, user: str, other_user: str, run: Any, way: str) -> None:
    """Swaks is strict about every reply; on 25 it comes as another server does."""
    command = [
        *("swaks", "--server", f"127.0.0.1:{server.installation.port(way)}"),
        *("--to", user, "--h-Subject", "by swaks", "--body", ".\n..\nthe end"),
        *("--tls-on-connect" if way == "submissions" else "--tls", "--ehlo", "client.example.net"),
        *("--tls-verify", "--tls-ca-path", str(server.installation.certificate)),
    ]
    if way == "smtp":
        command += ["--from", "someone@elsewhere.example"]
    else:
        command += ["--from", other_user, "--auth", "PLAIN", "--auth-user", other_user]
        command += ["--auth-password", server.installation.password]
    done = run(command)
    assert b"=== TLS started" in done.stdout
    assert arrived(server, user, "by swaks").startswith(b".\r\n..\r\nthe end\r\n")


@pytest.mark.parametrize("refused", ["relay", "unknown", "password", "clear"])
def test_swaks_is_refused(
    server: TwistdServer, user: str, run: Any, needs: Callable[[str], str], refused: str
) -> None:
    """What must not be is refused with the code that says why."""
    port = server.installation.port("smtp" if refused in ("relay", "unknown") else "submission")
    command = ["swaks", "--server", f"127.0.0.1:{port}", "--from", "a@elsewhere.example"]
    secrets = ["--auth", "LOGIN", "--auth-user", user, "--auth-password", "wrong"]
    extra, code, words = {
        "relay": (["--to", "a@third.example"], 24, b"550 5.7.1 "),
        "unknown": (["--to", "nobody@example.org"], 24, b"550 5.1.1 "),
        "password": (["--to", user, "--tls", *secrets], 28, b"535 5.7.8 "),
        "clear": (["--to", user, *secrets], 28, b"did not advertise authentication"),
    }[refused]
    done = run([*command, *extra], codes=[code])
    assert words in done.stdout + done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_msmtp(
    server: TwistdServer,
    user: str,
    other_user: str,
    run: Any,
    private: Callable[[str, str], Path],
    way: str,
) -> None:
    """Msmtp verifies the certificate and sends the message as it is."""
    settings = private(
        "msmtprc",
        f"""
account default
host 127.0.0.1
port {server.installation.port(way)}
tls on
tls_starttls {"off" if way == "submissions" else "on"}
tls_trust_file {server.installation.certificate}
auth {"off" if way == "smtp" else "plain"}
user {other_user}
password {server.installation.password}
from {other_user}
""",
    )
    message = MESSAGE % (other_user.encode(), user.encode(), b"msmtp")
    run(["msmtp", "-C", settings, user], stdin=message.replace(b"\r\n", b"\n"))
    assert arrived(server, user, "by msmtp") == message.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("way", WAYS)
def test_curl(
    server: TwistdServer, user: str, other_user: str, run: Any, tmp_path: Path, way: str
) -> None:
    """Curl sends the message byte for byte."""
    port = server.installation.port(way)
    file = tmp_path / "message"
    whole = b"Date: Thu, 01 Jan 2026 12:00:00 +0000\r\nMessage-ID: <1@curl.example>\r\n"
    file.write_bytes(whole + MESSAGE % (other_user.encode(), user.encode(), b"curl"))
    command = [
        *("curl", "-sS", "--ssl-reqd", "--cacert", server.installation.certificate),
        *("--url", f"{'smtps' if way == 'submissions' else 'smtp'}://127.0.0.1:{port}"),
        *("--mail-from", other_user, "--mail-rcpt", user, "--upload-file", file),
    ]
    if way != "smtp":
        command += ["--user", f"{other_user}:{server.installation.password}"]
    run(command)
    (body,) = server.bodies(user)
    assert body.endswith(file.read_bytes())
    assert arrived(server, user, "by curl")


@pytest.mark.parametrize("way", ["submission", "submissions"])
def test_mutt_sends(
    server: TwistdServer,
    user: str,
    other_user: str,
    run: Any,
    private: Callable[[str, str], Path],
    tmp_path: Path,
    way: str,
) -> None:
    """Mutt sends a letter with an attachment."""
    scheme = "smtps" if way == "submissions" else "smtp"
    settings = private(
        "muttrc",
        f"""
set from = "{other_user}"
set use_envelope_from = yes
set smtp_url = "{scheme}://{other_user}@127.0.0.1:{server.installation.port(way)}/"
set smtp_pass = "{server.installation.password}"
set ssl_starttls = yes
set ssl_force_tls = yes
set certificate_file = "{server.installation.certificate}"
set copy = no
""",
    )
    attached = tmp_path / "attached.bin"
    attached.write_bytes(bytes(range(256)) * 40)
    run(
        ["mutt", "-F", settings, "-s", "by mutt", "-a", attached, "--", user],
        stdin=b"the letter\n",
    )
    assert b'filename="attached.bin"' in arrived(server, user, "by mutt")
