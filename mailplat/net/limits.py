"""Who may connect, and how often.

Guards know peers by `network_of`: an IPv4 address, or the /64 that one IPv6 customer has at
least, so that nobody gets around them by taking another of 2^64 addresses.  A peer on a local
socket (address ``""``) is one of us and is never held up.

Invariants:

- Every admission is given back once, however often `Admission.release` is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network

from zope.interface import implementer

from mailplat.interfaces.net import IAccountConnections
from mailplat.model.errors import LimitReached
from mailplat.net.networks import Networks
from mailplat.net.rates import Rates

__all__ = ["AccountConnections", "Admission", "ConnectionLimits", "network_of", "prefix_of"]


def network_of(address: str) -> str:
    """Give what a peer is counted under: its IPv4 address, or its IPv6 /64."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def prefix_of(address: str) -> str:
    """Give what a peer's neighbours are counted under: its IPv4 /24, or its IPv6 /48."""
    network = network_of(address).removesuffix("/64")
    if not network:
        return ""
    return str(ip_network(f"{network}/{48 if ':' in network else 24}", strict=False))


class Admission:
    """The right to be connected, until it is released."""

    def __init__(self, limits: ConnectionLimits, names: Sequence[str]) -> None:
        self._limits: ConnectionLimits | None = limits
        self._names = names

    def move(self, address: str) -> bool:
        """Count the connection under another address; False, if that has too many."""
        assert self._limits is not None
        names = self._limits.enter(address)
        if names is None:
            return False
        self._limits.leave(self._names)
        self._names = names
        return True

    def release(self) -> None:
        """The connection is over.  Twice is no error."""
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.leave(self._names)


class ConnectionLimits:
    """Counts connections; shared by all factories that count together.

    Args:
        total: Connections at a time.
        per_network: Connections of one IPv4 address or IPv6 /64 at a time.
        per_prefix: Connections of one IPv4 /24 or IPv6 /48 at a time; None for any number.
        rates: How often a network may connect; None for any number.
        prefix_rates: How often a prefix may connect.
        trusted: Networks (``192.0.2.0/24``) that only ``total`` limits: proxies, webmail.

    Attributes:
        connected: How many connections there are.
    """

    def __init__(
        self,
        *,
        total: int = 10_000,
        per_network: int = 100,
        per_prefix: int | None = None,
        rates: Rates | None = None,
        prefix_rates: Rates | None = None,
        trusted: Sequence[str] = (),
    ) -> None:
        self._total = total
        self._per_network = per_network
        self._per_prefix = per_prefix
        self._rates = rates
        self._prefix_rates = prefix_rates
        self._trusted = Networks(trusted)
        self._counts: Counter[str] = Counter()
        self.connected = 0

    def admit(self, address: str) -> Admission | None:
        """Count a connection in; None if there are too many, or they come too fast."""
        names = None if self.connected >= self._total else self.enter(address)
        return None if names is None else Admission(self, names)

    def enter(self, address: str) -> Sequence[str] | None:
        """Count an address in, for `Admission`; None if it may not."""
        network = network_of(address)
        names = (network, prefix_of(address)) if self._per_prefix is not None else (network,)
        if network and address not in self._trusted and not self._allows(names, address):
            return None
        self.connected += 1
        self._counts.update(names)
        return names

    def _allows(self, names: Sequence[str], address: str) -> bool:
        bounds = (self._per_network, self._per_prefix)
        for name, bound in zip(names, bounds, strict=False):
            if bound is not None and self._counts[name] >= bound:
                return False
        prefix = prefix_of(address) if self._prefix_rates is not None else ""
        if self._prefix_rates is not None and not self._prefix_rates.allows(prefix):
            return False
        if self._rates is not None and not self._rates.take(names[0]):
            return False
        return self._prefix_rates is None or self._prefix_rates.take(prefix)

    def leave(self, names: Sequence[str]) -> None:
        """Count a connection out; for `Admission`."""
        self.connected -= 1
        for name in names:
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]


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
