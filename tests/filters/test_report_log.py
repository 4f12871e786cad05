"""Tests for `mailplat.filters.report_log`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.app.parts import make_filter
from mailplat.filters.report_log import ReportLogFilter
from mailplat.filters.reports import Reports
from mailplat.interfaces.hooks import Report
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.errors import ConfigurationFault
from mailplat.testing.turns import until


def lines(file: Path) -> list[Any]:
    """Read what was written."""
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest_twisted.ensureDeferred
async def test_writes_lines(tmp_path: Path) -> None:
    """Each report is a line; what is empty is left out; the end loses nothing that was read."""
    reports = Reports()
    made: Any = make_filter(
        "report_log:x.jsonl", FilterSettings(reactor, directory=str(tmp_path), reports=reports)
    )
    assert made.stages == ()
    reports.publish(Report("sender", 1.5, "s1", sender="", tags=("bulk",)))
    reports.publish(Report("deny", 2.0, reply="550 5.1.1 Nö\n"))
    file = tmp_path / "x.jsonl"
    await until(lambda: file.exists() and len(lines(file)) == 2)
    file.rename(tmp_path / "old")
    reports.publish(Report("connect", 3.0))
    await until(file.exists)
    await made.close()
    assert lines(tmp_path / "old") == [
        {"event": "sender", "at": 1.5, "session_id": "s1", "sender": "", "tags": ["bulk"]},
        {"event": "deny", "at": 2.0, "reply": "550 5.1.1 Nö\n"},
    ]
    assert lines(file) == [{"event": "connect", "at": 3.0}]
    assert not reports.wanted


@pytest_twisted.ensureDeferred
async def test_says_what_is_missing(tmp_path: Path) -> None:
    """Reports that came faster than they were written are counted."""
    reports = Reports()
    settings = FilterSettings(reactor, directory=str(tmp_path), reports=reports)
    made = ReportLogFilter("log", "x", settings, waiting=1)
    for at in range(4):
        reports.publish(Report("connect", at))
    await until((tmp_path / "x").exists)
    await until(lambda: len(lines(tmp_path / "x")) >= 3)
    await made.close()
    found = lines(tmp_path / "x")
    assert sum(one.get("count", 0) for one in found) + len(found) >= 4


@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It costs the reports, and nothing else."""
    reports = Reports()
    settings = FilterSettings(reactor, directory=str(tmp_path / "missing"), reports=reports)
    made = ReportLogFilter("log", "x", settings)
    reports.publish(Report("connect", 1))
    await made.close()
    with pytest.raises(ConfigurationFault, match="which file"):
        make_filter("report_log:", settings)
