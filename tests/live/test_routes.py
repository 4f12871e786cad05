"""Routes through a running server: lists, forwarding, commands, loops, and what is kept of them."""

from __future__ import annotations

import json
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.twistd import Installation, TwistdServer, program, until

PLUGIN = '''
import json
import os
from twisted.plugin import IPlugin
from zope.interface import implementer
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.filters import IFilter, Stage, Stages
from mailplat.interfaces.plugins import IAgentPlugin, IFilterPlugin
from mailplat.model.outcome import Deferred, Delivered
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Verdict

@implementer(IDeliveryAgent)
class Elsewhere:
    """Writes down what it gets, while a file ``up`` is there."""
    def __init__(self, folder):
        self.folder = folder

    async def deliver(self, attempt):
        if not os.path.exists(f"{self.folder}/up"):
            return dict.fromkeys(attempt.recipients, Deferred(Reply.of(451, "No answer", "4.4.1")))
        body = attempt.body.read(0, 100000).decode()
        with open(f"{self.folder}/got", "a") as file:
            for one in attempt.recipients:
                sender = str(attempt.sender.address or "")
                file.write(json.dumps([sender, str(one.address), body]) + "\\n")
        return dict.fromkeys(attempt.recipients, Delivered("mx"))

@implementer(IPlugin, IAgentPlugin)
class AgentPlugin:
    prefix = "elsewhere"
    def agent(self, arguments, options, settings):
        return Elsewhere(*arguments)

@implementer(IFilter)
class Aside(Stages):
    """Puts odd mail aside."""
    name = "aside"
    stages = (Stage.MESSAGE,)
    def open(self):
        return self
    def message(self, context, mail):
        odd = b"Subject: odd" in mail.header
        return Verdict(Action.QUARANTINE, reason="odd") if odd else CONTINUE

@implementer(IPlugin, IFilterPlugin)
class FilterPlugin:
    prefix = "aside"
    def filter(self, name, argument, settings):
        return Aside()

agent, filter = AgentPlugin(), FilterPlugin()
'''

ANN, BOB, EVE = "u000@example.org", "u001@example.org", "u002@example.org"
FAR = "far@far.example"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwistdServer]:
    """A server with aliases, SRS and a filter; the rest of the world answers."""
    plugins = tmp_path / "path" / "mailplat" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "routes_live.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    (tmp_path / "up").touch()
    (tmp_path / "server").mkdir()
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat >{tmp_path}/hooked\n")
    hook.chmod(0o700)
    options = {
        "[agent]": f'use = "elsewhere:{tmp_path}"',
        "[route]": 'use = "aliases:aliases"\noptions = { commands = true, check_every = "100ms" }',
        "[filter]": 'use = "aside:"',
        "srs": 'secret = "of the test"',
    }
    made = Installation.make(tmp_path / "server", "sql:sqlite:///mail.db", options=options)
    (made.data / "aliases").write_text(
        f"list: u000, {FAR}\nowner-list: u002\naway: {FAR}\nhook: |{hook}, u001\n"
        "several: u000, u001, ghost\nround: about\nabout: round\n"
    )
    running = TwistdServer(made)
    running.start()
    try:
        yield running
        running.stop()
    finally:
        running.end()
    assert not running.complaints(), "\n".join(running.complaints())


def got(folder: Path) -> list[Any]:
    """Tell what arrived elsewhere: sender, recipient and message."""
    file = folder / "got"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ctl(server: TwistdServer, *words: str) -> str:
    """Run ``mailplatctl``."""
    done = subprocess.run(
        [program("mailplatctl"), *words, "--config", str(server.installation.configuration)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def send(server: TwistdServer, to: str, subject: str, *, sender: str, asked: str = "") -> None:
    """Send a small mail from elsewhere."""
    with server.smtp() as smtp:
        message = f"Subject: {subject}\r\n\r\nhello\r\n"
        smtp.sendmail(sender, [to], message, rcpt_options=[asked] if asked else [])


def test_lists_and_forwarding(server: TwistdServer, tmp_path: Path) -> None:
    """Copies go under the right names, reports find back, and what comes round is refused."""
    send(server, "list@example.org", "one", sender=BOB, asked="NOTIFY=SUCCESS")
    ((sender, recipient, copy),) = until(lambda: got(tmp_path), say="the list's copy went out")
    assert (sender, recipient) == ("owner-list@example.org", FAR)
    assert copy.startswith("Delivered-To: list@example.org\r\nReceived: ")
    (here,) = until(lambda: server.bodies(ANN), say="the list's copy came in")
    assert here.startswith(b"Return-Path: <owner-list@example.org>\r\nDelivered-To: u000@")
    (report,) = until(lambda: server.bodies(BOB), say="the list's delivery was reported")
    assert b"Action: delivered" in report
    with server.smtp() as smtp, pytest.raises(smtplib.SMTPDataError, match=r"5\.4\.6"):
        smtp.sendmail(FAR, ["list@example.org"], copy)
    send(server, "away@example.org", "two", sender="s@third.example")
    _, (sender, recipient, _) = until(lambda: got(tmp_path)[1:] and got(tmp_path))
    assert recipient == FAR
    assert sender.startswith("SRS0=")
    send(server, sender, "a report", sender="")
    _, _, (sender, recipient, _) = until(lambda: got(tmp_path)[2:] and got(tmp_path))
    assert (sender, recipient) == ("", "s@third.example")
    with server.smtp() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("", ["SRS0=AAAAAAAA=AA=third.example=s@example.org"], "Subject: no\r\n\r\n")
    with server.smtp() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.4\.6"):
        smtp.sendmail(FAR, ["round@example.org"], "Subject: no\r\n\r\n")


def test_aliases(server: TwistdServer, tmp_path: Path) -> None:
    """A command gets the mail beside a mailbox; a member who is not there is reported alone."""
    send(server, "hook@example.org", "three", sender=FAR)
    until(lambda: server.bodies(BOB), say="the mailbox has it")
    until(lambda: (tmp_path / "hooked").exists() and (tmp_path / "hooked").read_bytes())
    assert b"Subject: three" in (tmp_path / "hooked").read_bytes()
    send(server, "several@example.org", "four", sender=EVE, asked="NOTIFY=SUCCESS,FAILURE")
    reports = until(lambda: len(server.bodies(EVE)) == 2 and server.bodies(EVE), say="two reports")
    told = b"".join(reports)
    assert told.count(b"Action: expanded") == 1
    assert told.count(b"Action: failed") == 1
    assert b"Final-Recipient: rfc822; ghost@example.org" in told
    assert len(server.bodies(ANN)) == 1
    assert len(server.bodies(BOB)) == 2


def test_decided_at_acceptance(server: TwistdServer, tmp_path: Path) -> None:
    """Mail in quarantine stays so through the queue, and what waits goes where it was to go."""
    with server.smtp("submission", ANN) as smtp:
        message = "Subject: odd\r\n\r\nhello\r\n"
        smtp.sendmail(ANN, [BOB, FAR], message, rcpt_options=["NOTIFY=SUCCESS"])
    (aside,) = until(lambda: server.bodies(BOB, "Junk"), say="it is put aside")
    assert b"X-Quarantine-Reason: " in aside
    assert server.bodies(BOB) == []
    assert FAR in ctl(server, "queue", "list", "--held")  # what leads elsewhere is held
    assert got(tmp_path) == []
    (tmp_path / "up").unlink()
    send(server, "away@example.org", "five", sender=BOB)
    until(lambda: "No answer" in ctl(server, "queue", "list", "--not-held"), say="it was tried")
    aliases = server.installation.data / "aliases"
    aliases.write_text("far: u002\n")
    assert FAR in ctl(server, "queue", "list", "--not-held")
    (tmp_path / "up").touch()
    ctl(server, "queue", "retry", "--not-held")
    ((_, recipient, _),) = until(lambda: got(tmp_path), say="it went where it was to go")
    assert recipient == FAR
