"""Tests for `mailplat.filters.breaker`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailplat.filters.breaker import Breaker


def test_opens_after_failures_in_a_row() -> None:
    """Two failures, an answer, and three failures: only three in a row open it."""
    breaker = Breaker(3, 10)
    assert [breaker.failed(0), breaker.failed(0), breaker.answered()] == [False, False, False]
    assert [breaker.failed(1), breaker.failed(1), breaker.failed(1)] == [False, False, True]
    assert not breaker.allows(10.9)


def test_one_probe_decides() -> None:
    """After its rest one question goes through; it closes the breaker, or opens it again."""
    breaker = Breaker(1, 10)
    assert breaker.allows(0)
    assert breaker.failed(0)
    assert breaker.allows(10)
    assert not breaker.allows(10)
    assert breaker.failed(10)
    assert not breaker.allows(19)
    assert breaker.allows(20)
    breaker.dropped()  # nobody waited for that one
    assert breaker.allows(20)
    assert breaker.answered()
    assert breaker.allows(20)
    assert not breaker.is_open


def test_none_never_opens() -> None:
    """With no number of failures it is always closed."""
    breaker = Breaker()
    assert not any(breaker.failed(0) for _ in range(1000))
    assert breaker.allows(0)


@given(st.lists(st.tuples(st.sampled_from(["ask", "ok", "fail", "drop"]), st.integers(0, 5))))
def test_open_has_one_question_at_most(steps: list[tuple[str, int]]) -> None:
    """Whatever happens: an open breaker lets one question through at a time."""
    breaker, now, probes = Breaker(2, 3), 0, 0
    for step, passed in steps:
        now += passed
        if step == "ask":
            was_open = breaker.is_open
            if breaker.allows(now) and was_open:
                probes += 1
        elif step == "ok":
            breaker.answered()
            probes = 0
        elif step == "fail":
            breaker.failed(now)
            probes = 0
        else:
            breaker.dropped()
            probes = 0
        assert probes <= 1
