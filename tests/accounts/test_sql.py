"""Tests for `mailplat.accounts.sql` beyond its contract."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.accounts.sql import SQLAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable

QUICK = PasswordSettings(scheme="SSHA512")


@pytest_twisted.ensureDeferred
async def test_nobody_else_reads_it(tmp_path: Path) -> None:
    """The database with the hashes is its owner's alone, its log too."""
    path = tmp_path / "a.sqlite"
    backend = SQLAccounts(path, reactor, QUICK)
    await backend.open()
    await backend.add(Account("a"), "x")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    await backend.close()
    assert set(modes.values()) == {0o600}
    assert "a.sqlite-wal" in modes


@pytest_twisted.ensureDeferred
async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """Tables of a later version are left alone."""
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE account_schema (version INTEGER NOT NULL)")
        database.execute("INSERT INTO account_schema VALUES (2)")
    database.close()
    with pytest.raises(ConfigurationFault, match="written by a newer mailplat"):
        await SQLAccounts(path, reactor, QUICK).open()


@pytest_twisted.ensureDeferred
async def test_cannot_be_opened(tmp_path: Path) -> None:
    """A folder that is not there, or a file that is no database, is refused at the start."""
    (tmp_path / "text").write_text("no database at all, but long enough to be one" * 100)
    for name in ("no/a.sqlite", "text", "."):
        with pytest.raises(ConfigurationFault, match="cannot be opened"):
            await SQLAccounts(tmp_path / name, reactor, QUICK).open()


@pytest_twisted.ensureDeferred
async def test_a_locked_database(tmp_path: Path) -> None:
    """While another program writes, edits are put off and readers are served."""
    path = tmp_path / "a.sqlite"
    backend = SQLAccounts(path, reactor, QUICK, busy=0.01)
    await backend.open()
    await backend.add(Account("a"), "x")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await backend.add(Account("b"), "x")
    assert await backend.check_password("a", "x") == Account("a")
    other.execute("ROLLBACK")
    other.close()
    await backend.add(Account("b"), "x")
    await backend.close()


@pytest_twisted.ensureDeferred
async def test_a_damaged_database(tmp_path: Path) -> None:
    """What cannot be read any more is told as damage, or as not available; never as no account."""
    path = tmp_path / "a.sqlite"
    backend = SQLAccounts(path, reactor, QUICK)
    await backend.open()
    other = sqlite3.connect(path)
    other.execute("DROP TABLE account_logins")
    other.commit()
    other.close()
    with pytest.raises((Corrupt, Unavailable), match="no such table"):
        await backend.find_account("a")
    await backend.close()
    with pytest.raises(Unavailable, match="not open"):
        await backend.find_account("a")
