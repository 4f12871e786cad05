"""Runs one piece of asynchronous work from the command line, on a reactor of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["run"]

T = TypeVar("T")


def run(work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end; a process can do that once.

    Args:
        work: Takes the reactor.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    outcomes: list[T | Failure] = []

    def begin() -> None:
        Deferred.fromCoroutine(work(reactor)).addBoth(end)

    def end(outcome: T | Failure) -> None:
        outcomes.append(outcome)
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    (outcome,) = outcomes or [Failure(KeyboardInterrupt())]  # stopped by a signal
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome
