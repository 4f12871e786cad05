"""A pytest plugin that fails a test for what it leaves behind in Twisted.

pytest-twisted runs one reactor for all tests and looks at nothing but the test's own result.  With
this plugin a test also fails for an error that a Deferred swallowed or that was logged, and for
delayed calls that are still waiting::

    pytest_plugins = ["mailplat.testing.strict"]

A test that expects errors takes the fixture ``logged_errors`` and calls ``flush()``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["LoggedErrors", "logged_errors", "nothing_left_behind"]

# so that a contract's failed assertion tells its values, as one in a test module does
pytest.register_assert_rewrite(
    "mailplat.testing.accounts",
    "mailplat.testing.agents",
    "mailplat.testing.blobs",
    "mailplat.testing.bodies",
    "mailplat.testing.routes",
    "mailplat.testing.store_contract",
)


@implementer(ILogObserver)
class LoggedErrors:
    """Failures and error events that were logged while a test ran."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Observe one log event."""
        if event.get("log_failure") is not None or event.get("log_level") in (
            LogLevel.error,
            LogLevel.critical,
        ):
            self._events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[LogEvent]:
        """Take the events out that carry one of these exceptions; without kinds, all."""
        gc.collect()  # a Deferred logs its unhandled error only when it is collected
        taken = [event for event in self._events if not kinds or _carries(event, kinds)]
        self._events = [event for event in self._events if event not in taken]
        return taken


def _carries(event: LogEvent, kinds: tuple[type[BaseException], ...]) -> bool:
    failure = event.get("log_failure")
    return isinstance(failure, Failure) and failure.check(*kinds) is not None


def _describe(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return failure.getTraceback() if isinstance(failure, Failure) else str(event.get("log_format"))


@pytest.fixture
def logged_errors() -> Iterator[LoggedErrors]:
    """The errors logged during the test; those not flushed at its end fail it."""
    errors = LoggedErrors()
    globalLogPublisher.addObserver(errors)
    yield errors
    globalLogPublisher.removeObserver(errors)


@pytest.fixture(autouse=True)
def nothing_left_behind(logged_errors: LoggedErrors) -> Iterator[None]:
    """Fail the test for errors logged or swallowed, and for delayed calls left waiting."""
    from twisted.internet import reactor
    from twisted.internet.interfaces import IReactorTime

    clock = IReactorTime(reactor)
    before = set(map(id, clock.getDelayedCalls()))
    # what is there before a test is none of its doing: spare the collector to look at it again
    gc.freeze()
    yield
    left = [call for call in clock.getDelayedCalls() if id(call) not in before]
    for call in left:
        call.cancel()
    errors = logged_errors.flush()
    if errors:
        pytest.fail("errors were logged:\n" + "\n".join(map(_describe, errors)))
    if left:
        pytest.fail(f"delayed calls left behind: {left}")
