"""How addresses are written in the files of routes, and read from them."""

from __future__ import annotations

import re

from mailplat.model.address import Address

__all__ = ["read_address", "without_detail"]


def read_address(text: str, domain: str) -> Address:
    """Read ``local@domain``, or a name that is in a domain of ours; the local part may be quoted.

    Args:
        text: Without angle brackets.
        domain: Where a bare name is.
    """
    local, at, named = text.strip().rpartition("@")
    if not at:
        local, named = text.strip(), domain
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    return Address(local, named)


def without_detail(local: str, delimiter: str) -> tuple[str, str] | None:
    """Split a local part into the name and its subaddress; None if it has none (RFC 5233)."""
    name, found, detail = local.partition(delimiter) if delimiter else ("", "", "")
    return (name, detail) if found and name else None
