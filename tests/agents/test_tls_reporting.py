"""Tests of the reports on TLS: counted, kept, and sent once a day (RFC 8460)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from mailplat.agents.tls_counts import TLSCounts
from mailplat.agents.tls_notes import Applied, PolicyKind
from mailplat.agents.tls_reporting import ReportingOptions, TLSReporting
from mailplat.message.tls_report import DAY, FailedSessions, PolicySessions
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.web import WebAnswer
from mailplat.testing.fakes import KnownNames
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import until, wait_for

NOON = 1_700_000_000 // DAY * DAY + DAY // 2
TODAY = NOON // DAY * DAY
STS = Applied(PolicyKind.STS, "dest.example", ("version: STSv1",), ("mx.dest.example",))
NONE = Applied(PolicyKind.NONE, "dest.example")
RUA = b"v=TLSRPTv1; rua=mailto:tls@dest.example,https://r.example/v1"


class World:
    """Counts, reporting, and who gets the reports."""

    def __init__(self, path: Path) -> None:
        self.clock: Any = Clock()
        self.clock.advance(NOON)
        self.path = path / "tls.sqlite"
        self.counts = self.counting()
        self.texts: dict[str, list[bytes]] = {"_smtp._tls.dest.example": [RUA]}
        self.broken: list[str] = []
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.posts: list[tuple[str, Mapping[str, str], bytes]] = []
        self.code = 200
        self.failing: Exception | None = None
        self.reporting = TLSReporting(
            self.clock,
            self.clock.seconds,
            lambda: 0.5,
            _Names(self),  # type: ignore[arg-type]
            self,
            self.send,
            self.counts,
            ReportingOptions(Address("tls", "me.example"), "Me", 3600.0),
        )

    def counting(self, most: int = 100) -> TLSCounts:
        """Make what counts."""
        return TLSCounts(self.clock, self.clock.seconds, self.path, most)

    async def send(self, sender: Address, to: list[Address], message: bytes) -> object:
        """Take a mail."""
        if self.failing is not None:
            raise self.failing
        self.mails.append((str(sender), [str(one) for one in to], message))
        return "q1"

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes
    ) -> WebAnswer:
        """Take a report."""
        assert method == "POST"
        self.posts.append((url, headers, content))
        return WebAnswer(self.code, {}, b"")


class _Names:
    """DNS, as it is now."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def txt(self, name: str) -> Any:
        """See `IResolver.txt`."""
        return await KnownNames(txt=self._world.texts, broken=self._world.broken).txt(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Opened counts."""
    made = World(tmp_path)
    wait_for(made.counts.open())
    yield made
    wait_for(made.reporting.close())
    wait_for(made.counts.close())
    assert not made.clock.getDelayedCalls()


def three(counts: TLSCounts) -> None:
    """Count three sessions."""
    counts.note(STS, "", host="mx.dest.example", address="192.0.2.1")
    counts.note(
        STS,
        "certificate-expired",
        host="mx.dest.example",
        address="192.0.2.1",
        source="::1",
        why="old",
    )
    counts.note(NONE, "")


@pytest_twisted.ensureDeferred
async def test_counted(world: World) -> None:
    """Sessions are counted by policy and result, written each minute, and there after a restart."""
    for _ in range(2):
        three(world.counts)
    world.counts.note(Applied(PolicyKind.NONE, "[192.0.2.1]"), "")
    (call,) = world.clock.getDelayedCalls()
    assert call.getTime() == NOON + 60
    world.clock.advance(60)
    await world.counts.flush()
    three(world.counts)
    again = world.counting()
    await world.counts.close()
    assert await again.days() == [(TODAY, "dest.example")]
    assert await again.sessions(TODAY, "dest.example") == [
        PolicySessions("no-policy-found", (), (), 3, ()),
        PolicySessions(
            "sts",
            ("version: STSv1",),
            ("mx.dest.example",),
            3,
            (
                FailedSessions(
                    "certificate-expired", "mx.dest.example", "192.0.2.1", "::1", "old", 3
                ),
            ),
        ),
    ]


@pytest_twisted.ensureDeferred
async def test_bounded(world: World) -> None:
    """What would be one result more than the limit is not counted; known ones are."""
    few = world.counting(3)
    for _ in range(2):
        for n in range(10):
            few.note(Applied(PolicyKind.NONE, f"d{n}.example"), "")
        await few.flush()
    await few.close()
    days = await world.counts.days()
    assert [domain for _, domain in days] == ["d0.example", "d1.example", "d2.example"]
    assert (await world.counts.sessions(TODAY, "d0.example"))[0].good == 2


@pytest_twisted.ensureDeferred
async def test_each_day_is_reported_once(world: World) -> None:
    """After midnight and some time, by mail and by HTTPS; then the day is forgotten."""
    three(world.counts)
    world.counts.note(Applied(PolicyKind.NONE, "other.example"), "")
    await world.reporting.open()
    world.clock.advance(1800)  # what is left of earlier days: nothing
    await until(lambda: world.reporting._running is None)
    assert not world.mails
    due = TODAY + DAY + 1800
    assert due in [call.getTime() for call in world.clock.getDelayedCalls()]
    world.clock.advance(due - world.clock.seconds() - 1)
    assert not world.mails
    world.clock.advance(1)
    await until(lambda: world.reporting._running is None)
    ((sender, to, message),) = world.mails
    assert (sender, to) == ("tls@me.example", ["tls@dest.example"])
    assert b"multipart/report" in message
    ((url, headers, content),) = world.posts
    assert url == "https://r.example/v1"
    assert headers == {"Content-Type": "application/tlsrpt+gzip"}
    told = json.loads(gzip.decompress(content))
    assert told["organization-name"] == "Me"
    assert [one["policy"]["policy-type"] for one in told["policies"]] == ["no-policy-found", "sts"]
    assert await world.counts.days() == []  # other.example wants none
    world.clock.advance(DAY)
    await until(lambda: world.reporting._running is None)
    assert (len(world.mails), len(world.posts)) == (1, 1)


@pytest_twisted.ensureDeferred
async def test_what_fails_is_tried_again(world: World) -> None:
    """Who has a report gets no second one; the others are tried for a day."""
    three(world.counts)
    world.clock.advance(DAY)
    world.code = 500
    assert not await world.reporting.report()
    assert not await world.reporting.report()
    assert (len(world.mails), len(world.posts)) == (1, 2)
    world.broken = ["_smtp._tls.dest.example"]
    assert not await world.reporting.report()
    world.broken = []
    world.code = 201
    assert await world.reporting.report()
    assert (len(world.mails), len(world.posts)) == (1, 3)
    three(world.counts)
    world.clock.advance(DAY)
    world.code, world.failing = 302, Unavailable("the disk is full")
    assert not await world.reporting.report()
    world.clock.advance(DAY // 2)
    assert await world.reporting.report()  # too late
    assert await world.counts.days() == []


@pytest_twisted.ensureDeferred
async def test_a_fault_of_ours(world: World, logged_errors: LoggedErrors) -> None:
    """What goes wrong with one domain is logged, and keeps no other from its report."""
    three(world.counts)
    world.counts.note(Applied(PolicyKind.NONE, "a.example"), "")
    world.texts["_smtp._tls.a.example"] = [b"v=TLSRPTv1; rua=mailto:a@a.example"]
    world.clock.advance(DAY)
    good = world.send

    async def send(sender: Address, to: list[Address], message: bytes) -> object:
        if to[0].domain == "a.example":
            raise ZeroDivisionError
        return await good(sender, to, message)

    world.reporting._send = send
    assert not await world.reporting.report()
    assert len(world.mails) == 1
    assert logged_errors.flush(ZeroDivisionError)


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A file that is no database is told when the server starts."""
    world = World(tmp_path)
    world.path.write_bytes(b"no database, but long enough to look like one" * 10)
    with pytest.raises(ConfigurationFault, match=r"tls\.sqlite"):
        await world.counts.open()
