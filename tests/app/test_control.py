"""Tests for `mailplat.app.control`: the socket that wakes a running server."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailplat.app.control import QUEUE_CHANGED, Control, tell
from mailplat.model.errors import ConfigurationFault


@pytest_twisted.ensureDeferred
async def test_tells(tmp_path: Path) -> None:
    """What is known is done and answered, all else is not; afterwards nobody is there."""
    told: list[str] = []
    control = Control(reactor, tmp_path, {QUEUE_CHANGED: lambda: told.append("changed")})
    (tmp_path / "control").touch()  # a crash left it
    await control.open()
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600
    assert await deferToThread(tell, tmp_path, QUEUE_CHANGED)
    assert not await deferToThread(tell, tmp_path, "rm -rf /")
    assert not await deferToThread(tell, tmp_path, "x" * 5000)
    assert told == ["changed"]
    await control.close()
    assert not (tmp_path / "control").exists()
    assert not await deferToThread(tell, tmp_path, QUEUE_CHANGED)


@pytest_twisted.ensureDeferred
async def test_says_why_not(tmp_path: Path) -> None:
    """A path that no socket can have is the operator's to change."""
    with pytest.raises(ConfigurationFault, match="too long"):
        await Control(reactor, tmp_path / ("d" * 100), {}).open()
