"""Tests for `mailplat.net.rates` and `mailplat.net.networks`."""

from __future__ import annotations

from mailplat.net.networks import Networks
from mailplat.net.rates import Rates


def test_an_allowance_comes_back_evenly() -> None:
    """All of it at once, then one after the other; names do not share it."""
    now = [0.0]
    rates = Rates(lambda: now[0], 10, 60.0)
    assert [rates.take("a") for _ in range(11)] == [True] * 10 + [False]
    assert rates.take("b", 10)
    assert not rates.take("b")
    now[0] = 5.9
    assert not rates.take("a")
    now[0] = 6.0
    assert rates.allows("a")
    assert rates.take("a")
    assert not rates.take("a")
    now[0] = 66.0
    assert not rates.take("a", 11)
    assert rates.take("a", 10)


def test_no_limit_keeps_nothing_and_the_table_is_bounded() -> None:
    """Without a limit everything passes; the name used longest ago is forgotten first."""
    assert Rates(lambda: 0.0, None, 60.0).take("a", 10**9)
    rates = Rates(lambda: 0.0, 1, 60.0, entries=2)
    assert all(rates.take(name) for name in "abc")
    assert rates.take("a")
    assert not rates.take("c")


def test_networks() -> None:
    """An address alone is a network of one; local sockets are in every set but the empty one."""
    some = Networks(["192.0.2.0/24", "2001:db8::1", "10.0.0.1/8"])
    assert "192.0.2.77" in some
    assert "2001:db8::1" in some
    assert "10.9.9.9" in some
    assert "" in some
    assert "2001:db8::2" not in some
    assert "mail.example" not in some
    assert "192.0.2.77" not in Networks()
    assert "" not in Networks()
    assert some
    assert not Networks()
