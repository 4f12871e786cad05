"""Who may connect, and how soon they may try another password.

Both guards know peers by `network_of`: an IPv4 address, or the /64 that one IPv6 customer has at
least, so that nobody gets around them by taking another of 2^64 addresses.  A peer on a local
socket (address ``""``) is one of us and is never held up.

Invariants:

- Every admission is given back once, however often `Admission.release` is called.
- The throttle waits before a password is looked at, for right ones and wrong ones alike.
- It never keeps a password, only a digest under a key that dies with the process.
- Its table is bounded, and what is old is forgotten.
"""

from __future__ import annotations

import hmac
import os
from collections import Counter, OrderedDict
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailplat.interfaces.net import IAccountConnections, ILoginThrottle
from mailplat.model.errors import LimitReached

__all__ = ["AccountConnections", "Admission", "ConnectionLimits", "LoginThrottle", "network_of"]

DELAYS = (0.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds to wait after no failure, one, two...; the last one for all further (Dovecot's)."""


def network_of(address: str) -> str:
    """Give what a peer is counted under: its IPv4 address, or its IPv6 /64."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


class Admission:
    """The right to be connected, until it is released."""

    def __init__(self, limits: ConnectionLimits, network: str) -> None:
        self._limits: ConnectionLimits | None = limits
        self._network = network

    def release(self) -> None:
        """The connection is over.  Twice is no error."""
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.count_out(self._network)


class ConnectionLimits:
    """Counts connections; shared by all factories that count together.

    Args:
        total: Connections at a time.
        per_network: Connections of one IPv4 address or IPv6 /64 at a time.
        trusted: Networks (``192.0.2.0/24``) that only ``total`` limits: proxies, webmail.

    Attributes:
        connected: How many connections there are.
    """

    def __init__(
        self, *, total: int = 10_000, per_network: int = 100, trusted: Sequence[str] = ()
    ) -> None:
        self._total = total
        self._per_network = per_network
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(text) for text in trusted]
        self._counts: Counter[str] = Counter()
        self.connected = 0

    def admit(self, address: str) -> Admission | None:
        """Count a connection in; None if there are too many."""
        if self.connected >= self._total:
            return None
        network = network_of(address)
        if self._counts[network] >= self._per_network and not self._trusts(network):
            return None
        self.connected += 1
        self._counts[network] += 1
        return Admission(self, network)

    def count_out(self, network: str) -> None:
        """Count a connection out; for `Admission`."""
        self.connected -= 1
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]

    def _trusts(self, network: str) -> bool:
        if not network:
            return True
        address = ip_address(network.removesuffix("/64"))
        return any(address in trusted for trusted in self._trusted)


@implementer(IAccountConnections)
class AccountConnections:
    """Counts who is logged in how often; shared by all protocols.

    Args:
        per_account: Sessions of one account at a time.
    """

    def __init__(self, per_account: int = 1000) -> None:
        self._per_account = per_account
        self._counts: Counter[str] = Counter()

    def enter(self, account: str) -> None:
        """Count a session in.

        Raises:
            LimitReached: The account has too many; this one was not counted.
        """
        if self._counts[account] >= self._per_account:
            raise LimitReached(
                f"{account} has {self._per_account} connections",
                public="Too many connections of this account",
            )
        self._counts[account] += 1

    def leave(self, account: str) -> None:
        """Count a session out."""
        self._counts[account] -= 1
        if self._counts[account] <= 0:
            del self._counts[account]


class _Failures:
    """What is known of one network."""

    __slots__ = ("count", "digests", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.digests: OrderedDict[bytes, None] = OrderedDict()


@implementer(ILoginThrottle)
class LoginThrottle:
    """Makes each further guess of a network wait longer.

    Args:
        clock: Tells the time, and waits.
        delays: Seconds to wait after 0, 1, 2... failures; the last one for all further.
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
        forget_after: float = 600.0,
        max_networks: int = 100_000,
        max_digests: int = 32,
        key: bytes | None = None,
    ) -> None:
        self._clock = clock
        self._delays = tuple(delays)
        self._forget_after = forget_after
        self._max_networks = max_networks
        self._max_digests = max_digests
        self._key = os.urandom(32) if key is None else key
        self._table: OrderedDict[str, _Failures] = OrderedDict()  # by their last failure

    def delay(self, address: str) -> float:
        """Tell how long this address has to wait before its next try, in seconds."""
        self._forget()
        failures = self._table.get(network_of(address))
        count = 0 if failures is None else failures.count
        return self._delays[min(count, len(self._delays) - 1)]

    async def wait(self, address: str) -> None:
        """Wait `delay` seconds."""
        seconds = self.delay(address)
        if seconds > 0:
            await deferLater(self._clock, seconds)

    def failed(self, address: str, name: str, secret: str) -> None:
        """Count a failure, unless it is the same name and secret as one counted before."""
        network = network_of(address)
        if not network:
            return
        failures = self._table.setdefault(network, _Failures())
        self._table.move_to_end(network)
        failures.last = self._clock.seconds()
        # NUL is in no name: no two pairs give the same text
        text = f"{name.lower()}\0{secret}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, text, "sha256")
        if digest not in failures.digests:
            failures.count += 1
            if len(failures.digests) >= self._max_digests:
                failures.digests.popitem(last=False)
            failures.digests[digest] = None
        if len(self._table) > self._max_networks:
            self._table.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._table.pop(network_of(address), None)

    def _forget(self) -> None:
        """Drop those whose last failure is long ago: they are in front."""
        before = self._clock.seconds() - self._forget_after
        while self._table:
            network, failures = next(iter(self._table.items()))
            if failures.last > before:
                return
            del self._table[network]
