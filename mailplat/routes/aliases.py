"""The route of /etc/aliases: names in our domains that stand for others, or for commands.

An alias ``NAME`` with another called ``owner-NAME`` is a mailing list: reports about its members'
copies go to ``owner-NAME``, not to who wrote to the list (aliases(5), RFC 5321 §3.9.2).

Invariants:

- A command runs only where commands are allowed; a file that has one elsewhere is refused whole.
- What an included file says is never a command, nor does it include others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.interfaces.agents import COMMAND_PREFIX
from mailplat.interfaces.routes import Expanded, Found, IOpenRoute, Remote
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault
from mailplat.routes.alias_file import Alias, Member, entries, parse_aliases, parse_members
from mailplat.routes.lines import Contents, WatchedFile
from mailplat.routes.spelling import read_address, without_detail

__all__ = ["AliasFileOptions", "AliasesOptions", "AliasesRoute"]


@attrs.frozen(kw_only=True)
class AliasFileOptions:
    """A file of aliases, as aliases(5) has it."""

    commands: bool = option(
        False,
        meaning="Whether `|command` is allowed. The command runs as the server's user.",
        precedent="Postfix allow_mail_to_commands (alias)",
    )
    include: bool = option(
        True, meaning="Whether `:include:file` is; commands never are allowed in such a file."
    )
    check_every: Duration = option(
        duration("2s"), least=0.1, meaning="How long a changed file may go unnoticed."
    )


@dataclass(frozen=True, slots=True)
class AliasesOptions:
    """What a file of aliases may do.

    Attributes:
        domains: Where its names are, in lower case; the first is where bare names lead.
        delimiter: What separates a subaddress; an alias has those of its name too.
        include: Whether ``:include:`` reads other files.
        commands: Whether ``|command`` is allowed.
        check_every: Seconds between two looks at whether the files changed.
    """

    domains: tuple[str, ...]
    delimiter: str = "+"
    include: bool = True
    commands: bool = False
    check_every: float = 2.0


@implementer(IOpenRoute)
class AliasesRoute:
    """Leads local names to what a file says that they stand for.

    Args:
        name: What explanations call it.
        clock: Says when to look at the file again.
        path: The file.
        options: What it may do.
    """

    def __init__(self, name: str, clock: IReactorTime, path: Path, options: AliasesOptions) -> None:
        self.name = name
        self._options = options
        self._file = WatchedFile(clock, path, self._read, check_every=options.check_every)

    def check(self) -> None:
        """See `WatchedFile.check`."""
        self._file.check()

    async def open(self) -> None:
        """See `IOpenRoute.open`."""
        await self._file.open()

    async def close(self) -> None:
        """See `IOpenRoute.close`: nothing is held."""

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`: the accounts' route says it."""
        return False

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        local, domain = address.key
        if domain and domain not in self._options.domains:
            return None
        table = await self._file.table()
        alias = table.get(local)
        if alias is None:
            parts = without_detail(local, self._options.delimiter)
            alias = table.get(parts[0]) if parts is not None else None
            if alias is None:
                return None
        home = domain or self._options.domains[0]
        return Found(self._expanded(address, alias, home, table), alias.where)

    def _expanded(
        self, address: Address, alias: Alias, home: str, names: Collection[str]
    ) -> Expanded:
        led = {one: read_address(one.text, home) for one in alias.members if not one.command}
        owner = f"owner-{alias.name}"
        return Expanded(
            tuple(led.values()),
            owner=Address(owner, home) if owner in names else None,
            final=frozenset(found for one, found in led.items() if one.final),
            also=tuple(
                Remote(address, f"{COMMAND_PREFIX}{one.text}")
                for one in alias.members
                if one.command
            ),
        )

    def _read(self, path: Path) -> Contents[dict[str, Alias]]:
        files = [path]

        def include(name: str, where: str) -> tuple[Member, ...]:
            if not self._options.include:
                raise ConfigurationFault(f"{where}: files may not be included here")
            file = path.parent / name
            files.append(file)
            return tuple(
                member
                for line, text in entries(file.read_text(encoding="utf-8"))
                for member in parse_members(text, f"{file}:{line}", None)
            )

        table = parse_aliases(path.read_text(encoding="utf-8"), str(path), include)
        if not self._options.commands:
            for alias in table.values():
                for member in alias.members:
                    if member.command:
                        raise ConfigurationFault(
                            f"{member.where}: commands are not allowed; expected "
                            "options.commands = true, or no command"
                        )
        return Contents(table, files)
