"""Tests for `mailplat.app.dmarc_reporting` and `mailplat.app.own_mail`."""

from __future__ import annotations

import email
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailplat.app.dmarc_reporting import DmarcReporting, Reporter
from mailplat.app.filtering import dmarc_sender
from mailplat.app.own_mail import OwnMail
from mailplat.app.parts import make_filter
from mailplat.config.sections.dmarc import DMARCOptions
from mailplat.filters.dmarc_results import DmarcResults
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.routes import Destination, Remote
from mailplat.interfaces.spool import NewMail
from mailplat.message import headers
from mailplat.message.auth.dkim import Verifier
from mailplat.message.auth.dmarc_report import Published, Row
from mailplat.message.auth.dmarc_report_reading import read_report, unpacked
from mailplat.message.auth.result import Result
from mailplat.model.address import Address
from mailplat.model.envelope import Notify
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames
from mailplat.testing.strict import LoggedErrors

DAY = 86_400
MIDNIGHT = 20_000 * DAY
ROW = Row("192.0.2.1", 1, "none", "pass", "fail", "d.example")
SENDER = Address("postmaster", "example.org")


class Threads(Clock):
    """A clock with the real reactor's threads."""

    def getThreadPool(self) -> Any:
        """Lend the threads."""
        return reactor.getThreadPool()  # type: ignore[attr-defined]

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        """Come back to the real reactor's thread."""
        reactor.callFromThread(call, *arguments)  # type: ignore[attr-defined]


class Spool:
    """Keeps what it is given, unless it is full."""

    def __init__(self) -> None:
        self.mails: list[NewMail] = []
        self.full = False

    async def accept(self, mails: Sequence[NewMail]) -> None:
        """Take mail on."""
        if self.full:
            raise Unavailable("full")
        self.mails += mails


class Routes:
    """All addresses but one lead elsewhere."""

    async def route(self, address: Address, sender: Address | None = None) -> Sequence[Destination]:
        """Lead there."""
        return () if address.local == "nobody" else (Remote(address),)


class Desk:
    """A server that sends reports."""

    def __init__(self, path: Path, texts: Mapping[str, list[bytes]], **reporter: Any) -> None:
        self.clock, self.spool = Threads(), Spool()
        self.clock.advance(MIDNIGHT + DAY / 2)
        self.names = KnownNames(txt=texts, broken=("d.example._report._dmarc.broken.example",))
        self.results = DmarcResults(self.clock, path / "dmarc.sqlite")
        (path / "key.pem").write_bytes(domain_key().pem)
        settings = FilterSettings(reactor, "mx.example.org", str(path), now=self.clock.seconds)
        signing = make_filter("dkim_sign:example.org:s:key.pem", settings)
        filtering = SimpleNamespace(rules=[(SimpleNamespace(filter=signing), ())])
        ids = iter(f"q{n}" for n in range(100))
        mail = OwnMail(self.spool, Routes(), lambda: next(ids), lambda: filtering)  # type: ignore[arg-type, return-value]
        self.reporting = DmarcReporting(
            self.clock,
            self.clock.seconds,
            self.results,
            self.names,
            mail,
            Reporter("mx.example.org", SENDER, "Example", **reporter),
            lambda: 0.5,
        )

    def note(self, reports_to: str, domain: str = "d.example") -> None:
        """Let a mail come."""
        self.results.note(self.clock.seconds(), Published(domain), reports_to, ROW)

    async def next_day(self) -> bool:
        """Let the day end, and send what is due."""
        self.clock.rightNow += DAY
        return await self.reporting.send_due()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A server, and a stranger who wants reports."""
    return Desk(tmp_path, {"d.example._report._dmarc.wants.example": [b"v=DMARC1"]})


def content(mail: NewMail) -> bytes:
    """Read a mail."""
    return mail.body.read(0, mail.body.size)


@pytest_twisted.ensureDeferred
async def test_reports(desk: Desk) -> None:
    """A domain gets what came in its name, signed, from an address of ours, and once."""
    await desk.results.open()
    for _ in range(3):
        desk.note("mailto:r@d.example,mailto:x@wants.example,mailto:y@strange.example")
    assert not await desk.reporting.send_due()
    assert not desk.spool.mails
    assert not await desk.next_day()
    assert not await desk.reporting.send_due()
    first, second = desk.spool.mails
    assert [str(one.address) for one in first.envelope.recipients] == ["r@d.example"]
    assert [str(one.address) for one in second.envelope.recipients] == ["x@wants.example"]
    assert first.envelope.sender.address == SENDER
    assert first.envelope.recipients[0].notify == {Notify.NEVER}
    data = content(first)
    message = email.message_from_bytes(data)
    assert message["Subject"].split() == [
        "Report", "Domain:", "d.example", "Submitter:", "mx.example.org", "Report-ID:",
        f"<{MIDNIGHT}.d.example@mx.example.org>",
    ]  # fmt: skip
    attached: Any = message.get_payload(1)
    assert attached.get_content_type() == "application/gzip"
    assert attached.get_filename() == (
        f"mx.example.org!d.example!{MIDNIGHT}!{MIDNIGHT + DAY - 1}.xml.gz"
    )
    report = read_report(unpacked(attached.get_payload(decode=True)))
    assert [row.count for row in report.rows] == [3]

    async def texts(name: str) -> list[bytes]:
        return [domain_key().record]

    header, body = headers.split(data)
    verifier = Verifier(header)
    verifier.receive(body)
    (signed,) = await verifier.results(texts, MIDNIGHT)
    assert (signed.result, signed.domain) == (Result.PASS, "example.org")
    await desk.results.close()


@pytest.mark.parametrize("fault", ["dns", "spool"])
@pytest_twisted.ensureDeferred
async def test_tried_again(desk: Desk, fault: str) -> None:
    """What cannot be sent now is sent later, and given up in the end."""
    await desk.results.open()
    desk.spool.full = fault == "spool"
    desk.note("mailto:r@d.example" if fault == "spool" else "mailto:r@broken.example")
    for _ in range(3):
        assert await desk.next_day()
    desk.spool.full = False
    if fault == "dns":
        assert not [await desk.next_day() for _ in range(2)][-1]
    assert not await desk.next_day()
    assert len(desk.spool.mails) == (fault == "spool")
    await desk.results.close()


@pytest.mark.parametrize(
    "reports_to", ["mailto:y@strange.example", "https://d.example/", "mailto:nobody@d.example",
                   "mailto:r@d.example!10"]
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_nobody_gets_it(desk: Desk, reports_to: str) -> None:
    """Strangers, other schemes and those who want less get nothing, and it is forgotten."""
    await desk.results.open()
    desk.note(reports_to)
    assert not await desk.next_day()
    assert not desk.spool.mails
    assert await desk.results.ended(desk.clock.seconds()) == []
    await desk.results.close()


@pytest_twisted.ensureDeferred
async def test_schedule(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins soon after the start, and again some time after midnight."""
    sent: list[float] = []

    async def send_due() -> bool:
        sent.append(desk.clock.seconds())
        return len(sent) == 2

    monkeypatch.setattr(desk.reporting, "send_due", send_due)
    await desk.reporting.open()
    desk.clock.pump([2.5, DAY / 2 - 2.5, 1800.0, 3599.0, 1.0])
    assert sent == [MIDNIGHT + DAY / 2 + 2.5, MIDNIGHT + DAY + 1800, MIDNIGHT + DAY + 5400]
    await desk.reporting.close()
    assert not desk.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_a_report_that_cannot_be_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """It holds up no other one."""
    await desk.results.open()
    desk.note("mailto:r@d.example")
    desk.note("mailto:r@e.example", "e.example")
    gathered = desk.results.gathered

    async def broken(begin: int, domain: str) -> Any:
        return await gathered(begin, domain) if domain == "e.example" else 1 / 0

    monkeypatch.setattr(desk.results, "gathered", broken)
    assert await desk.next_day()
    assert [str(one.envelope.recipients[0].address) for one in desk.spool.mails] == ["r@e.example"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    await desk.results.close()


def test_sender() -> None:
    """The sender has to be an address; without one it is the postmaster."""

    def sender(said: str) -> str:
        configuration: Any = SimpleNamespace(
            dmarc=DMARCOptions(reports=True, sender=said),
            server=SimpleNamespace(domains=("example.org",)),
        )
        return str(dmarc_sender(configuration))

    assert sender("") == "postmaster@example.org"
    assert sender("r@example.net") == "r@example.net"
    for said in ("example.org", "@example.org", "r@", "r@x..y"):
        with pytest.raises(ConfigurationFault, match=r"write dmarc@example\.org"):
            sender(said)
