"""The route of a query: what an address stands for is in an SQLite database.

The query has the names ``:address``, ``:local`` and ``:domain``, all in lower case.  The first
column of its rows has addresses, with commas between them; a second one, where there is one and it
is not empty, the address of a mailing list's owner.

Invariants:

- One thread of its own holds the one connection, which cannot write; the reactor never waits.
- What the database cannot say now is `Unavailable`: mail is tried again, never refused for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailplat.interfaces.routes import Expanded, Found, IOpenRoute
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.routes.alias_file import parse_members
from mailplat.routes.spelling import read_address

__all__ = ["SQLRoute"]

Row = tuple[Any, ...]


@implementer(IOpenRoute)
class SQLRoute:
    """Leads addresses to others as a database says.

    Args:
        name: What explanations call it.
        reactor: Its threads ask the database.
        path: The database.
        query: As above.
        domains: Ours; nothing else is asked about.
        busy: Seconds to wait for others who write to the database.
        most: Rows that are read of one answer.
    """

    def __init__(
        self,
        name: str,
        reactor: Any,
        path: Path,
        query: str,
        domains: Sequence[str],
        *,
        busy: float = 5.0,
        most: int = 10_000,
    ) -> None:
        self.name = name
        self._reactor = reactor
        self._path = path
        self._query = query
        self._domains = frozenset(domain.lower() for domain in domains)
        self._busy = busy
        self._most = most
        self._pool = ThreadPool(0, 1, "routes")
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """See `IOpenRoute.open`: the query is tried."""
        self._pool.start()
        try:
            self._database = await deferToThreadPool(self._reactor, self._pool, self._connect)
        except BaseException:
            self._pool.stop()
            raise

    def _connect(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=self._busy,
                isolation_level=None,
                check_same_thread=False,
            )
            raw.execute(self._query, {"address": "", "local": "", "domain": ""}).fetchone()
        except (sqlite3.Error, ValueError) as error:
            raise ConfigurationFault(f"{self._path}: {error} (in {self._query!r})") from None
        return raw

    async def close(self) -> None:
        """See `IOpenRoute.close`."""
        database, self._database = self._database, None
        if database is not None:
            await deferToThreadPool(self._reactor, self._pool, database.close)
            self._pool.stop()

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`: the accounts' route says it."""
        return False

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        local, domain = address.key
        if domain not in self._domains:
            return None
        names = {"address": f"{local}@{domain}", "local": local, "domain": domain}
        if self._database is None:
            raise Unavailable(f"{self._path} is not open")
        rows = await deferToThreadPool(self._reactor, self._pool, self._ask, self._database, names)
        where = f"{self._path}: {names['address']}"
        try:
            led = [
                read_address(one.text, domain)
                for row in rows
                for one in parse_members(str(row[0] or ""), where, None)
            ]
        except ConfigurationFault as fault:
            raise Unavailable(fault.reason) from None
        if not led:
            return None
        owner = next((str(row[1]) for row in rows if len(row) > 1 and row[1]), "")
        return Found(
            Expanded(tuple(dict.fromkeys(led)), read_address(owner, domain) if owner else None),
            where,
        )

    def _ask(self, database: sqlite3.Connection, names: dict[str, str]) -> Sequence[Row]:
        try:
            spelled = {key: text.encode("utf-8", "replace").decode() for key, text in names.items()}
            found: Sequence[Row] = database.execute(self._query, spelled).fetchmany(self._most)
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path}: {error}") from error
        return found
