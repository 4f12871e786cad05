"""Mail for elsewhere through a running server: queued, retried, reported, and never lost."""

from __future__ import annotations

import random
import smtplib
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mailplat.testing.twistd import Installation, TwistdServer, program, until

PLUGIN = '''
import os
from twisted.plugin import IPlugin
from zope.interface import implementer
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import IAgentPlugin
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.model.reply import Reply

@implementer(IDeliveryAgent)
class Elsewhere:
    """Takes mail while a file ``up`` is there; nobody is called nobody."""
    def __init__(self, folder):
        self.folder = folder

    async def deliver(self, attempt):
        if not os.path.exists(f"{self.folder}/up"):
            away = Deferred(Reply.of(451, "No answer", "4.4.1"), "mx.elsewhere.example")
            return dict.fromkeys(attempt.recipients, away)
        outcomes = {}
        for one in attempt.recipients:
            if one.address.local == "nobody":
                outcomes[one] = Bounced(Reply.of(550, "Never heard of", "5.1.1"), "mx")
                continue
            with open(f"{self.folder}/got", "ab") as file:
                subject = attempt.body.read(0, 4000).partition(b"Subject: ")[2].partition(b"\\r")[0]
                file.write(subject + b" " + one.address.local.encode() + b"\\n")
            outcomes[one] = Delivered("mx")
        return outcomes

@implementer(IPlugin, IAgentPlugin)
class Plugin:
    prefix = "elsewhere"
    def agent(self, arguments, options, settings):
        return Elsewhere(*arguments)

elsewhere = Plugin()
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the rest of the world is; its agent is found by servers that are started now."""
    plugins = tmp_path / "path" / "mailplat" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "elsewhere_agent.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return elsewhere


@pytest.fixture
def sending(folder: Path, tmp_path: Path) -> Iterator[TwistdServer]:
    """A server that sends mail elsewhere, not started."""
    directory = tmp_path / "server"
    directory.mkdir()
    options = {"[agent]": f'use = "elsewhere:{folder}"'}
    server = TwistdServer(Installation.make(directory, "sql:sqlite:///mail.db", options=options))
    try:
        yield server
    finally:
        server.end()
    assert not server.complaints(), "\n".join(server.complaints())


def got(folder: Path) -> Counter[str]:
    """Tell what arrived elsewhere: subject and recipient."""
    file = folder / "got"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def queue(server: TwistdServer, *words: str) -> str:
    """Run ``mailplatctl queue``."""
    configuration = str(server.installation.configuration)
    done = subprocess.run(
        [program("mailplatctl"), "queue", words[0], "--config", configuration, *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


USER = "u000@example.org"
OTHER = "u001@example.org"


def message(subject: str) -> str:
    """Make a small message."""
    return f"Subject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\nhello\r\n"


def test_a_mail_waits_and_goes(sending: TwistdServer, folder: Path) -> None:
    """While nobody answers mail waits, over a restart too; then it goes out, and is reported."""
    sending.start()
    with sending.smtp("submission", USER) as smtp:
        assert smtp.has_extn("dsn")
        smtp.sendmail(
            USER,
            ["far@elsewhere.example", OTHER],
            message("one"),
            mail_options=["RET=HDRS", "ENVID=e1"],
            rcpt_options=["NOTIFY=SUCCESS,FAILURE"],
        )
    until(lambda: "No answer" in queue(sending, "list"), say="the mail was tried")
    assert len(sending.bodies(OTHER)) == 1
    sending.stop()
    sending.start()
    assert "far@elsewhere.example" in queue(sending, "list", "--domain", "elsewhere.example")
    (folder / "up").touch()
    assert "1 mail to be tried now." in queue(sending, "retry", "--all")
    until(lambda: "No mail waits" in queue(sending, "list"), say="the queue is empty")
    assert got(folder) == {"one far": 1}
    reports = sending.bodies(USER)
    assert [b"Action: delivered" in one for one in reports] == [True, False]
    assert b"Action: relayed" in reports[1]
    assert all(b"Original-Envelope-Id: e1\r\n" in one for one in reports)
    sending.stop()


def test_a_failure_is_told(sending: TwistdServer, folder: Path) -> None:
    """Who writes to nobody is told so; strangers still cannot send elsewhere."""
    (folder / "up").touch()
    sending.start()
    with sending.smtp("submission", USER) as smtp:
        smtp.sendmail(USER, ["nobody@elsewhere.example"], message("two"))
    (report,) = until(lambda: sending.bodies(USER), say="the report is there")
    assert b"Status: 5.1.1" in report
    assert b"Never heard of" in report
    assert b"<two@example.org>" in report
    with sending.smtp() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("x@y.example", ["far@elsewhere.example"], message("three"))
    sending.stop()


def _has(answered: set[str], enough: int) -> bool:
    return len(answered) >= enough


def test_kill_loses_nothing(sending: TwistdServer, folder: Path) -> None:
    """Whatever was answered before kill -9 goes out after it; what was settled, no second time."""
    (folder / "up").touch()
    answered: set[str] = set()
    for run in range(4):
        sending.start()
        stop = threading.Event()

        def send(worker: int, run: int = run, stop: threading.Event = stop) -> None:
            try:
                with sending.smtp("submission", USER) as smtp:
                    for number in range(2000):
                        name = f"m{run}.{worker}.{number}"
                        smtp.sendmail(USER, ["far@elsewhere.example"], message(name))
                        answered.add(f"{name} far")
                        if stop.is_set():
                            return
            except (OSError, smtplib.SMTPException):
                return

        workers = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        enough = len(answered) + random.randrange(30, 120)
        until(partial(_has, answered, enough), say="some mails were taken")
        sending.kill()
        stop.set()
        for worker in workers:
            worker.join()
    sending.start()
    until(lambda: "No mail waits" in queue(sending, "list"), seconds=60, say="the queue is empty")
    sending.stop()
    arrived = got(folder)
    assert answered <= arrived.keys()
    # an attempt whose outcome was not committed when the process died is repeated: at most those
    # that were under way at one of the kills
    doubled = sum(count - 1 for count in arrived.values())
    assert doubled <= 4 * 20
