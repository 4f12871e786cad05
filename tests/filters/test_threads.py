"""Tests for `mailplat.filters.threads`: who blocks, blocks threads of his own."""

from __future__ import annotations

import threading

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from mailplat.filters.threads import FilterThreads
from mailplat.model.errors import Unavailable


def raises() -> None:
    """Do what no filter should."""
    raise SystemExit(1)


@pytest_twisted.ensureDeferred
async def test_does_it_in_a_thread() -> None:
    """What is given comes back, and so does what is raised, were it an exit."""
    pool = FilterThreads(reactor, threads=1)
    assert await pool.call(object(), threading.get_ident) != threading.get_ident()
    with pytest.raises(SystemExit):
        await pool.call(object(), raises)
    assert await pool.call(object(), lambda: 3) == 3
    await pool.close()


@pytest_twisted.ensureDeferred
async def test_bounds_threads() -> None:
    """No more calls than threads run at once; the others wait, and are made in their order."""
    pool, gate, running = FilterThreads(reactor, threads=2), threading.Event(), []

    def work() -> int:
        running.append(threading.get_ident())
        gate.wait(5)
        return len(running)

    calls = [pool.call(object(), work) for _ in range(6)]
    gate.set()
    found = await gatherResults(calls)
    assert len(set(running)) <= 2
    assert len(found) == 6
    await pool.close()


@pytest_twisted.ensureDeferred
async def test_abandons() -> None:
    """A thread that does not return is counted, and others go on; in the end nothing is asked."""
    pool, gate = FilterThreads(reactor, threads=1, abandoned=1), threading.Event()
    owners = [object(), object()]
    stuck = [pool.call(owner, gate.wait) for owner in owners]
    for number, one in enumerate(stuck):
        one.addErrback(lambda failure: failure.trap(CancelledError))
        one.cancel()
        assert pool.abandoned == number + 1
    with pytest.raises(Unavailable):
        await pool.call(object(), lambda: 1)
    with pytest.raises(Unavailable):  # one call of an owner at a time
        await pool.call(owners[0], lambda: 1)
    gate.set()
    while pool.abandoned:
        tick: Deferred[None] = Deferred()
        reactor.callLater(0.001, tick.callback, None)
        await tick
    assert await pool.call(owners[0], lambda: 1) == 1
    await pool.close()


@pytest_twisted.ensureDeferred
async def test_waits_no_longer_than_wanted() -> None:
    """A call that waits for a thread is taken out of the line; the line is bounded."""
    pool, gate = FilterThreads(reactor, threads=1, waiting=1), threading.Event()
    first = pool.call(object(), gate.wait)
    second = pool.call(object(), lambda: 2)
    with pytest.raises(Unavailable):
        await pool.call(object(), lambda: 3)
    second.addErrback(lambda failure: failure.trap(CancelledError))
    second.cancel()
    assert pool.abandoned == 0
    third = pool.call(object(), lambda: 3)
    gate.set()
    assert await first is True
    assert await third == 3
    await pool.close()
