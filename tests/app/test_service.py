"""The server's start and stop, with parts that fail."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.task import Clock

from mailplat.app.service import MailService
from mailplat.model.errors import ConfigurationFault
from mailplat.testing.strict import LoggedErrors


class Reactor(Clock):
    """Notes that it was stopped."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    def stop(self) -> None:
        """Note it."""
        self._events.append("reactor stopped")


class Part:
    """Notes what becomes of it."""

    def __init__(self, name: str, events: list[str], error: Exception | None = None) -> None:
        self._name = name
        self._events = events
        self._error = error

    async def open(self) -> None:
        """Note it, or fail."""
        if self._error is not None:
            raise self._error
        self._events.append(f"{self._name} opened")

    async def close(self) -> None:
        """Note it."""
        self._events.append(f"{self._name} closed")


@pytest_twisted.ensureDeferred
async def test_parts_are_closed_in_reverse() -> None:
    """Who was opened last is closed first."""
    events: list[str] = []
    parts = [Part("accounts", events), Part("store", events)]
    service = MailService(Reactor(events), [], parts, shutdown_timeout=1)
    service.startService()
    await service.stopService()
    assert events == ["accounts opened", "store opened", "store closed", "accounts closed"]


@pytest_twisted.ensureDeferred
async def test_a_part_that_cannot_be_opened_ends_the_start(logged_errors: LoggedErrors) -> None:
    """The failure is told before the reactor stops; what was opened is closed."""
    for error in (ConfigurationFault("no file"), OSError("no disk")):
        events: list[str] = []
        parts = [Part("accounts", events), Part("store", events, error), Part("quotas", events)]
        service = MailService(
            Reactor(events),
            [],
            parts,
            shutdown_timeout=1,
            failed=lambda: events.append("failed"),  # noqa: B023 -- called within the loop
        )
        service.startService()
        await service.stopService()
        assert events == ["accounts opened", "failed", "reactor stopped", "accounts closed"]
        assert len(logged_errors.flush()) == 1
