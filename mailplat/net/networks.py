"""Sets of networks: who is trusted with what."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

__all__ = ["Networks"]


class Networks:
    """Some networks, ``192.0.2.0/24`` and ``2001:db8::/32``, as one set of addresses.

    Args:
        networks: Their spellings; an address alone is a network of one.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(text, strict=False) for text in networks
        )
        self._holds = lru_cache(4096)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        """Whether an address is in one of them.

        A peer on a local socket (``""``) is one of us: it is in every set that is not empty.
        """
        return bool(self._networks) and (address == "" or self._holds(str(address)))

    def _look(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
