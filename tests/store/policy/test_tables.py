"""Tests for `mailplat.store.policy`: the contract, and what is each table's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from mailplat.interfaces.policy_table import IPolicyTable
from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable
from mailplat.store.policy.memory import MemoryPolicyTable
from mailplat.store.policy.postgresql import PostgreSQLPolicyDatabase
from mailplat.store.policy.sqlite import SQLitePolicyDatabase
from mailplat.store.policy.table import DatabasePolicyTable, TableLimits
from mailplat.testing.policy_tables import PolicyTableContract, counted

NOW = 1_000_000.0


def sqlite_table(path: Path, **limits: Any) -> DatabasePolicyTable:
    """Make a table in a file."""
    return DatabasePolicyTable(
        SQLitePolicyDatabase(path), reactor, lambda: NOW, TableLimits(**limits)
    )


class TestMemory(PolicyTableContract):
    """The table in memory."""

    async def make(self, entries: int = 1000) -> IPolicyTable:
        """See `PolicyTableContract.make`."""
        return MemoryPolicyTable(self.now, entries)


class TestSQLite(PolicyTableContract):
    """The table in a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "policy.sqlite"

    async def make(self, entries: int = 1000) -> IPolicyTable:
        """See `PolicyTableContract.make`."""
        database = SQLitePolicyDatabase(self.path)
        return DatabasePolicyTable(database, reactor, self.now, TableLimits(entries=entries))


class TestPostgreSQL(PolicyTableContract):
    """The table in a schema of PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _schema(self, postgresql: Any) -> None:
        self.url = postgresql.new_schema()

    async def make(self, entries: int = 1000) -> IPolicyTable:
        """See `PolicyTableContract.make`."""
        database = PostgreSQLPolicyDatabase(self.url)
        return DatabasePolicyTable(database, reactor, self.now, TableLimits(entries=entries))

    @pytest_twisted.ensureDeferred
    async def test_two_servers(self) -> None:
        """Two servers count together, and lose no count."""
        tables = [await self.make() for _ in range(2)]
        keys = ["a", "b", "c"]
        asked = [
            Deferred.fromCoroutine(
                _asked(tables[number % 2], keys[number % 3], counted(keys[number % 3], NOW + 99))
            )
            for number in range(120)
        ]
        assert sorted(await gatherResults(asked)) == sorted(list(range(40)) * 3)
        for table in tables:
            await table.close()

    @pytest_twisted.ensureDeferred
    async def test_a_lost_connection(self) -> None:
        """A connection that the server ended meanwhile is made anew."""
        import psycopg

        table = await self.make()
        await table.update(["a"], counted("a", NOW + 99))
        with psycopg.connect(self.url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"
                " = current_setting('application_name') AND pid <> pg_backend_pid()"
            )
        assert await table.update(["a"], counted("a", NOW + 99)) == 1
        await table.close()


async def _asked(table: IPolicyTable, key: str, decide: Any) -> int:
    result: int = await table.update([key], decide)
    return result


@pytest_twisted.ensureDeferred
async def test_survives_a_restart(tmp_path: Path) -> None:
    """What was put down is there for the next process, in a file that is ours alone."""
    path = tmp_path / "policy.sqlite"
    table = sqlite_table(path)
    await table.update(["a"], counted("a", NOW + 99))
    await table.close()
    assert path.stat().st_mode & 0o777 == 0o600
    table = sqlite_table(path)
    assert await table.update(["a"], counted("a", NOW + 99)) == 1
    await table.close()


@pytest_twisted.ensureDeferred
async def test_too_many_wait(tmp_path: Path) -> None:
    """Beyond its bound nobody waits."""
    table = sqlite_table(tmp_path / "policy.sqlite", waiting=3, batch=1)
    asked = [Deferred.fromCoroutine(_asked(table, "a", counted("a", NOW + 99))) for _ in range(9)]
    refused = 0
    for one in asked:
        try:
            await one
        except Unavailable:
            refused += 1
    assert refused == 5  # one is under way, three wait
    await table.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(b"no database" * 1000), Corrupt),
        (lambda path: path.mkdir(), Unavailable),
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_database(
    tmp_path: Path, spoil: Callable[[Path], object], error: type[Exception]
) -> None:
    """What cannot be used is told for every update, and once it can be all is well."""
    path = tmp_path / "policy.sqlite"
    spoil(path)
    table = sqlite_table(path)
    for _ in range(2):
        with pytest.raises(error, match=r"policy\.sqlite"):
            await table.update(["a"], counted("a", NOW + 99))
    path.rename(tmp_path / "spoilt")
    assert await table.update(["a"], counted("a", NOW + 99)) == 0
    await table.close()


@pytest_twisted.ensureDeferred
async def test_newer_schema(tmp_path: Path) -> None:
    """A table of a newer mailplat is left alone."""
    path = tmp_path / "policy.sqlite"
    table = sqlite_table(path)
    await table.update(["a"], counted("a", NOW + 99))
    await table.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE policy_schema SET version = 99")
    raw.close()
    table = sqlite_table(path)
    with pytest.raises(ConfigurationFault, match="newer mailplat"):
        await table.update(["a"], counted("a", NOW + 99))
    await table.close()
