"""Tests for `mailplatctl filter test` with policy filters, and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface import implementer

from mailplat.app.ctl.trial import Trial
from mailplat.filters.chain import Rule
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.verdict import CONTINUE, Verdict
from mailplat.net.selfsigned import write_self_signed

MESSAGE = b"From: x@d.example\r\n\r\nhello\r\n"
BOB = Address("bob", "example.org")


POLICY = """
[server]
hostname = "mx.example.org"
domains = ["example.org"]
data_directory = "data"
[tls]
certificate = "server.pem"
key = "server.pem"

[[filter]]
use = "helo:"
[filter.options]
unresolvable = "continue"

[[filter]]
use = "greylist:"

[[filter]]
use = "content_rules:"
[[filter.options.rules]]
look_at = "body"
pattern = "hello"
"""


@pytest.mark.parametrize("go_on", [False, True])
def test_policy_filters_as_json(tmp_path: Path, go_on: bool) -> None:
    """Every stage is told to programs too; nothing is remembered."""
    (tmp_path / "mailplat.toml").write_text(POLICY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts").write_text("")
    write_self_signed(tmp_path / "server.pem", ["localhost"], datetime.now(UTC))
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    command = [
        *(sys.executable, "-m", "mailplat.app.ctl", "filter", "test", "mail.eml", "--json"),
        *("--from", "a@d.example", "--rcpt", "bob", "--ip", "192.0.2.1", "--helo", "laptop"),
        *(["--all"] if go_on else []),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["end"] == "defer at recipient"
    found = [(one["stage"], one["filter"], one["action"]) for one in told["steps"]]
    assert found[:2] == [("sender", "helo", "continue"), ("recipient", "greylist", "defer")]
    assert found[2:] == ([("message", "content_rules", "reject")] if go_on else [])
    assert "tag helo-unqualified" in told["steps"][0]["changes"]
    assert not (tmp_path / "data" / "policy.sqlite").exists()


@implementer(IFilter, IStages)
class Choosy(Stages):
    """Refuses one recipient."""

    name = "choosy"
    stages = (Stage.RECIPIENT, Stage.MESSAGE)

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return self

    def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Refuse Bob."""
        return Verdict.reject("No") if recipient.address == BOB else CONTINUE


@pytest.mark.parametrize(
    ("others", "end"),
    [((Address("al", "example.org"),), "reject"), ((BOB,), "no recipient was taken")],
)
@pytest_twisted.ensureDeferred
async def test_a_refused_recipient(others: tuple[Address, ...], end: str) -> None:
    """Who is refused at RCPT gets nothing; the others do."""
    trial = Trial(MESSAGE, "192.0.2.1", "c.example", None, None, (BOB, *others), "smtp")
    steps, ended = await trial.walked([Rule(Choosy())], reactor, "mx.example.org")
    assert ended == end
    asked = [step.stage for step in steps]
    assert asked == ["recipient", "recipient", *(["message"] if end == "reject" else [])]
