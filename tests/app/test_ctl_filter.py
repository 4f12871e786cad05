"""Tests for `mailplatctl filter test`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface import implementer

from mailplat.app.ctl.trial import Trial
from mailplat.filters.chain import Rule
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    RemoveHeader,
    ReplaceBody,
    Score,
    Tag,
    Verdict,
)

MESSAGE = b"From: x@d.example\r\n\r\nhello\r\n"
BOB = Address("bob", "example.org")


@implementer(IFilter, IStages)
class Busy(Stages):
    """Changes what can be changed."""

    name = "busy"
    stages = tuple(Stage)

    def __init__(self, last: Verdict = CONTINUE) -> None:
        self.last = last
        self.seen: list[Mail] = []

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return self

    def auth(self, context: Context, account: Account) -> Verdict:
        """Note a word."""
        return Verdict(changes=(Tag("known"), Score("trust", 2)))

    def sender(self, context: Context, sender: Sender) -> Verdict:
        """Give the envelope another sender."""
        return Verdict(changes=(ChangeSender(None),))

    def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Add a recipient."""
        return Verdict(changes=(AddRecipient(Address("eve", "d.example")),))

    def message(self, context: Context, mail: Mail) -> Verdict:
        """Change the message."""
        self.seen.append(mail)
        return self.last


def trial(**more: object) -> Trial:
    """A mail to be tried."""
    values = {"account": Account("alice"), "sender": BOB, "recipients": (BOB,), **more}
    return Trial(MESSAGE, "192.0.2.1", "c.example", listener="smtp", **values)  # type: ignore[arg-type]


async def told(one: Trial, *filters: Busy) -> list[str]:
    """Try it, and leave the times out."""
    lines = await one.told([Rule(each) for each in filters], reactor, "mx.example.org")
    return [re.sub(r", [\d.]+ ms$", "", line) for line in lines]


@pytest_twisted.ensureDeferred
async def test_tells_everything() -> None:
    """Every stage has its line, with what a filter changed below."""
    changes = (
        AddHeader("X-New", "a\x1b[31m"),
        RemoveHeader("X-Old"),
        RemoveHeader("X-Some", b"\xff1"),
        InsertHeader("X-Exact", b" a\r\n\tb", 1),
        ChangeHeader("Subject", 2, b""),
        ChangeHeader("Subject", 1, b" new"),
        ReplaceBody(b"123"),
    )
    first, second = Busy(Verdict(Action.QUARANTINE, None, changes, "odd")), Busy()
    assert await told(trial(), first, second) == [
        "connect    busy: continue",
        "connect    busy: continue",
        "hello      busy: continue",
        "hello      busy: continue",
        "auth       busy: continue",
        "    tag known",
        "    score trust 2",
        "auth       busy: continue",
        "    score trust 4",
        "sender     busy: continue",
        "    sender <>",
        "sender     busy: continue",
        "recipient  busy: continue",
        "    recipients <eve@d.example>",
        "recipient  busy: continue",
        "headers    busy: continue",
        "headers    busy: continue",
        "message    busy: quarantine (odd)",
        "    + X-New: a?[31m",
        "    - X-Old",
        "    - X-Some: \ufffd1",
        "    + X-Exact: a?b",
        "    - Subject (2)",
        "    = Subject (1): new",
        "    = body of 3 bytes",
        "message    busy: continue",
        "copy of <eve@d.example> busy: continue",
        "copy of <eve@d.example> busy: continue",
        "copy of <bob@example.org> busy: continue",
        "copy of <bob@example.org> busy: continue",
        "in the end: quarantine",
    ]
    (mail,) = second.seen
    assert mail.changes == changes
    assert [str(one.address) for one in mail.envelope.recipients] == ["eve@d.example", str(BOB)]
    assert mail.header.startswith(b"Return-Path: <bob@example.org>\r\nReceived: from c.example")


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (Verdict.reject("No"), "reject at message"),
        (Verdict(Action.ACCEPT), "accepted, and no other filter asked"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_stops_where_a_server_would(last: Verdict, end: str) -> None:
    """After the last word of one filter no other is asked."""
    second = Busy()
    lines = await told(trial(account=None, sender=None), Busy(last), second)
    assert lines[-1] == f"in the end: {end}"
    assert not second.seen
    assert not any(line.startswith("auth") for line in lines)


def test_as_a_process(tmp_path: Path) -> None:
    """The command reads a configuration and a message, and tells."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mailplat.app.ctl", *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    made = run("init", "here", "--account", "alice:secret", "--port-offset", "20000")
    assert made.returncode == 0, made.stderr
    config = tmp_path / "here/mailplat.toml"
    with config.open("a") as file:
        file.write('\n[[filter]]\nuse = "senders:rude.example"\nlisteners = ["smtp"]\n')
    (tmp_path / "mail.eml").write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
    told = run("filter", "test", "--config", str(config), "mail.eml", "--from", "a@rude.example")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("sender     senders: reject (550 5.7.1 Sender refused), ")
    assert told.stdout.endswith("in the end: reject at sender\n")
    for words, why in (
        (["--ip", "nonsense"], "no IP address"),
        (["--listener", "none"], "no listener 'none', but smtp"),
    ):
        refused = run("filter", "test", "--config", str(config), "mail.eml", *words)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
