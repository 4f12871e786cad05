"""Tests for `mailplatctl dns`, `dkim` and `dmarc`."""

from __future__ import annotations

import json
import stat
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.app.ctl.main import main
from mailplat.app.domain_records import DomainRecord
from mailplat.message.auth.dmarc_report import (
    AggregateReport,
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
    packed,
)
from mailplat.message.auth.keys import load_private_key
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames

Run = Callable[..., Awaitable[Result]]


class Desk:
    """A configuration, a DNS, and the command."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.file = path, path / "mailplat.toml"
        self.names = KnownNames()
        (path / "tls").mkdir()
        for name in ("server.pem", "server.key"):
            (path / "tls" / name).touch()  # nobody looks into them here
        self.write("")

        def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
            return blockingCallFromThread(
                IReactorFromThreads(reactor), lambda: Deferred.fromCoroutine(work(reactor))
            )

        monkeypatch.setattr("mailplat.app.ctl.running.run", run)
        monkeypatch.setattr("mailplat.app.relaying.make_resolver", lambda *_: self.names)

    def write(self, more: str) -> None:
        """Write the configuration."""
        self.file.write_text(
            f'[server]\ndata_directory = "{self.data}"\nhostname = "mx.example.org"\n'
            f'domains = ["example.org"]\n{more}'
        )

    def publish(self, txt: Mapping[str, list[bytes]], **more: Any) -> None:
        """Change the DNS."""
        self.names = KnownNames(txt=txt, **more)

    async def __call__(self, *words: str, data: bytes = b"") -> Result:
        """Run the command in a thread."""
        given = [*words[:2], "--config", str(self.file), *words[2:]]
        if words[0] == "dns":
            given = ["dns", "--config", str(self.file), *words[1:]]
        if words[0] == "dmarc":
            given = list(words)
        found: Result = await deferToThread(CliRunner().invoke, main, given, input=data)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A configuration without filters."""
    return Desk(tmp_path, monkeypatch)


@pytest_twisted.ensureDeferred
async def test_new_keys(desk: Desk) -> None:
    """Keys are made for their owner alone, and what is printed makes them work."""
    made = await desk("dkim", "new", "Example.org", "2026")
    assert made.exit_code == 0, made.output
    files = sorted(path.name for path in (desk.data / "dkim").iterdir())
    assert files == ["example.org.2026-ed25519.pem", "example.org.2026.pem"]
    for name in files:
        path = desk.data / "dkim" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        record = load_private_key(path.read_bytes()).record
        assert record[:200] in made.output
    before = await desk("dkim", "check", "example.org")
    assert before.output.count("missing") == 2
    desk.write(made.output[made.output.index("[[filter]]") :])
    absent = await desk("dkim", "check", "example.org")
    assert absent.exit_code == 1
    assert absent.output.count("missing") == 2
    zone = {
        f"{selector}._domainkey.example.org": [
            load_private_key(
                (desk.data / "dkim" / f"example.org.{selector}.pem").read_bytes()
            ).record.encode()
        ]
        for selector in ("2026", "2026-ed25519")
    }
    desk.publish(zone)
    there = await desk("dkim", "check", "example.org")
    assert (there.exit_code, there.output.count(" ok")) == (0, 2)
    again = await desk("dkim", "new", "example.org", "2026", "--kind", "rsa")
    assert (again.exit_code, "there already" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([domain_key("ed25519").record], "another key"),
        ([b"v=DKIM1; p="], "revoked"),
        ([b"v=spf1"], "cannot be read"),
        ([domain_key().record + b"; s=other"], "do not let it be used"),
        ([domain_key().record + b"; t=y"], "only tested"),
        ([b"noise", domain_key().record], " ok"),
        (None, "not known"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_check(desk: Desk, texts: list[bytes] | None, said: str) -> None:
    """What is wrong with a key in the DNS is told."""
    (desk.data / "key.pem").write_bytes(domain_key().pem)
    desk.write('[[filter]]\nuse = "dkim_sign:example.org:s:key.pem"\n')
    name = "s._domainkey.example.org"
    desk.publish({name: texts or []}, broken=() if texts else (name,))
    found = await desk("dkim", "check", "example.org")
    assert said in found.output
    assert found.exit_code == (0 if "ok" in found.output.split() or "ok:" in found.output else 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dkim", "check", "example.org"), "dkim new example.org SELECTOR"),
        (("dkim", "new", "localhost", "s"), "not a domain"),
        (("dkim", "new", "example.org", "../s"), "not a selector"),
        (("dns", "nowhere"), "not a domain"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_faults(desk: Desk, words: tuple[str, ...], said: str) -> None:
    """What cannot be done is told with its remedy."""
    found = await desk(*words)
    assert found.exit_code != 0
    assert said in found.output


@pytest_twisted.ensureDeferred
async def test_records(desk: Desk) -> None:
    """All that a domain should have is printed, and what the DNS has of it."""
    (desk.data / "key.pem").write_bytes(domain_key().pem)
    desk.write('[[filter]]\nuse = "dkim_sign:example.org:s:key.pem"\n')
    bare = await desk("dns", "example.org", "--no-check")
    assert bare.exit_code == 0
    lines = [line for line in bare.output.splitlines() if not line.startswith(";")]
    assert lines[0] == "example.org. IN MX 10 mx.example.org."
    assert "_imaps._tcp.example.org. IN SRV 0 1 993 mx.example.org." in lines
    assert "_imap._tcp.example.org. IN SRV 10 1 143 mx.example.org." in lines
    assert all(len(part) <= 255 for line in lines for part in line.split('"'))
    missing = await desk("dns", "example.org")
    assert (missing.exit_code, missing.output.count("[missing]")) == (1, 6)
    zone = {
        "example.org": [b"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"],
        "s._domainkey.example.org": [domain_key().record],
        "_dmarc.example.org": [b"v=DMARC1; p=reject"],
        "_mta-sts.example.org": [b"v=STSv1; id=1"],
        "_smtp._tls.example.org": [b"v=TLSRPTv1; rua=mailto:a@example.org"],
    }
    hosts = {"mx.example.org": ["192.0.2.1", "2001:db8::1"]}
    mx = {"example.org": [(10, "mx.example.org")]}
    desk.publish(zone, hosts=hosts, mx=mx)
    good = await desk("dns", "example.org")
    assert (good.exit_code, good.output.count("[ok")) == (0, 6), good.output
    assert "[ok: policy reject]" in good.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"example.org": [b"v=spf1 -all"]}, "wrong: fail for 192.0.2.1"),
        ({"example.org": [b"v=spf1 a:", b"x"]}, "wrong: permerror for 192.0.2.1: SPF record"),
        ({"_dmarc.example.org": [b"v=DMARC1"]}, "wrong: cannot be read"),
        ({"_smtp._tls.example.org": [b"v=TLSRPTv1;"] * 2}, "wrong: more than one"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_wrong_records(desk: Desk, change: dict[str, list[bytes]], said: str) -> None:
    """What is there and wrong is told with what is wrong with it."""
    desk.publish(change, hosts={"mx.example.org": ["192.0.2.1"]})
    found = await desk("dns", "example.org")
    assert found.exit_code == 1
    assert said in found.output


@pytest_twisted.ensureDeferred
async def test_mail_that_leads_elsewhere(desk: Desk) -> None:
    """Mail that leads to another server, or nowhere, is told; a DNS that is away is no fault."""
    desk.publish({}, mx={"example.org": [(10, "mx.other.example")]})
    assert "wrong: leads to mx.other.example" in (await desk("dns", "example.org")).output
    desk.publish({}, mx={"example.org": [(10, "mx.example.org")]})
    found = await desk("dns", "other.example")
    assert "not one of server.domains" in found.output
    assert "wrong: mx.example.org has no address" in (await desk("dns", "example.org")).output
    every = ("example.org", "mx.example.org", "_dmarc.example.org", "_mta-sts.example.org",
             "_smtp._tls.example.org")  # fmt: skip
    desk.publish({}, broken=every)
    away = await desk("dns", "example.org")
    assert (away.exit_code, away.output.count("not known: the DNS does not answer")) == (0, 5)


REPORT = AggregateReport(
    "Big\x1b[31m Mail", "dmarc@big.example", "r1", 1_767_225_600, 1_767_311_999,
    Published("example.org", "reject"),
    (
        Row("192.0.2.9", 2, "reject", "fail", "fail", "example.org"),
        Row(
            "192.0.2.1", 40, "none", "pass", "fail", "example.org", "",
            (Override("forwarded", "x"),),
            (SignatureResult("example.org", "s", "pass"),),
            (SPFResult("fwd.example", "mfrom", "softfail"),),
        ),
    ),
)  # fmt: skip


def mailed(data: bytes) -> bytes:
    """Make the mail that brings a report."""
    mail = EmailMessage()
    mail["Subject"] = "Report Domain: example.org"
    mail.set_content("hello")
    mail.add_attachment(data, maintype="application", subtype="gzip", filename="r.xml.gz")
    return mail.as_bytes()


@pytest.mark.parametrize("wrap", [bytes, mailed])
@pytest_twisted.ensureDeferred
async def test_report(desk: Desk, tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    """A report is told as a table, from its file or from the mail that brought it."""
    data = wrap(packed(REPORT))
    told = await desk("dmarc", "report", "-", data=data)
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert "\x1b" not in told.output
    assert "42 messages, 40 pass" in lines
    assert lines[-2].split()[:7] == ["40", "192.0.2.1", "example.org", "none", "pass", "fail",
                                     "example.org=pass"]  # fmt: skip
    assert lines[-1].startswith("!  2      192.0.2.9")
    (tmp_path / "report").write_bytes(data)
    as_json = await desk("dmarc", "report", "--json", str(tmp_path / "report"))
    assert json.loads(as_json.output)["rows"][1]["count"] == 40


@pytest_twisted.ensureDeferred
async def test_no_report(desk: Desk) -> None:
    """What is no report is refused in a line."""
    for data in (b"", b"hello", b"<a/>", mailed(b"x"), b"<!DOCTYPE a><feedback/>"):
        told = await desk("dmarc", "report", "-", data=data)
        assert told.exit_code == 1
        assert "no aggregate report" in told.output


def test_zone_lines() -> None:
    """Long texts are in strings that the DNS can have."""
    line = str(DomainRecord("a.example", "TXT", "x" * 600, ""))
    assert [len(one) for one in line.split('"')[1::2]] == [250, 250, 100]
