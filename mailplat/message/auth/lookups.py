"""What the checks of authentication ask the DNS, whoever answers.

An empty answer stands for a name that is not there and for one without such records alike.
Each question raises `Unavailable` where the DNS gives no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Lookups", "ascii_domain"]


class Lookups(Protocol):
    """Asks the DNS; names are given and taken without the last dot."""

    async def txt(self, name: str) -> Sequence[bytes]:
        """Give each TXT record, its strings joined."""

    async def addresses(self, name: str, version: int) -> Sequence[str]:
        """Give the addresses of A (version 4) or AAAA (version 6)."""

    async def mx(self, name: str) -> Sequence[str]:
        """Give the hosts that MX names, the preferred first."""

    async def ptr(self, address: str) -> Sequence[str]:
        """Give the names that PTR gives an IP address."""


def ascii_domain(domain: str) -> str | None:
    """Give a domain as the DNS spells it, in lower case; None if it cannot be a mail domain.

    Names have two labels at least, of 63 bytes at most (RFC 1035 §2.3.4, RFC 7208 §4.3).
    """
    if len(domain) > 255:
        return None
    name = domain.removesuffix(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(0 < len(one) <= 63 for one in labels):
        return None
    return name
