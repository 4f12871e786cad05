"""What the checks of authentication ask, answered by the resolver."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.interfaces.resolver import IResolver

__all__ = ["ResolverLookups"]


class ResolverLookups:
    """Asks a resolver (the shape is `mailplat.message.auth.lookups.Lookups`).

    Args:
        resolver: The resolver.
    """

    def __init__(self, resolver: IResolver) -> None:
        self._resolver = resolver

    async def txt(self, name: str) -> Sequence[bytes]:
        """See `Lookups.txt`."""
        return (await self._resolver.txt(name)).records

    async def addresses(self, name: str, version: int) -> Sequence[str]:
        """See `Lookups.addresses`."""
        if version == 4:
            return (await self._resolver.a(name)).records
        return (await self._resolver.aaaa(name)).records

    async def mx(self, name: str) -> Sequence[str]:
        """See `Lookups.mx`."""
        found = sorted((await self._resolver.mx(name)).records, key=lambda one: one.preference)
        return [one.host for one in found if one.host]

    async def ptr(self, address: str) -> Sequence[str]:
        """See `Lookups.ptr`."""
        return (await self._resolver.ptr(address)).records

    async def exists(self, name: str) -> bool:
        """Tell whether a name has addresses or mail exchangers (RFC 9091 §2)."""
        for ask in (self._resolver.a, self._resolver.aaaa, self._resolver.mx):
            if (await ask(name)).records:
                return True
        return False
