"""Tests for ``mailplatctl explain`` and ``mailplatctl probe``."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Later
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.app.ctl.main import main

CONFIGURATION = """\
[server]
hostname = "mail.example.org"
domains = ["example.org"]
[[listener]]
protocol = "smtp"
endpoint = "tcp:0"
tls = "none"
[[listener]]
protocol = "lmtp"
endpoint = "unix:lmtp"
[[listener]]
name = "submit"
protocol = "submission"
endpoint = "tcp:1"
tls = "none"
require_tls = false
[[route]]
name = "staff"
use = "aliases:aliases"
options = { commands = true }
[[filter]]
use = "senders:bad@example.com"
[[relay_host]]
name = "office"
host = "smtp.example.net"
domains = ["example.net"]
[srs]
secret = "a key"
[[backup_mx]]
domain = "backup.example"
"""
ALIASES = """\
root: alice
away: x@example.net
list: alice, x@example.net, nobody
owner-list: alice
hook: "|/bin/true"
"""

Run = Callable[..., Any]


@pytest.fixture
def ctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``mailplatctl`` in a thread, with its asynchronous work on the tests' reactor."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts").write_text("alice@example.org:{PLAIN}secret\n")
    (tmp_path / "data" / "aliases").write_text(ALIASES)
    (tmp_path / "mailplat.toml").write_text(CONFIGURATION)

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return blockingCallFromThread(
            IReactorFromThreads(reactor), lambda: Later.fromCoroutine(work(reactor))
        )

    monkeypatch.setattr("mailplat.app.ctl.running.run", run)

    async def call(*words: str, code: int = 0) -> str:
        environment = {"MAILPLAT_CONFIG": str(tmp_path / "mailplat.toml")}
        result: Result = await deferToThread(CliRunner().invoke, main, words, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return call


@pytest_twisted.ensureDeferred
async def test_explains_step_by_step(ctl: Run, tmp_path: Path) -> None:
    """Each step says which route knew the address, by which line, and what came of it."""
    file = tmp_path / "data" / "aliases"
    assert (await ctl("explain", "list", "--sender", "s@example.com")).splitlines() == [
        "<list@example.org>",
        f"  staff ({file}:3): stands for <alice@example.org>, <x@example.net>, "
        "<nobody@example.org>; reports go to <owner-list@example.org>",
        "  <alice@example.org>",
        "    accounts (an address of alice@example.org): mailbox INBOX of alice@example.org",
        "  <x@example.net>",
        "    relay hosts (mail for example.net goes through office): "
        "<x@example.net> by relay:office",
        "    its sender is the list's owner, <owner-list@example.org>",
        "  <nobody@example.org>",
        "    accounts (nobody in example.org): "
        "<nobody@example.org> refused: 550 5.1.1 No such user here",
        "in the end: taken",
        "  mailbox INBOX of alice@example.org",
        "  <x@example.net> by relay:office",
        "  <nobody@example.org> refused: 550 5.1.1 No such user here",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["alice"], "taken\n"),
        (["zoe"], "refused: 550 5.1.1"),
        (["x@example.com"], "taken from those who logged in; not a domain of ours"),
        (["x@backup.example"], "taken\n"),
        (["alice", "--listener", "submit"], "taken from those who logged in\n"),
        (["away", "--listener", "lmtp"], "refused: over LMTP"),
        (["hook"], "by |/bin/true"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_says_what_the_listener_does(ctl: Run, words: list[str], told: str) -> None:
    """Whether mail is taken depends on where it comes in."""
    assert told in (await ctl("explain", *words)).partition("in the end: ")[2]


@pytest_twisted.ensureDeferred
async def test_explains_to_programs(ctl: Run) -> None:
    """The same as one JSON object."""
    found = json.loads(await ctl("explain", "away", "--sender", "s@example.com", "--json"))
    (end,) = found["destinations"]
    assert (end["kind"], end["agent"], end["via"]) == ("agent", "relay:office", "away@example.org")
    assert end["sender"].startswith("SRS0=")
    assert [step["route"] for step in found["steps"]] == ["staff", "relay hosts"]
    assert "no listener" in await ctl("explain", "alice", "--listener", "none", code=2)


@pytest_twisted.ensureDeferred
async def test_probes(ctl: Run, tmp_path: Path) -> None:
    """A whole dialogue is told, and what would have been kept; nothing is."""
    mail = tmp_path / "mail"
    mail.write_bytes(b"Subject: dots\n\n.\n.\n")
    words = ["--from", "s@example.com", "--rcpt", "root", "--rcpt", "zoe", "--file", str(mail)]
    lines = (await ctl("probe", *words)).splitlines()
    said = [line for line in lines if not line.startswith("S: 250-")]
    assert said[:8] == [
        "S: 220 mail.example.org ESMTP mailplat",
        "C: EHLO localhost",
        "S: 250 HELP",
        "C: MAIL FROM:<s@example.com>",
        "S: 250 2.1.0 Sender ok",
        "C: RCPT TO:<root@example.org>",
        "S: 250 2.1.5 Recipient ok",
        "C: RCPT TO:<zoe@example.org>",
    ]
    assert "C: (23 bytes)" in said
    assert said[-3] == ""
    assert said[-2:] == ["it would have gone:", said[-1]]
    assert said[-1].endswith(" bytes into INBOX of alice@example.org")
    queued = await ctl("probe", "--from", "s@example.com", "--rcpt", "away")
    assert "into the queue as" in queued
    assert "<x@example.net> by relay:office" in queued
    assert not (tmp_path / "data" / "spool").exists()
    assert not (tmp_path / "data" / "mail.sqlite").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "bad@example.com", "--rcpt", "alice"], "C: MAIL FROM:<bad@example.com>\nS: 55"),
        (["--rcpt", "x@example.com"], "S: 550 5.7.1 Relaying denied"),
        (["--rcpt", "alice", "--listener", "submit"], "S: 530 5.7.0"),
        (["--from", "ü@example.com", "--rcpt", "zoe"], "SMTPUTF8"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_probes_that_are_refused(ctl: Run, words: list[str], told: str) -> None:
    """Filters, routes and listeners refuse as they would."""
    said = await ctl("probe", *words)
    assert told in said
    assert said.endswith("nothing would have been kept\n")


@pytest_twisted.ensureDeferred
async def test_probes_lmtp(ctl: Run) -> None:
    """Over LMTP there is an answer for each recipient."""
    words = ["--listener", "lmtp", "--rcpt", "alice", "--rcpt", "root", "--ip", "::1"]
    said = await ctl("probe", *words)
    assert "C: LHLO localhost" in said
    assert said.count("S: 250 2.0.0 Ok: queued as") == 2
    assert "no listener takes mail" in await ctl(
        "probe", "--rcpt", "a", "--listener", "none", code=2
    )
    assert "no IP address" in await ctl("probe", "--rcpt", "a", "--ip", "one", code=2)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('[[route]]\nuse = "aliases:broken"', "broken:1: expected"),
        ('[[route]]\nuse = "aliases:none"', "none cannot be read"),
        ('[[route]]\nuse = "virtual:broken"', "broken:1: expected"),
        ('[[route]]\nuse = "aliases-sql:db"', "expected aliases-sql:PATH:QUERY"),
        ('[[route]]\nuse = "none:"', "there is no route called 'none'"),
        ('[[route]]\nuse = "virtual:x"\noptions = { a = 1 }', "has no options"),
        ('[[relay_host]]\nname = "a"\nhost = "b"\nuser = "c"', "belong together"),
        ('[[relay_host]]\nname = "office"\nhost = "b"', "two relay hosts"),
        ('[[backup_mx]]\ndomain = "example.org"', "is one of server.domains"),
        ('[[backup_mx]]\ndomain = "x.example"\nrecipients = "none"', "none cannot be read"),
        ('[[agent]]\nuse = "lmtp:unix:x"\nname = "relay:x"', "the name of an agent of mailplat"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_faults_are_told_before_a_server_starts(
    ctl: Run, tmp_path: Path, lines: str, told: str
) -> None:
    """What routes cannot be made of is a fault of the configuration."""
    (tmp_path / "data" / "broken").write_text("what is this\n")
    file = tmp_path / "mailplat.toml"
    file.write_text(f"{CONFIGURATION}\n{lines}\n")
    assert told in await ctl("check-config", str(file), code=1)
