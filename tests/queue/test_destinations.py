"""Tests for `mailplat.queue.destinations`."""

from __future__ import annotations

import pytest

from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.outcome import Bounced, Deferred, Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.queue.destinations import Window, unreachable


def test_grows_with_each_success_to_its_limit() -> None:
    """A good destination gets more and more at once."""
    window = Window(5, 8)
    sizes = []
    for _ in range(5):
        assert not window.reached()
        sizes.append(window.size)
    assert sizes == [6, 7, 8, 8, 8]


def test_dies_when_a_window_failed_in_a_row() -> None:
    """A few failures shrink the window; a whole window of them is the end, told once."""
    window = Window(5, 20)
    assert [window.missed() for _ in range(4)] == [False, False, False, True]  # 1/5 1/4 1/3 1/2
    assert (window.dead, window.failures) == (True, 1)
    assert not window.missed()


def test_success_between_failures_keeps_it_alive() -> None:
    """Only failures in a row count."""
    window = Window(5, 20)
    for _ in range(50):
        assert not window.missed()
        window.reached()
    assert not window.dead


def test_a_dead_one_is_asked_carefully() -> None:
    """After its rest one attempt decides: dead again, or open as at first."""
    window = Window(5, 20, failures=3)
    assert window.size == 1
    assert window.missed()
    assert window.failures == 4
    window = Window(5, 20, failures=3)
    assert window.reached()
    assert (window.size, window.failures) == (6, 0)
    assert not window.reached()


def deferred(code: int, status: str) -> Deferred:
    """Make an outcome."""
    return Deferred(Reply.of(code, "x", status))


@pytest.mark.parametrize(
    ("outcomes", "missed"),
    [
        ([deferred(451, "4.4.1")], True),
        ([deferred(421, "4.7.0")], True),
        ([deferred(450, "4.3.2"), deferred(451, "4.4.2")], True),
        ([deferred(451, "4.7.1")], False),
        ([deferred(451, "4.4.1"), deferred(450, "4.2.1")], False),
        ([deferred(451, "4.4.1"), Delivered("x")], False),
        ([Bounced(Reply.of(550, "x", "5.4.4"))], False),
    ],
)
def test_what_counts_as_not_reached(outcomes: list[Outcome], missed: bool) -> None:
    """A host that answers about a recipient was reached."""
    found = {Recipient(Address(str(n), "x.example")): one for n, one in enumerate(outcomes)}
    assert (unreachable(found) is not None) is missed
