"""The route of a map of addresses: ``alice@example.org  bob@example.net, carol@example.com``.

A key ``@example.org`` stands for the whole domain: mapped to ``@example.net`` each address keeps
its local part, mapped to addresses all go there.  An exact key goes before it; a subaddress that no
key names is carried over to the address that its name stands for.  The domains of all keys are
ours: in one that is nothing else, who has no key is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailplat.interfaces.routes import Expanded, Found, IOpenRoute
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault
from mailplat.routes.alias_file import entries, parse_members
from mailplat.routes.lines import Contents, WatchedFile
from mailplat.routes.spelling import read_address, without_detail

__all__ = ["VirtualRoute"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a key stands for; an empty local part keeps that of the address."""

    addresses: tuple[Address, ...]
    where: str


@dataclass(frozen=True, slots=True)
class _Map:
    entries: dict[str, _Entry]
    domains: frozenset[str]


@implementer(IOpenRoute)
class VirtualRoute:
    """Leads addresses to others as a file says.

    Args:
        name: What explanations call it.
        clock: Says when to look at the file again.
        path: The file.
        delimiter: What separates a subaddress.
        check_every: Seconds between two looks at whether the file changed.
    """

    def __init__(
        self,
        name: str,
        clock: IReactorTime,
        path: Path,
        *,
        delimiter: str = "+",
        check_every: float = 2.0,
    ) -> None:
        self.name = name
        self._delimiter = delimiter
        self._file = WatchedFile(clock, path, _read, check_every=check_every)

    def check(self) -> None:
        """See `WatchedFile.check`."""
        self._file.check()

    async def open(self) -> None:
        """See `IOpenRoute.open`."""
        await self._file.open()

    async def close(self) -> None:
        """See `IOpenRoute.close`: nothing is held."""

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`."""
        known = self._file.current
        return known is not None and domain.lower() in known.domains

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        known = await self._file.table()
        local, domain = address.key
        if domain not in known.domains:
            return None
        parts = without_detail(local, self._delimiter)
        detail = ""
        entry = known.entries.get(f"{local}@{domain}")
        if entry is None and parts is not None:
            entry = known.entries.get(f"{parts[0]}@{domain}")
            detail = f"{self._delimiter}{parts[1]}" if entry is not None else ""
        if entry is None:
            entry = known.entries.get(f"@{domain}")
        if entry is None:
            return None
        led = tuple(
            Address(f"{one.local}{detail}" if one.local else address.local, one.domain)
            for one in entry.addresses
        )
        return Found(Expanded(led), entry.where)


def _read(path: Path) -> Contents[_Map]:
    found: dict[str, _Entry] = {}
    for line, text in entries(path.read_text(encoding="utf-8")):
        where = f"{path}:{line}"
        key, *rest = text.split(maxsplit=1)
        key = key.lower()
        if "@" not in key or not rest:
            raise ConfigurationFault(f'{where}: expected "address address, address"')
        if key in found:
            raise ConfigurationFault(f"{where}: {key} is in {found[key].where} already")
        members = [one.text for one in parse_members(rest[0], where, None)]
        whole = key.startswith("@")
        for one in members:
            if "@" not in one or (one.startswith("@") and not whole):
                raise ConfigurationFault(f"{where}: {one}: expected an address with a domain")
        found[key] = _Entry(tuple(read_address(one, "") for one in members), where)
    domains = frozenset(key.rpartition("@")[2] for key in found)
    return Contents(_Map(found, domains), [path])
