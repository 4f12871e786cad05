"""The filters that ask scanners, with Debian's clamd, spamd and rspamd, alone and in a server."""

from __future__ import annotations

import json
import signal
import smtplib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.model.errors import Unavailable
from mailplat.model.verdict import Action
from mailplat.testing.dying_scanner import (
    DyingClamd,
    bring,
    check_nothing_lost,
    installation_under,
)
from mailplat.testing.scanner_daemons import (
    STREAM_LIMIT,
    ScannerDaemon,
    start_clamd,
    start_rspamd,
    start_spamd,
)
from mailplat.testing.scanners import (
    CLEAN,
    EICAR,
    GTUBE,
    ScannerContract,
    Under,
    asked,
    mail_with,
)
from mailplat.testing.twistd import Installation, TwistdServer

START = {"clamd": start_clamd, "spamd": start_spamd, "rspamd": start_rspamd}
UNDER: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "clamd": (EICAR, {"found": "quarantine"}, "X-Virus-Status"),
    "spamd": (GTUBE, {"quarantine": 10, "reject": 2000}, "X-Spam-Status"),
    "rspamd": (GTUBE, {"on_reject": "quarantine"}, "X-Spam"),
}


@pytest.fixture(scope="session", params=sorted(START))
def daemon(
    request: pytest.FixtureRequest,
    needs: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ScannerDaemon]:
    """Each of the real daemons, started once."""
    needs(request.param)
    one = START[request.param](tmp_path_factory.mktemp(request.param))
    yield one
    one.stop()


@pytest.fixture
def under(daemon: ScannerDaemon) -> Under:
    """The daemon, for the contract."""
    return Under(daemon.use, *UNDER[daemon.use.partition(":")[0]])


class TestDaemons(ScannerContract):
    """The real ones are as their fakes are."""

    @pytest_twisted.ensureDeferred
    async def test_one_that_hangs(self, daemon: ScannerDaemon, under: Under) -> None:
        """While it is stopped the filter fails in time; afterwards it answers again."""
        daemon.signal(signal.SIGSTOP)
        try:
            if daemon.use.startswith("clamd"):  # the others' children go on
                with pytest.raises(Unavailable):
                    await asked(under.use, mail_with(CLEAN), options={"time": "300ms"})
        finally:
            daemon.signal(signal.SIGCONT)
        assert (await asked(under.use, mail_with(under.bad))).action is Action.REJECT

    def test_in_a_server(self, daemon: ScannerDaemon, under: Under, tmp_path: Path) -> None:
        """Bad mail is refused at one port and put into Junk at another; clean mail arrives."""
        options = "".join(f"{name} = {value!r}\n" for name, value in under.quarantine.items())
        installation = Installation.make(tmp_path, "memory:", users=2)
        with installation.configuration.open("a") as file:
            file.write(
                f'\n[[filter]]\nuse = "{under.use}"\nlisteners = ["smtp"]\n'
                f'\n[[filter]]\nuse = "{under.use}"\nlisteners = ["submission"]\n'
                f"[filter.options]\n{options}"
            )
        server = TwistdServer(installation)
        alice, bob = installation.users
        try:
            server.start()
            server.send(alice, mail_with(CLEAN))
            with pytest.raises(smtplib.SMTPDataError) as caught:
                server.send(alice, mail_with(under.bad))
            assert caught.value.smtp_code == 550
            with server.smtp("submission", bob) as smtp:
                assert not smtp.sendmail(bob, [alice], mail_with(under.bad))
            (arrived,) = server.bodies(alice)
            assert CLEAN in arrived
            if under.field != "X-Spam":
                assert under.field.encode() in arrived
            (junk,) = server.bodies(alice, "Junk")
            assert under.bad in junk
            assert b"X-Quarantine-Reason:" in junk
            server.stop()
            assert not server.complaints()
        finally:
            server.end()


@pytest.fixture(scope="session")
def clamd(
    needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScannerDaemon]:
    """One clamd."""
    needs("clamd")
    one = start_clamd(tmp_path_factory.mktemp("clamd"))
    yield one
    one.stop()


class TestClamd:
    """What only clamd has."""

    @pytest_twisted.ensureDeferred
    async def test_its_limit(self, clamd: ScannerDaemon, tmp_path: Path) -> None:
        """What is beyond StreamMaxLength gets the operator's verdict, or at worst is deferred."""
        message = mail_with(EICAR, size=STREAM_LIMIT * 2)
        options = {"on_oversize": "quarantine"}
        actions: list[Action | None] = []
        for _ in range(5):
            try:
                verdict = await asked(clamd.use, message, options=options, directory=tmp_path)
                actions.append(verdict.action)
            except Unavailable:
                actions.append(None)  # it closed before its answer was read
        assert Action.QUARANTINE in actions
        assert set(actions) <= {Action.QUARANTINE, None}

    @pytest_twisted.ensureDeferred
    async def test_by_file(self, clamd: ScannerDaemon, tmp_path: Path) -> None:
        """A message in a file is handed over, however large, and scanned to its end."""
        for text, action in ((CLEAN, Action.CONTINUE), (EICAR, Action.REJECT)):
            message = mail_with(text, size=STREAM_LIMIT * 2)
            verdict = await asked(clamd.use, message, options={"by": "file"}, directory=tmp_path)
            assert verdict.action is action


def test_a_dying_scanner(tmp_path: Path) -> None:
    """It dies, hangs, and answers late or garbage: no mail is lost, doubled or unscanned."""
    with DyingClamd(tmp_path / "dying") as scanner:
        server = TwistdServer(installation_under(tmp_path, scanner))
        try:
            server.start()
            brought = bring(server, 100)
            check_nothing_lost(server, scanner, brought, 100)
            assert brought.deferred > 0
            assert scanner.deaths > 0
            log = server.log()
            assert f"unix:{scanner.path}: " in log, "the log names the scanner"
            server.stop()
            assert not server.complaints()
        finally:
            server.end()


class Hook(BaseHTTPRequestHandler):
    """A web service that knows whom it does not like, and what."""

    def do_POST(self) -> None:
        """Answer as MTA Hooks do."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {"action": "accept"}
        if self.headers["Authorization"] != "Bearer the-token":
            answer = {}
        elif asked["context"]["stage"] == "mail":
            if asked["envelope"]["from"]["address"] == "bad@elsewhere.example":
                answer = {"action": "reject", "response": {"status": 450, "message": "Not now"}}
        elif GTUBE.decode() in asked["message"]["contents"]:
            answer = {"action": "reject"}
        else:
            change = {"type": "insertHeader", "index": 0, "name": "X-Seen", "value": "yes"}
            answer["modifications"] = [change]
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_web_service(tmp_path: Path) -> None:
    """A hook refuses senders and messages, and changes what it lets through."""
    installation = Installation.make(tmp_path, "memory:", users=1)
    (tmp_path / "token").write_text("the-token\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        with installation.configuration.open("a") as file:
            file.write(
                f'\n[[filter]]\nuse = "mta_hook:http://127.0.0.1:{service.server_port}/"\n'
                '[filter.options]\nstages = ["mail", "data"]\ntoken = { file = "token" }\n'
            )
        server = TwistdServer(installation)
        (alice,) = installation.users
        try:
            server.start()
            server.send(alice, mail_with(CLEAN))
            with pytest.raises(smtplib.SMTPSenderRefused) as sender:
                server.send(alice, mail_with(CLEAN), "bad@elsewhere.example")
            assert (sender.value.smtp_code, sender.value.smtp_error) == (450, b"4.7.1 Not now")
            with pytest.raises(smtplib.SMTPDataError) as message:
                server.send(alice, mail_with(GTUBE))
            assert message.value.smtp_code == 550
            (arrived,) = server.bodies(alice)
            assert b"\r\nX-Seen: yes\r\n" in arrived
            server.stop()
            assert not server.complaints()
            assert "the-token" not in server.log()
        finally:
            server.end()
            service.shutdown()
            thread.join()
