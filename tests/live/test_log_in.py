"""Other people's programs log in by SCRAM, with channel binding too, and by tokens."""

from __future__ import annotations

import imaplib
import json
import poplib
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mailplat.accounts.schemes import hash_password
from mailplat.testing.twistd import Installation, TwistdServer

ALICE, PASSWORD, TOKEN = "alice@example.org", "päss, word=1", "good.token-1"


class Introspection(BaseHTTPRequestHandler):
    """Knows one token (RFC 7662 §2)."""

    def do_POST(self) -> None:
        """Answer a question about a token."""
        length = int(self.headers["content-length"])
        asked = parse_qs(self.rfile.read(length).decode())["token"][0]
        secret = "Basic " + b64encode(b"mailplat:hush").decode()
        known = asked == TOKEN and self.headers["authorization"] == secret
        claims = {"active": known, **({"email": ALICE, "scope": "mail x"} if known else {})}
        body = json.dumps(claims).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def introspection() -> Iterator[str]:
    """A fake authorization server; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Introspection) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/introspect"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def login_server(
    introspection: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistdServer]:
    """A server whose one account has keys for SCRAM, and that takes tokens."""
    hashed = hash_password(PASSWORD, "SSHA512", ("SCRAM-SHA-256", "SCRAM-SHA-1"), 4096)
    first, *others = hashed.split("\n")
    row = ":".join([ALICE, first, *(f"password={one}" for one in others)]) + "\n"
    server = TwistdServer(
        Installation.make(
            tmp_path_factory.mktemp("log-in"),
            "memory:",
            users=0,
            accounts=row,
            options={
                "auth": 'mechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", '
                '"OAUTHBEARER", "XOAUTH2", "EXTERNAL", "PLAIN", "LOGIN"]',
                "oauth": f'introspection = "{introspection}"\nclient = "mailplat"\n'
                'client_secret = "hush"\nscope = "mail"',
            },
        )
    )
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.end()


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program."""
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=30, check=False
    )


def trust(server: TwistdServer) -> ssl.SSLContext:
    """Trust the server's own certificate."""
    return ssl.create_default_context(cafile=str(server.installation.certificate))


def test_what_is_offered(login_server: TwistdServer) -> None:
    """The same list in all protocols, with -PLUS under TLS, and without EXTERNAL."""
    expected = [
        *("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"),
        *("OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"),
    ]
    port = login_server.installation.port
    with imaplib.IMAP4_SSL("localhost", port("imaps"), ssl_context=trust(login_server)) as imap:
        offered = [word for word in imap.capabilities if word.startswith("AUTH=")]
        assert offered == [f"AUTH={name}" for name in expected]
    pop3 = poplib.POP3_SSL("localhost", port("pop3s"), context=trust(login_server))
    assert pop3.capa()["SASL"] == expected
    pop3.quit()


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "scram-sha-1"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_msmtp(
    login_server: TwistdServer, needs: Callable[[str], str], mechanism: str, password: str
) -> None:
    """GNU SASL's SCRAM sends a mail, or is refused."""
    made = login_server.installation
    result = run(
        *(needs("msmtp"), "--file=/dev/null", "--host=localhost"),
        *(f"--port={made.port('submissions')}", "--tls=on", "--tls-starttls=off"),
        *(f"--tls-trust-file={made.certificate}", f"--auth={mechanism}", f"--user={ALICE}"),
        *(f"--passwordeval=printf '%s' '{password}'", f"--from={ALICE}", ALICE),
        given="Subject: by SCRAM\n\nhello\n",
    )
    assert (result.returncode == 0) is (password == PASSWORD), result.stderr


@pytest.mark.parametrize("protocol", ["imap", "submission"])
def test_gsasl_binds_the_channel(
    login_server: TwistdServer, needs: Callable[[str], str], protocol: str
) -> None:
    """GNU SASL's SCRAM with tls-exporter ties the log-in to its TLS connection."""
    made = login_server.installation
    result = run(
        *(needs("gsasl"), "--imap" if protocol == "imap" else "--smtp", "--starttls"),
        *("--connect", f"localhost:{made.port(protocol)}", "--x509-ca-file"),
        *(str(made.certificate), "--mechanism", "SCRAM-SHA-256-PLUS", "--verbose"),
        *("--authentication-id", ALICE, "--authorization-id", ALICE, "--password", PASSWORD),
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("mechanism", ["scram-sha-256"])
def test_mpop(
    login_server: TwistdServer, needs: Callable[[str], str], mechanism: str, tmp_path: Path
) -> None:
    """GNU SASL's SCRAM opens a maildrop."""
    made = login_server.installation
    result = run(
        *(needs("mpop"), "--file=/dev/null", "--host=localhost", f"--port={made.port('pop3s')}"),
        *("--tls=on", "--tls-starttls=off", f"--tls-trust-file={made.certificate}"),
        *(f"--auth={mechanism}", f"--user={ALICE}", f"--passwordeval=printf '%s' '{PASSWORD}'"),
        *(f"--uidls-file={tmp_path / 'uidls'}", "--keep=on", "--pipelining=auto"),
        *(f"--delivery=mbox,{tmp_path / 'mbox'}",),
    )
    assert result.returncode == 0, result.stderr


URLS = {"imaps": "imaps", "pop3s": "pop3s", "submissions": "smtps"}


@pytest.mark.parametrize("protocol", list(URLS))
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("token", [TOKEN, "bad.token"])
def test_curl_with_a_token(
    login_server: TwistdServer,
    needs: Callable[[str], str],
    protocol: str,
    mechanism: str,
    token: str,
) -> None:
    """A token that its issuer knows lets in, and no other does."""
    made = login_server.installation
    arguments = [
        *(needs("curl"), "--silent", "--show-error", "--cacert", str(made.certificate)),
        *("--user", ALICE, "--oauth2-bearer", token, "--login-options", f"AUTH={mechanism}"),
        f"{URLS[protocol]}://localhost:{made.port(protocol)}/",
    ]
    if protocol == "submissions":
        arguments += ["--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", "-"]
    result = run(*arguments, given="Subject: by token\r\n\r\nhello\r\n")
    assert (result.returncode == 0) is (token == TOKEN), result.stderr


@pytest.mark.parametrize("protocol", list(URLS))
def test_curl_by_scram(
    login_server: TwistdServer, needs: Callable[[str], str], protocol: str
) -> None:
    """Whatever curl takes by itself lets in; a curl with SCRAM takes that."""
    made = login_server.installation
    arguments = [
        *(needs("curl"), "--silent", "--show-error", "--cacert", str(made.certificate)),
        *("--user", f"{ALICE}:{PASSWORD}"),
        f"{URLS[protocol]}://localhost:{made.port(protocol)}/",
    ]
    if protocol == "submissions":
        arguments += ["--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", "-"]
    result = run(*arguments, given="Subject: by curl\r\n\r\nhello\r\n")
    assert result.returncode == 0, result.stderr
