"""Domains as DNS and servers without SMTPUTF8 read them: A-labels (RFC 5890 §2.3.2.1)."""

from __future__ import annotations

import idna

from mailplat.model.address import Address

__all__ = ["ascii_address", "ascii_domain"]


def ascii_domain(domain: str) -> str | None:
    """Spell a domain in ASCII, in lower case; None if it is none that DNS could have."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None


def ascii_address(address: Address) -> Address | None:
    """Spell an address without SMTPUTF8, which only its domain allows (RFC 6531 §3.2).

    Returns:
        None where the local part is beyond ASCII: nobody but its own server may change it.
    """
    domain = ascii_domain(address.domain)
    if domain is None or not address.local.isascii():
        return None
    return address if address.ascii_only else Address(address.local, domain)
