"""Tests for `mailplat.net.shield`."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from mailplat.model.errors import Unavailable
from mailplat.net.shield import shielded
from mailplat.testing.strict import LoggedErrors


async def wait(gate: Deferred[None], ends: list[str]) -> str:
    """Wait for the gate; note the end."""
    try:
        await gate
    finally:
        ends.append("end")
    return "result"


@pytest_twisted.ensureDeferred
async def test_result() -> None:
    """Whoever waits to the end gets what the coroutine gives, or raises."""
    gate: Deferred[None] = Deferred()
    running = Deferred.fromCoroutine(shielded(wait(gate, [])))
    gate.callback(None)
    assert await running == "result"
    gate = Deferred()
    running = Deferred.fromCoroutine(shielded(wait(gate, [])))
    gate.errback(Unavailable("away"))
    with pytest.raises(Unavailable):
        await running
    done: Deferred[None] = Deferred()
    done.callback(None)
    assert await shielded(wait(done, [])) == "result"


@pytest.mark.parametrize("error", [None, Unavailable("away"), ZeroDivisionError()])
@pytest_twisted.ensureDeferred
async def test_cancelled(error: Exception | None, logged_errors: LoggedErrors) -> None:
    """Who is cancelled stops waiting; the coroutine goes on, and its error is logged."""
    gate: Deferred[None] = Deferred()
    ends: list[str] = []
    running = Deferred.fromCoroutine(shielded(wait(gate, ends)))
    running.cancel()
    with pytest.raises(CancelledError):
        await running
    assert ends == []
    if error is None:
        gate.callback(None)
    else:
        gate.errback(error)
    assert ends == ["end"]
    assert len(logged_errors.flush()) == (1 if isinstance(error, ZeroDivisionError) else 0)
