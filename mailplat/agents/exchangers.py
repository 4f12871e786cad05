"""Which hosts take a domain's mail, in the order they are to be tried (RFC 5321 §5.1).

What DNS says becomes a list of host names, or the reply that says why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailplat.interfaces.resolver import MX, IResolver
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["Exchangers", "find_addresses", "find_exchangers"]

NO_DNS = Reply.of(451, "DNS does not answer for the domain", "4.4.3")
NO_DOMAIN = Reply.of(550, "The domain does not exist", "5.1.2")
NO_MAIL = Reply.of(556, "The domain takes no mail (null MX)", "5.1.10")  # RFC 7505 §4.1
NO_HOST = Reply.of(550, "The domain has no mail server with an address", "5.4.4")
LOOP = Reply.of(554, "The domain's mail leads back here, where it is not known", "5.4.6")
BAD_LITERAL = Reply.of(550, "The address literal cannot be read", "5.1.2")
_ADDRESS = re.compile(r"\[(?:IPv6:)?([^\]]*)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchangers:
    """The hosts for a domain, in the order they are to be tried.

    Attributes:
        hosts: Names in lower case, or one IP address where the domain is a literal.
        authentic: DNSSEC vouches for them.
    """

    hosts: tuple[str, ...]
    authentic: bool = False


async def find_exchangers(
    resolver: IResolver,
    domain: str,
    *,
    own_names: Collection[str],
    shuffle: Callable[[list[MX]], None],
) -> Exchangers | Reply:
    """Find the hosts that take a domain's mail.

    Args:
        resolver: Asks DNS.
        domain: What stands behind the ``@``.
        own_names: Names of this host, in lower case.
        shuffle: Puts a list into random order, for hosts of the same preference.
    """
    if domain.startswith("["):
        address = _literal(domain)
        return BAD_LITERAL if address is None else Exchangers((address,))
    name = ascii_domain(domain)
    if name is None:
        return NO_DOMAIN
    try:
        answer = await resolver.mx(name)
    except Unavailable:
        return NO_DNS
    if not answer.exists:
        return NO_DOMAIN
    records = list(answer.records)
    if not records:  # the implicit MX, behind aliases
        implicit = (answer.name or name,)
        return LOOP if implicit[0] in own_names else Exchangers(implicit, answer.authentic)
    if all(not one.host for one in records):
        return NO_MAIL
    shuffle(records)
    records.sort(key=lambda one: one.preference)
    ours = min((one.preference for one in records if one.host in own_names), default=None)
    hosts = dict.fromkeys(
        one.host
        for one in records
        if one.host and (ours is None or one.preference < ours)  # what is behind us leads back
    )
    return Exchangers(tuple(hosts), answer.authentic) if hosts else LOOP


async def find_addresses(resolver: IResolver, host: str) -> tuple[str, ...] | Reply:
    """Find a host's addresses; the reply is temporary if DNS did not answer."""
    if _is_address(host):
        return (host,)
    try:
        answer = await resolver.addresses(host)
    except Unavailable:
        return NO_DNS
    return answer.records or NO_HOST


def _literal(domain: str) -> str | None:
    match = _ADDRESS.fullmatch(domain)
    return match[1] if match is not None and _is_address(match[1]) else None


def _is_address(text: str) -> bool:
    try:
        return bool(IPv6Address(text) if ":" in text else IPv4Address(text))
    except AddressValueError:
        return False
