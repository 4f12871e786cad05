"""Policies of MTA-STS on the disk: a row a domain in SQLite, for the next start of the server.

A policy that was seen holds for weeks, whoever hides it later (RFC 8461 §5.1): so it may not be
forgotten with the process.  All of it blocks: call it in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailplat.proto.mta_sts import BadPolicy, StsPolicy, read_policy

__all__ = ["KeptPolicy", "StsFile"]

_WAIT = 10.0
"""Seconds that one process waits for another one's commit."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS sts_policy (
        domain TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        fetched INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        policy TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
"""
_KEEP = "INSERT OR REPLACE INTO sts_policy VALUES (?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy that was fetched.

    Attributes:
        domain: Whose, in ASCII and lower case.
        policy_id: What its record in DNS called it.
        policy: What it says.
        fetched: When it came, seconds since 1970 UTC.
    """

    domain: str
    policy_id: str
    policy: StsPolicy
    fetched: int

    @property
    def expires(self) -> int:
        """When it holds no longer, seconds since 1970 UTC."""
        return self.fetched + self.policy.max_age


class StsFile:
    """The rows.

    Args:
        path: The database; it is made where there is none.

    Attributes:
        path: The same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, now: int, most: int) -> list[KeptPolicy]:
        """Read the policies that hold, at most so many, those that came last; drop the others."""
        with self._database() as database:
            database.execute("DELETE FROM sts_policy WHERE expires <= ?", (now,))
            rows = database.execute(
                "SELECT domain, id, fetched, policy FROM sts_policy ORDER BY fetched DESC LIMIT ?",
                (most,),
            ).fetchall()
        kept = []
        for domain, policy_id, fetched, text in rows:
            with suppress(BadPolicy):
                kept.append(KeptPolicy(domain, policy_id, read_policy(text.encode()), fetched))
        return kept

    def keep(self, kept: KeptPolicy) -> None:
        """Write a policy, in place of the one that the domain had."""
        text = "\n".join(kept.policy.lines())
        with self._database() as database:
            database.execute(_KEEP, (kept.domain, kept.policy_id, kept.fetched, kept.expires, text))

    def forget(self, domains: Iterable[str]) -> None:
        """Drop the policies of some domains."""
        with self._database() as database:
            database.executemany(
                "DELETE FROM sts_policy WHERE domain = ?", [(domain,) for domain in domains]
            )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Give one transaction; policies come seldom enough for a connection each."""
        database = sqlite3.connect(self.path, timeout=_WAIT)
        try:
            with database:
                database.execute(_SCHEMA)
                yield database
        finally:
            database.close()
