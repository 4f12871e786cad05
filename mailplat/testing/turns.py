"""Small things that asynchronous tests need: start, wait, give the others a turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorFromThreads

__all__ = ["all_of", "outcomes_of", "started", "turn", "until", "wait_for"]

T = TypeVar("T")


def started(awaitable: Awaitable[T]) -> Deferred[T]:
    """Start something, as far as it goes by itself."""

    async def run() -> T:
        return await awaitable

    return Deferred.fromCoroutine(run())


def wait_for(awaitable: Awaitable[T]) -> T:
    """Wait in a fixture; the reactor runs meanwhile.  A test awaits instead."""
    result: T = pytest_twisted.blockon(started(awaitable))
    return result


async def outcomes_of(awaitables: Iterable[Awaitable[Any]]) -> list[Any]:
    """Start all, in order, wait for all, and give for each its result or its exception."""
    waiting = [started(awaitable) for awaitable in awaitables]
    results = await DeferredList(waiting, consumeErrors=True)
    return [result if good else result.value for good, result in results]


async def all_of(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """Start all, in order, wait for all, and give their results; raise the first exception."""
    outcomes = await outcomes_of(awaitables)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


async def turn() -> None:
    """Wait until the reactor has had a turn, with what other threads asked of it."""
    later: Deferred[None] = Deferred()
    IReactorFromThreads(reactor).callFromThread(later.callback, None)
    await later


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds, looking again each turn of the reactor.

    Raises:
        AssertionError: It did not come to hold in time.
    """
    end = reactor.seconds() + seconds
    while not holds():
        assert reactor.seconds() < end, "what was waited for did not happen"
        await turn()
