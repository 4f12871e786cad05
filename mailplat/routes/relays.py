"""The route of relay hosts: which server takes the mail of which domains and of which senders.

What a recipient's domain says goes before what the sender says.  Among each, an exact entry goes
before one for a domain, and that before one for all subdomains, the longest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zope.interface import implementer

from mailplat.interfaces.agents import RELAY_PREFIX
from mailplat.interfaces.routes import Found, IRoute, Remote
from mailplat.model.address import Address

__all__ = ["RelayChoice", "RelayRoute", "keys_of"]


@dataclass(frozen=True, slots=True)
class RelayChoice:
    """What goes through one relay host.

    Attributes:
        name: The host's name in the configuration.
        domains: Of recipients: ``example.net``, ``*.example.net`` for all below it, ``*``.
        senders: Addresses, or domains as above.
    """

    name: str
    domains: Sequence[str] = ()
    senders: Sequence[str] = ()


@implementer(IRoute)
class RelayRoute:
    """Leads mail for other servers through relay hosts.

    Args:
        choices: The first that names an entry has it.
    """

    name = "relay hosts"

    def __init__(self, choices: Sequence[RelayChoice]) -> None:
        self._domains: dict[str, str] = {}
        self._senders: dict[str, str] = {}
        for choice in choices:
            for domain in choice.domains:
                self._domains.setdefault(domain.lower(), choice.name)
            for sender in choice.senders:
                self._senders.setdefault(sender.lower().removeprefix("@"), choice.name)

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`: none is."""
        return False

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        key = _first(self._domains, address)
        if key is not None:
            return _through(address, self._domains[key], f"mail for {key}")
        key = None if sender is None else _first(self._senders, sender)
        if key is not None:
            return _through(address, self._senders[key], f"mail from {key}")
        return None


def _through(address: Address, name: str, because: str) -> Found:
    return Found(Remote(address, f"{RELAY_PREFIX}{name}"), f"{because} goes through {name}")


def _first(table: Mapping[str, str], address: Address) -> str | None:
    return next((key for key in keys_of(address) if key in table), None) if table else None


def keys_of(address: Address) -> list[str]:
    """Give the entries that may stand for an address, the most exact first."""
    local, domain = address.key
    labels = domain.split(".")
    above = [f"*.{'.'.join(labels[n:])}" for n in range(1, len(labels))]
    return [f"{local}@{domain}", domain, *above, "*"]
