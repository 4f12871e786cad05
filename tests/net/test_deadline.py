"""Tests for `mailplat.net.deadline`."""

from __future__ import annotations

from twisted.internet.task import Clock

from mailplat.net.deadline import Deadline


def test_expires_at_the_last_moment_set() -> None:
    """Moved later, earlier, off and on: it expires once, when it was last told to."""
    clock, expired = Clock(), list[float]()
    deadline = Deadline(clock, lambda: expired.append(clock.seconds()))
    deadline.move(10)
    deadline.move(20)
    clock.pump([1] * 19)
    assert expired == []
    clock.advance(1)
    assert expired == [20]
    deadline.move(100)
    deadline.move(30)
    clock.advance(10)
    assert expired == [20, 30]
    deadline.move(40)
    deadline.move(None)
    clock.advance(50)
    assert expired == [20, 30]
    assert clock.getDelayedCalls() == []


def test_moving_later_leaves_the_delayed_call_alone() -> None:
    """A deadline that is moved with every command keeps one delayed call."""
    clock = Clock()
    deadline = Deadline(clock, lambda: None)
    deadline.move(10)
    (call,) = clock.getDelayedCalls()
    for when in range(11, 100):
        deadline.move(when)
    assert clock.getDelayedCalls() == [call]
    assert call.getTime() == 10
    deadline.stop()
    deadline.stop()
    assert clock.getDelayedCalls() == []


def test_a_moment_that_passed_expires_soon() -> None:
    """A deadline in the past expires in the next reactor turn."""
    clock, expired = Clock(), list[int]()
    clock.advance(50)
    deadline = Deadline(clock, lambda: expired.append(1))
    deadline.move(10)
    assert expired == []
    clock.advance(0)
    assert expired == [1]
