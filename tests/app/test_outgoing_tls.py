"""Tests for TLS with other servers as the configuration has it: tables, policies, reports."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from mailplat.agents.sts_file import KeptPolicy
from mailplat.agents.tls_counts import TLSCounts
from mailplat.agents.tls_demands import TLSEntry, TLSPolicy
from mailplat.agents.tls_notes import Applied, PolicyKind
from mailplat.app.assembly import assemble
from mailplat.app.ctl import tls
from mailplat.app.outgoing_tls import make_counts, make_policies, policy_file, tls_entries
from mailplat.app.tls_reports import make_reporting
from mailplat.config.load import parse
from mailplat.config.options import Configuration
from mailplat.interfaces.resolver import TLSA
from mailplat.interfaces.spool import Selection
from mailplat.message.tls_report import DAY
from mailplat.model.errors import ConfigurationFault
from mailplat.net.selfsigned import write_self_signed
from mailplat.proto.mta_sts import Mode, StsPolicy
from mailplat.testing.fakes import KnownNames
from mailplat.testing.name_server import NameServer


def configured(text: str, directory: Path = Path("/here")) -> Configuration:
    """Read a configuration's text."""
    return parse(text, "mailplat.toml", directory, {})


def entry(domain: str, tls: str, more: str = "") -> str:
    """Write a row of the table."""
    return f'[[tls_policy]]\ndomain = "{domain}"\ntls = "{tls}"\n{more}\n'


def test_the_table() -> None:
    """Each domain has an entry, by its name in DNS."""
    text = (
        entry("Example.net.", "verified", 'names = ["MX.example.net"]')
        + entry("*.example.net", "dane-only")
        + entry("müller.example", "mta-sts")
        + "".join(entry(f"{one.value}.example", one.value) for one in TLSPolicy)
    )
    assert tls_entries(configured(text)) == {
        "example.net": TLSEntry(TLSPolicy.VERIFIED, ("mx.example.net",)),
        "*.example.net": TLSEntry(TLSPolicy.DANE_ONLY),
        "xn--mller-kva.example": TLSEntry(TLSPolicy.MTA_STS),
        **{f"{one.value}.example": TLSEntry(one) for one in TLSPolicy},
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (entry("a.*.example", "dane"), "neither a domain nor"),
        (entry("", "dane"), "neither a domain nor"),
        (entry("a.example", "dane") * 2, "stands there twice"),
        (entry("a.example", "dane", 'names = ["x"]'), "names belong to"),
    ],
)
def test_faults_of_the_table(text: str, fault: str) -> None:
    """What cannot be meant is told."""
    with pytest.raises(ConfigurationFault, match=fault):
        tls_entries(configured(text))


def test_switches() -> None:
    """Policies are heeded unless switched off; nobody is counted unless switched on."""
    assert make_policies(configured(""), reactor, time.time, KnownNames()) is not None
    off = configured("[mta_sts]\nenabled = false\n")
    assert make_policies(off, reactor, time.time, KnownNames()) is None
    assert make_counts(configured(""), reactor, time.time) is None
    assert make_counts(configured("[tls_reports]\nenabled = true\n"), reactor, time.time)


def assembled(directory: Path, text: str = "") -> Any:
    """Make the parts of a server."""
    write_self_signed(directory / "cert.pem", ["me.example"], datetime.now(UTC))
    return assemble(
        configured(
            f'[server]\nhostname = "mx.me.example"\ndomains = ["me.example"]\n'
            f'data_directory = "{directory}/data"\n[tls]\ncertificate = "cert.pem"\n'
            f'key = "cert.pem"\n[store]\nuse = "memory:"\n[tls_reports]\nenabled = true\n{text}',
            directory,
        ),
        reactor,
    )


@pytest_twisted.ensureDeferred
async def test_reports_go_into_the_queue(tmp_path: Path) -> None:
    """Yesterday's sessions become a mail in the queue, from an address of ours."""
    parts = assembled(tmp_path)
    names = KnownNames(txt={"_smtp._tls.dest.example": [b"v=TLSRPTv1;rua=mailto:r@dest.example"]})
    path = tmp_path / "counts"
    yesterday = TLSCounts(reactor, lambda: time.time() - DAY, path)
    await yesterday.open()
    yesterday.note(Applied(PolicyKind.NONE, "dest.example"), "")
    await yesterday.close()
    parts = replace(parts, resolver=names, tls_counts=TLSCounts(reactor, time.time, path))
    reporting = make_reporting(parts, lambda: parts.filtering)
    assert reporting is not None
    (tmp_path / "data" / "accounts").touch(0o600)
    await parts.accounts.open()
    await parts.routes.open()
    await parts.spool.open()
    assert await reporting.report()
    (mail,) = await parts.spool.select(Selection(), 10)
    assert str(mail.sender.address) == "postmaster@me.example"
    assert [str(one.recipient.address) for one in mail.pending] == ["r@dest.example"]
    body = await parts.spool.open_body(mail.queue_id)
    data = body.read(0, body.size)
    body.close()
    assert b"\r\nTLS-Report-Submitter: me.example\r\n" in data
    assert await reporting.report()
    assert len(await parts.spool.select(Selection(), 10)) == 1
    for part in (parts.spool, parts.routes, parts.accounts):
        await part.close()


@pytest.mark.parametrize("sender", ["x", "@me.example", "a b@me.example", "ü@me.example", "a@"])
def test_a_sender_that_is_none(tmp_path: Path, sender: str) -> None:
    """Who sends reports has to be a plain address."""
    parts = assembled(tmp_path, f'sender = "{sender}"\n')
    with pytest.raises(ConfigurationFault, match=r"tls_reports\.sender"):
        make_reporting(parts, lambda: parts.filtering)


# mailplatctl tls


def written(directory: Path, more: str = "") -> Path:
    """Write a configuration."""
    file = directory / "mailplat.toml"
    write_self_signed(directory / "cert.pem", ["me.example"], datetime.now(UTC))
    file.write_text(
        f'[server]\ndomains = ["me.example"]\ndata_directory = "{directory}"\n'
        f'[tls]\ncertificate = "cert.pem"\nkey = "cert.pem"\n{more}'
    )
    return file


@pytest_twisted.ensureDeferred
async def test_check(tmp_path: Path) -> None:
    """What would be asked of each server is told, with what the domain publishes."""
    names = NameServer()
    names.mx("dest.example", "a.dest.example", "b.dest.example")
    for host in ("a.dest.example", "b.dest.example"):
        names.a(host, "192.0.2.1")
    names.tlsa("_25._tcp.a.dest.example", TLSA(3, 1, 1, b"x" * 32))
    names.sign("dest.example", "a.dest.example", "b.dest.example", "_25._tcp.a.dest.example")
    port = names.listen()._options.servers[0][1]
    file = written(
        tmp_path, f'[resolver]\nvalidators = ["127.0.0.1"]\nport = {port}\nhosts_file = false\n'
    )

    async def run(*words: str) -> tuple[str, int]:
        arguments = ["-m", "mailplat.app.ctl", "tls", words[0], "--config", str(file), *words[1:]]
        said: Any = await getProcessOutputAndValue(sys.executable, arguments, env=os.environ)
        return said[0].decode(), said[2]

    told, code = await run("check", "dest.example")
    assert (told, code) == (
        "dest.example: its servers in DNS are signed\n"
        "a.dest.example\n"
        "  TLS, with a certificate that DNS names (DANE)\n"
        f"  tlsa: 3 1 1 {'78' * 32}\n"
        "b.dest.example\n"
        "  TLS where it is offered, in clear where it is not\n",
        0,
    )
    assert await run("check", "nobody.example") == (
        "nobody.example: The domain does not exist\n",
        0,
    )
    assert await run("refresh", "dest.example") == ("dest.example: it has no policy\n", 0)
    await names.stop()


def test_list(tmp_path: Path) -> None:
    """Policies that are kept are listed with their end."""
    file = written(tmp_path)
    runner = CliRunner()
    told = runner.invoke(tls.command, ["list", "--config", str(file)], catch_exceptions=False)
    assert told.output == "no policies are kept\n"
    policy = StsPolicy(Mode.ENFORCE, 86400, ("mx.a.example", "*.b.example"))
    kept = policy_file(configured(file.read_text(), tmp_path))
    kept.keep(KeptPolicy("a.example", "1", policy, int(time.time())))
    kept.keep(KeptPolicy("old.example", "1", policy, int(time.time()) - 86400))
    told = runner.invoke(tls.command, ["list", "--config", str(file)], catch_exceptions=False)
    assert re.fullmatch(
        r"a\.example  enforce  mx\.a\.example,\*\.b\.example  until .* UTC\n", told.output
    )
