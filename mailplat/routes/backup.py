"""The route of domains that we take mail for while their own servers are away (backup MX).

The mail goes on to the domain's mail exchangers of a lower preference value than ours, and never
round in circles: that is the relay's rule (RFC 5321 §5.1).  Where the recipients are known, others
are refused at once, so that no report has to be sent for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailplat.interfaces.routes import Found, IOpenRoute, Refused, Remote
from mailplat.model.address import Address
from mailplat.model.errors import NoSuchAccount
from mailplat.model.reply import Reply
from mailplat.routes.alias_file import entries
from mailplat.routes.lines import Contents, WatchedFile

__all__ = ["BackupRoute"]


@implementer(IOpenRoute)
class BackupRoute:
    """Takes mail for domains of others.

    Args:
        clock: Says when to look at the files again.
        domains: For a domain, the file with its addresses, a line each; None takes all mail.
        check_every: Seconds between two looks at whether a file changed.
    """

    name = "backup"

    def __init__(
        self,
        clock: IReactorTime,
        domains: Mapping[str, Path | None],
        *,
        check_every: float = 2.0,
    ) -> None:
        self._files = {
            domain.lower(): None
            if path is None
            else WatchedFile(clock, path, _read, check_every=check_every)
            for domain, path in domains.items()
        }

    def check(self) -> None:
        """See `WatchedFile.check`."""
        for file in self._files.values():
            if file is not None:
                file.check()

    async def open(self) -> None:
        """See `IOpenRoute.open`."""
        for file in self._files.values():
            if file is not None:
                await file.open()

    async def close(self) -> None:
        """See `IOpenRoute.close`: nothing is held."""

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`."""
        return domain.lower() in self._files

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        local, domain = address.key
        if domain not in self._files:
            return None
        file = self._files[domain]
        if file is None:
            return Found(Remote(address), f"we are a backup for {domain}, whoever is there")
        known = await file.table()
        line = known.get(f"{local}@{domain}") or known.get(local)
        if line is None:
            because = f"not among the recipients of {file.path}"
            return Found(Refused(Reply.to_error(NoSuchAccount())), because)
        return Found(Remote(address), f"{file.path}:{line}")


def _read(path: Path) -> Contents[dict[str, int]]:
    lines = entries(path.read_text(encoding="utf-8"))
    return Contents({text.strip().lower(): line for line, text in lines}, [path])
