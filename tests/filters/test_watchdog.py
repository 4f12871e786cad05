"""Tests for `mailplat.filters.watchdog`: what holds the reactor up is named."""

from __future__ import annotations

import threading
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from mailplat.filters.watchdog import Watchdog


def a_filter_that_blocks(told: threading.Event) -> None:
    """Hold the reactor up until the watchdog has said so."""
    assert told.wait(5)


@pytest_twisted.ensureDeferred
async def test_tells_where_it_is_stuck() -> None:
    """The stack of what blocks is logged while it blocks, and its end is told."""
    lines: list[str] = []
    told, over = threading.Event(), Deferred[None]()

    def observe(event: Any) -> None:
        text = formatEvent(event)
        lines.append(text)
        if "held up" in text:
            told.set()
        if "goes on" in text and not over.called:
            over.callback(None)

    watchdog = Watchdog(reactor, 0.02)
    await watchdog.open()
    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    try:
        a_filter_that_blocks(told)
        await over
    finally:
        globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
        await watchdog.close()
    held = next(line for line in lines if "held up" in line)
    assert "a_filter_that_blocks" in held


@pytest_twisted.ensureDeferred
async def test_no_limit_no_watch() -> None:
    """Without a limit nothing is started."""
    before = threading.active_count()
    watchdog = Watchdog(reactor, 0)
    await watchdog.open()
    assert threading.active_count() == before
    await watchdog.close()
