"""Whether a client's name leads back to its address (RFC 8601 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from mailplat.message.auth.lookups import Lookups
from mailplat.message.auth.result import Finding, Result
from mailplat.model.errors import Unavailable

__all__ = ["check_reverse", "confirmed_name"]

_MOST_NAMES = 10


async def check_reverse(address: str, lookups: Lookups) -> Finding:
    """Ask for the names of an address, and for the addresses of those names."""
    result, reason = Result.FAIL, "no name leads back to the address"
    try:
        names = await lookups.ptr(address)
        if not names:
            result, reason = Result.PERMERROR, "the address has no name"
        elif await _leading_back(names, address, lookups):
            result, reason = Result.PASS, ""
    except Unavailable:
        result, reason = Result.TEMPERROR, "the DNS does not answer"
    return Finding("iprev", result, (("policy.iprev", address),), reason)


async def confirmed_name(address: str, lookups: Lookups) -> str:
    """Give the first name of an address that leads back to it.

    Returns:
        The name; ``""`` where there is none, or none can be found out.
    """
    try:
        return await _leading_back(await lookups.ptr(address), address, lookups)
    except Unavailable:
        return ""


async def _leading_back(names: Sequence[str], address: str, lookups: Lookups) -> str:
    wanted = ip_address(address)
    for name in names[:_MOST_NAMES]:
        found = await lookups.addresses(name, wanted.version)
        if any(ip_address(one) == wanted for one in found):
            return name
    return ""
