"""Tests for `mailplat.filters.dmarc_results`."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.filters.dmarc_results import DmarcResults
from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.message.auth.dmarc_report import (
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
)
from mailplat.model.errors import ConfigurationFault

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
PUBLISHED = Published("d.example", "reject")
ROW = Row(
    "192.0.2.1",
    1,
    "none",
    "pass",
    "fail",
    "d.example",
    "",
    (Override("other", "\u2028"),),
    (SignatureResult("d.example", "s", "pass"),),
    (SPFResult("d.example", "helo", "none"),),
)


@pytest_twisted.async_yield_fixture
async def results(tmp_path: Path) -> AsyncIterator[DmarcResults]:
    """An open database."""
    made = DmarcResults(reactor, tmp_path / "dmarc.sqlite", max_rows=3)
    await made.open()
    yield made
    await made.close()


@pytest_twisted.ensureDeferred
async def test_counts(results: DmarcResults) -> None:
    """Alike messages are counted together, over any number of flushes."""
    assert verifyObject(IDmarcResults, results)
    other = replace(ROW, source="192.0.2.2")
    for row in (other, ROW, ROW):
        results.note(NOON, PUBLISHED, "mailto:a@d.example", row)
    await results.flush()
    results.note(NOON + 60, replace(PUBLISHED, policy="none"), "mailto:b@d.example", ROW)
    results.note(NOON + DAY, PUBLISHED, "mailto:a@d.example", ROW)
    await results.flush()
    assert await results.ended(NOON) == []
    ((begin, domain),) = await results.ended(NOON + DAY)
    assert (begin, domain) == (20_000 * DAY, "d.example")
    found = await results.gathered(begin, domain)
    assert (found.published.policy, found.reports_to) == ("none", "mailto:b@d.example")
    assert found.rows == [replace(ROW, count=3), other]
    await results.forget(begin, domain)
    assert [begin for begin, _ in await results.ended(NOON + 9 * DAY)] == [20_001 * DAY]


@pytest_twisted.ensureDeferred
async def test_no_more_than_so_many(results: DmarcResults) -> None:
    """Above the limit only messages like those known are counted, in memory and on the disk."""
    for number in range(5):
        results.note(
            NOON, PUBLISHED, "mailto:a@d.example", replace(ROW, source=f"192.0.2.{number}")
        )
    await results.flush()
    for number in (0, 7):
        results.note(
            NOON, PUBLISHED, "mailto:a@d.example", replace(ROW, source=f"192.0.2.{number}")
        )
    await results.flush()
    found = await results.gathered(20_000 * DAY, "d.example")
    assert [row.count for row in found.rows] == [2, 1, 1]
    assert found.missing == 3


@pytest_twisted.ensureDeferred
async def test_survives(tmp_path: Path) -> None:
    """What was noted is there after the next start; what comes when it is closed is not noted."""
    path = tmp_path / "dmarc.sqlite"
    for _ in range(2):
        one = DmarcResults(reactor, path)
        await one.open()
        one.note(NOON, PUBLISHED, "mailto:a@d.example", ROW)
        await one.close()
        one.note(NOON, PUBLISHED, "mailto:a@d.example", ROW)
    found = await DmarcResults(reactor, path).gathered(20_000 * DAY, "d.example")
    assert [row.count for row in found.rows] == [2]


@pytest.mark.parametrize("fault", ["version", "noise"])
@pytest_twisted.ensureDeferred
async def test_something_else(tmp_path: Path, fault: str) -> None:
    """A file of something else, or of another version, is left alone."""
    path = tmp_path / "dmarc.sqlite"
    if fault == "noise":
        path.write_bytes(b"noise" * 1000)
    else:
        database: Any = sqlite3.connect(path)
        database.execute("PRAGMA user_version=9")
        database.close()
    with pytest.raises(ConfigurationFault):
        await DmarcResults(reactor, path).open()
