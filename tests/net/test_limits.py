"""Tests for `mailplat.net.limits`."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailplat.interfaces.net import ILoginIntervals, ILoginThrottle
from mailplat.model.errors import LimitReached, TooSoon
from mailplat.net.limits import AccountConnections, ConnectionLimits, network_of, prefix_of
from mailplat.net.rates import Rates
from mailplat.net.throttle import LoginIntervals, LoginThrottle


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_peers_are_counted_by_network(address: str, network: str) -> None:
    """A customer's whole IPv6 /64 counts as one; IPv4 counts by address, however it came."""
    assert network_of(address) == network


def test_connections_of_one_network_are_limited() -> None:
    """Only so many connections of a network at a time; what is released is free again."""
    limits = ConnectionLimits(per_network=2)
    first = limits.admit("2001:db8::1")
    assert first is not None
    assert limits.admit("2001:db8::2") is not None
    assert limits.admit("2001:db8::3") is None
    assert limits.admit("192.0.2.1") is not None
    first.release()
    first.release()
    assert limits.connected == 2
    assert limits.admit("2001:db8::3") is not None
    assert limits.admit("2001:db8::4") is None


def test_connections_are_limited_in_total() -> None:
    """Nobody is admitted beyond the total, trusted or not."""
    limits = ConnectionLimits(total=1, trusted=["192.0.2.0/24"])
    admission = limits.admit("192.0.2.1")
    assert admission is not None
    assert limits.admit("192.0.2.2") is None
    assert limits.admit("") is None
    admission.release()
    assert limits.admit("") is not None


def test_trusted_networks_have_the_total_alone() -> None:
    """A proxy or a webmail server may open as many as there are."""
    limits = ConnectionLimits(per_network=1, trusted=["192.0.2.0/24", "2001:db8::/32"])
    for address in ("192.0.2.9", "2001:db8::9", ""):
        assert all(limits.admit(address) is not None for _ in range(3))
    assert limits.admit("198.51.100.1") is not None
    assert limits.admit("198.51.100.1") is None


def test_each_failure_waits_longer() -> None:
    """The delays grow with the failures up to the last one, and success forgets them."""
    throttle = LoginThrottle(Clock())
    verifyObject(ILoginThrottle, throttle)
    seen = []
    for guess in range(6):
        seen.append(throttle.delay("192.0.2.1"))
        throttle.failed("192.0.2.1", "alice", f"guess {guess}")
    assert seen == [0, 2, 4, 8, 15, 15]
    assert throttle.delay("192.0.2.2") == 0
    throttle.succeeded("192.0.2.1")
    assert throttle.delay("192.0.2.1") == 0


def test_the_same_wrong_password_counts_once() -> None:
    """A device with an old password is not locked out for trying it again."""
    throttle = LoginThrottle(Clock(), max_digests=2)
    for _ in range(5):
        throttle.failed("192.0.2.1", "alice", "old")
        throttle.failed("192.0.2.1", "ALICE", "old")
    assert throttle.delay("192.0.2.1") == 2
    throttle.failed("192.0.2.1", "bob", "old")
    throttle.failed("192.0.2.1", "alice", "other")  # only so many are remembered: one is forgotten
    throttle.failed("192.0.2.1", "alice", "old")
    assert throttle.delay("192.0.2.1") == 15


def test_failures_of_a_64_add_up() -> None:
    """Another address of the same /64 has to wait as well."""
    throttle = LoginThrottle(Clock())
    throttle.failed(network_of("2001:db8::1"), "alice", "a")
    assert throttle.delay("2001:db8::2") == 2


def test_failures_are_forgotten() -> None:
    """A network that was quiet for long is forgiven; each failure begins the time again."""
    clock = Clock()
    throttle = LoginThrottle(clock, forget_after=100)
    throttle.failed("192.0.2.1", "alice", "a")
    throttle.failed("192.0.2.2", "alice", "a")
    clock.advance(60)
    throttle.failed("192.0.2.1", "alice", "b")
    clock.advance(60)
    assert throttle.delay("192.0.2.1") == 4
    assert throttle.delay("192.0.2.2") == 0
    clock.advance(60)
    assert throttle.delay("192.0.2.1") == 0


def test_the_table_is_bounded() -> None:
    """Beyond the limit the network that was quiet longest is forgotten."""
    throttle = LoginThrottle(Clock(), max_networks=2)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        throttle.failed(address, "alice", "a")
    assert [throttle.delay(f"192.0.2.{i}") for i in (1, 2, 3)] == [2, 0, 2]


def test_local_peers_are_never_held_up() -> None:
    """A local socket is one of us."""
    throttle = LoginThrottle(Clock())
    throttle.failed("", "alice", "a")
    assert throttle.delay("") == 0


@pytest_twisted.ensureDeferred
async def test_waiting_takes_the_delay() -> None:
    """Who failed waits by the clock; who did not goes on at once; who leaves waits no more."""
    clock = Clock()
    throttle = LoginThrottle(clock)
    attempt = await throttle.begin("192.0.2.1")
    attempt.failed("alice", "a")
    attempt.release()
    attempt.release()
    waiting = Deferred.fromCoroutine(throttle.begin("192.0.2.1"))
    clock.advance(1)
    assert not waiting.called
    clock.advance(1)
    (await waiting).release()
    waiting = Deferred.fromCoroutine(throttle.begin("192.0.2.1"))
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    assert clock.getDelayedCalls() == []
    assert throttle.delay("192.0.2.1") == 2


@pytest_twisted.ensureDeferred
async def test_tries_that_wait_count() -> None:
    """Who guesses on many connections at once waits as long as who guesses on one."""
    clock = Clock()
    throttle = LoginThrottle(clock, at_once=2, max_waiting=3)
    attempts = [await throttle.begin("192.0.2.1") for _ in range(2)]
    waiting = [Deferred.fromCoroutine(throttle.begin("192.0.2.1")) for _ in range(3)]
    assert [round(call.getTime()) for call in clock.getDelayedCalls()] == [2, 4, 8]
    with pytest.raises(LimitReached):
        await throttle.begin("192.0.2.1")
    (await throttle.begin("192.0.2.2")).release()  # others are not held up
    attempts[0].failed("alice", "a")
    for attempt in attempts:
        attempt.release()
    assert throttle.delay("192.0.2.1") == 15  # one failed, three wait
    clock.advance(8)
    for one in waiting:
        (await one).release()
    assert throttle.delay("192.0.2.1") == 2
    assert not throttle._open
    assert not throttle._waiting


def test_what_cannot_be_told_apart_counts_each_time() -> None:
    """A SCRAM proof is never the same twice: each wrong one is a guess."""
    throttle = LoginThrottle(Clock())
    for _ in range(2):
        throttle.failed("192.0.2.1", "alice", None)
    assert throttle.delay("192.0.2.1") == 4


def test_intervals_between_log_ins() -> None:
    """An account that comes back too soon is refused, and does not push its time on by that."""
    clock = Clock()
    intervals = LoginIntervals(clock, 60)
    verifyObject(ILoginIntervals, intervals)
    for name in ("alice", "bob"):
        intervals.check(name)
        intervals.note(name)
    clock.advance(59)
    with pytest.raises(TooSoon):
        intervals.check("alice")
    clock.advance(1)
    intervals.check("alice")
    intervals.note("alice")
    assert list(intervals._last) == ["alice"]
    never = LoginIntervals(clock, 0)
    never.note("alice")
    never.check("alice")


def test_no_password_is_kept() -> None:
    """Nothing that the throttle remembers holds the password or an unkeyed digest of it."""
    one, two = LoginThrottle(Clock(), key=b"1"), LoginThrottle(Clock(), key=b"2")
    for throttle in (one, two):
        throttle.failed("192.0.2.1", "alice", "secret-word")
    kept = [list(throttle._table["192.0.2.1"].digests) for throttle in (one, two)]
    assert kept[0] != kept[1]
    assert b"secret-word" not in b"".join(kept[0])


def test_sessions_of_an_account_are_counted() -> None:
    """An account has so many sessions and no more; what it leaves it may have again."""
    logins = AccountConnections(2)
    logins.enter("alice")
    logins.enter("alice")
    logins.enter("bob")
    with pytest.raises(LimitReached):
        logins.enter("alice")
    logins.leave("alice")
    logins.enter("alice")


def test_prefixes_and_rates() -> None:
    """A /24 or a /48 has limits of its own, and connecting often is limited too."""
    limits = ConnectionLimits(per_network=2, per_prefix=3)
    first = [limits.admit(f"192.0.2.{n}") for n in (1, 1, 1, 2, 3)]
    assert [one is not None for one in first] == [True, True, False, True, False]
    assert limits.admit("192.0.3.1") is not None
    assert [limits.admit(f"2001:db8:1:{n}::1") is not None for n in range(4)] == [True] * 3 + [
        False
    ]
    now = [0.0]
    limits = ConnectionLimits(
        rates=Rates(lambda: now[0], 2, 60.0),
        prefix_rates=Rates(lambda: now[0], 3, 60.0),
        trusted=["198.51.100.0/24"],
    )
    admitted = [limits.admit(f"192.0.2.{n}") is not None for n in (1, 1, 1, 2, 2, 3)]
    assert admitted == [True, True, False, True, False, False]
    assert all(limits.admit("198.51.100.7") for _ in range(9))
    assert all(limits.admit("") for _ in range(9))
    now[0] = 60.0
    assert limits.admit("192.0.2.1") is not None
    assert prefix_of("") == ""


def test_an_admission_moves() -> None:
    """Who turns out to be another is counted as that one, and not as both."""
    limits = ConnectionLimits(per_network=1, per_prefix=5)
    proxied, other = limits.admit("192.0.2.1"), limits.admit("192.0.2.2")
    assert proxied is not None
    assert other is not None
    assert not proxied.move("192.0.2.2")
    assert proxied.move("203.0.113.1")
    assert limits.connected == 2
    assert limits.admit("203.0.113.1") is None
    again = limits.admit("192.0.2.1")
    assert again is not None
    for one in (proxied, other, again):
        one.release()
    assert limits.connected == 0
    assert limits._counts == {}
