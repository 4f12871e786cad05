"""How soon somebody may try another password: one throttle for all protocols and mechanisms.

Peers are known by `net.limits.network_of`, an IPv4 address or an IPv6 /64.  A peer on a local
socket (address ``""``) is one of us and is never held up.

Invariants:

- The wait is before anything is looked at, for right passwords and wrong ones alike.
- Tries that are not decided yet count as if they failed, once one has failed or more are under way
  than ``at_once``: who guesses on many connections waits no shorter than on one.
- No more than ``max_waiting`` tries of a network wait.
- No password is kept, only a digest under a key that dies with the process.
- The tables are bounded: what is old is forgotten, what is open is bounded by connections.
"""

from __future__ import annotations

import hmac
import os
from collections import Counter, OrderedDict
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailplat.interfaces.net import ILoginAttempt, ILoginIntervals, ILoginThrottle
from mailplat.model.errors import LimitReached, TooSoon
from mailplat.net.limits import network_of

__all__ = ["DELAYS", "LoginAttempt", "LoginIntervals", "LoginThrottle"]

DELAYS = (0.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds to wait after no failure, one, two...; the last one for all further (Dovecot's)."""


class _Failures:
    """What is known of one network."""

    __slots__ = ("count", "digests", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.digests: OrderedDict[bytes, None] = OrderedDict()


@implementer(ILoginAttempt)
class LoginAttempt:
    """One try, from the moment it was let pass; `LoginThrottle.begin` makes it."""

    def __init__(self, throttle: LoginThrottle, network: str) -> None:
        self._throttle: LoginThrottle | None = throttle
        self._of = throttle
        self._network = network

    def failed(self, name: str, secret: str | None) -> None:
        """See `ILoginAttempt.failed`."""
        self._of.failed(self._network, name, secret)

    def succeeded(self) -> None:
        """See `ILoginAttempt.succeeded`."""
        self._of.succeeded(self._network)

    def release(self) -> None:
        """See `ILoginAttempt.release`."""
        throttle, self._throttle = self._throttle, None
        if throttle is not None:
            throttle.count_out(self._network)


@implementer(ILoginThrottle)
class LoginThrottle:
    """Makes each further guess of a network wait longer.

    Args:
        clock: Tells the time, and waits.
        delays: Seconds to wait after 0, 1, 2... failures; the last one for all further.
        at_once: Tries of a network without failures that may be under way and wait for nothing.
        max_waiting: Tries of a network that may wait; one more is turned away.
        forget_after: Seconds after the last failure until a network is forgiven.
        max_networks: Networks that are remembered; beyond it the longest quiet are forgotten.
        max_digests: Different wrong credentials that are remembered of one network.
        key: Keys the digests; random if not given.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        delays: Sequence[float] = DELAYS,
        at_once: int = 20,
        max_waiting: int = 20,
        forget_after: float = 600.0,
        max_networks: int = 100_000,
        max_digests: int = 32,
        key: bytes | None = None,
    ) -> None:
        self._clock = clock
        self._delays = tuple(delays)
        self._at_once = at_once
        self._max_waiting = max_waiting
        self._forget_after = forget_after
        self._max_networks = max_networks
        self._max_digests = max_digests
        self._key = os.urandom(32) if key is None else key
        self._table: OrderedDict[str, _Failures] = OrderedDict()  # by their last failure
        self._open: Counter[str] = Counter()  # tries that are not decided
        self._waiting: Counter[str] = Counter()  # those of them that were not let pass yet

    def delay(self, address: str) -> float:
        """See `ILoginThrottle.delay`."""
        network = network_of(address)
        if not network:
            return 0.0
        self._forget()
        failures, under_way = self._table.get(network), self._open[network]
        count = (
            max(0, under_way + 1 - self._at_once)
            if failures is None
            else failures.count + under_way
        )
        return self._delays[min(count, len(self._delays) - 1)]

    async def begin(self, address: str) -> LoginAttempt:
        """See `ILoginThrottle.begin`."""
        network = network_of(address)
        seconds = self.delay(address)
        if seconds > 0 and self._waiting[network] >= self._max_waiting:
            raise LimitReached(
                f"{self._max_waiting} log-ins of {network} wait already",
                public="Too many log-ins; please try again later",
            )
        self._open[network] += 1
        if seconds > 0:
            self._waiting[network] += 1
            try:
                await deferLater(self._clock, seconds)
            except BaseException:
                self.count_out(network)
                raise
            finally:
                _count_down(self._waiting, network)
        return LoginAttempt(self, network)

    def count_out(self, network: str) -> None:
        """A try is decided, or given up; for `LoginAttempt`."""
        _count_down(self._open, network)

    def failed(self, network: str, name: str, secret: str | None) -> None:
        """Count a failure; for `LoginAttempt`."""
        if not network:
            return
        failures = self._table.setdefault(network, _Failures())
        self._table.move_to_end(network)
        failures.last = self._clock.seconds()
        if secret is None:
            failures.count += 1
        else:
            self._count_digest(failures, name, secret)
        if len(self._table) > self._max_networks:
            self._table.popitem(last=False)

    def _count_digest(self, failures: _Failures, name: str, secret: str) -> None:
        # NUL is in no name: no two pairs give the same text
        text = f"{name.lower()}\0{secret}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, text, "sha256")
        if digest in failures.digests:
            return
        failures.count += 1
        if len(failures.digests) >= self._max_digests:
            failures.digests.popitem(last=False)
        failures.digests[digest] = None

    def succeeded(self, network: str) -> None:
        """Forget the failures of a network; for `LoginAttempt`."""
        self._table.pop(network, None)

    def _forget(self) -> None:
        """Drop those whose last failure is long ago: they are in front."""
        before = self._clock.seconds() - self._forget_after
        while self._table:
            network, failures = next(iter(self._table.items()))
            if failures.last > before:
                return
            del self._table[network]


def _count_down(counts: Counter[str], network: str) -> None:
    counts[network] -= 1
    if counts[network] <= 0:
        del counts[network]


@implementer(ILoginIntervals)
class LoginIntervals:
    """Asks for some time between two log-ins of an account (RFC 2449 §6.5).

    Args:
        clock: Tells the time.
        interval: Seconds from one log-in to the next; 0 asks for nothing.
    """

    def __init__(self, clock: IReactorTime, interval: float) -> None:
        self._clock = clock
        self._interval = interval
        self._last: OrderedDict[str, float] = OrderedDict()  # oldest in front

    def check(self, account: str) -> None:
        """See `ILoginIntervals.check`."""
        before = self._clock.seconds() - self._interval
        while self._last:
            oldest = next(iter(self._last))
            if self._last[oldest] > before:
                break
            del self._last[oldest]
        if account in self._last:
            raise TooSoon(f"{account} logged in less than {self._interval:g} s ago")

    def note(self, account: str) -> None:
        """See `ILoginIntervals.note`."""
        if self._interval > 0:
            self._last[account] = self._clock.seconds()
            self._last.move_to_end(account)
