"""Which TLSA records a mail exchanger has, and under which name (RFC 7672 §2.2).

Only what DNSSEC vouches for counts.  A name server that does not answer, or that finds a signature
wrong, says nothing: then the exchanger may not be used, for somebody may be hiding its records.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.interfaces.resolver import TLSA, IResolver
from mailplat.net.dane import usable

__all__ = ["TLSARecords", "find_tlsa"]


@dataclass(frozen=True, slots=True)
class TLSARecords:
    """What a host's TLSA records say.

    Attributes:
        base: The TLSA base domain: for SNI, and the first name to be in a certificate.
        records: Those that can be used; without any, TLS alone is asked for (RFC 7672 §2.2).
    """

    base: str
    records: tuple[TLSA, ...]


async def find_tlsa(resolver: IResolver, host: str, port: int) -> TLSARecords | None:
    """Find the records of a host; None where it has none that are vouched for.

    Args:
        resolver: Asks DNS.
        host: Its name in ASCII and lower case; that it is this one has to be vouched for.
        port: Where it takes mail.

    Raises:
        Unavailable: It cannot be known now.
    """
    for base in await _bases(resolver, host):
        answer = await resolver.tlsa(f"_{port}._tcp.{base}")
        if answer.authentic and answer.records:
            return TLSARecords(base, tuple(filter(usable, answer.records)))
    return None


async def _bases(resolver: IResolver, host: str) -> tuple[str, ...]:
    """Give the names to look under: the one behind aliases first (RFC 7672 §2.2.2, §2.2.3)."""
    answer = await resolver.addresses(host)
    name = answer.name or host
    if answer.authentic:
        return tuple(dict.fromkeys((name, host)))
    if name == host:
        return ()
    # the alias leads out of what is signed: is the alias itself?
    alias = await resolver.cname(host)
    return (host,) if alias.authentic and alias.records else ()
