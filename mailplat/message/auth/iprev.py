"""Whether a client's name leads back to its address (RFC 8601 §3)."""

from __future__ import annotations

from ipaddress import ip_address

from mailplat.message.auth.lookups import Lookups
from mailplat.message.auth.result import Finding, Result
from mailplat.model.errors import Unavailable

__all__ = ["check_reverse"]

_MOST_NAMES = 10


async def check_reverse(address: str, lookups: Lookups) -> Finding:
    """Ask for the names of an address, and for the addresses of those names."""
    wanted = ip_address(address)
    result, reason = Result.FAIL, "no name leads back to the address"
    try:
        names = (await lookups.ptr(address))[:_MOST_NAMES]
        if not names:
            result, reason = Result.PERMERROR, "the address has no name"
        for name in names:
            found = await lookups.addresses(name, wanted.version)
            if any(ip_address(one) == wanted for one in found):
                result, reason = Result.PASS, ""
                break
    except Unavailable:
        result, reason = Result.TEMPERROR, "the DNS does not answer"
    return Finding("iprev", result, (("policy.iprev", address),), reason)
