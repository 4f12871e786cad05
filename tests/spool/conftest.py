"""A spool in a test's own directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet import reactor

from mailplat.spool.spool import Spool
from mailplat.testing.spools import WARN_AFTER, MakeSpool


@pytest.fixture
def make_spool(tmp_path: Path) -> MakeSpool:
    """Makes spools on the same directory."""

    def make(now: Callable[[], float]) -> Spool:
        return Spool(reactor, tmp_path / "spool", now, inline=50_000, warn_after=WARN_AFTER)

    return make  # type: ignore[return-value]
