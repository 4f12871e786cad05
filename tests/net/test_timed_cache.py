"""Tests for `mailplat.net.timed_cache`."""

from __future__ import annotations

from twisted.internet.task import Clock

from mailplat.net.timed_cache import TimedCache


def test_values_expire_and_leave_in_order() -> None:
    """A value is kept for its time; beyond the bounds the least recently used goes first."""
    clock = Clock()
    cache: TimedCache[str, int] = TimedCache(clock.seconds, entries=2, total=10)
    cache.keep("a", 1, 5)
    cache.keep("b", 2, 50)
    assert cache.find("a") == 1
    cache.keep("c", 3, 50)
    assert (cache.find("a"), cache.find("b"), cache.find("c")) == (1, None, 3)
    clock.advance(5)
    assert (cache.find("a"), len(cache)) == (None, 1)
    cache.keep("big", 4, 50, 9)
    cache.keep("big", 5, 50, 10)
    assert (cache.find("big"), cache.find("c")) == (5, None)
    cache.keep("huge", 6, 50, 11)
    cache.keep("gone", 7, 0)
    cache.forget("nobody")
    assert (cache.find("huge"), cache.find("gone"), cache.find("big")) == (None, None, 5)
