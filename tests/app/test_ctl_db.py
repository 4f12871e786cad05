"""Tests for ``mailplatctl db``: what it says, and when it fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailplat.app.ctl.main import main
from mailplat.app.upkeep.migrating import schemas
from mailplat.store.index.schema import SCHEMA_VERSION

NEWEST, BEFORE = f"{SCHEMA_VERSION:04}", f"{SCHEMA_VERSION - 1:04}"


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A configuration with store and accounts in SQLite files, made at their newest."""
    file = tmp_path / "mailplat.toml"
    file.write_text(
        f"""
        [server]
        domains = ["example.org"]
        data_directory = "{tmp_path}"
        [store]
        use = "sql:sqlite:///mail.db"
        [accounts]
        use = "sql:sqlite:///accounts.db"
        [[listener]]
        protocol = "imap"
        endpoint = "tcp:0"
        tls = "none"
        """
    )
    for schema in schemas("sql:sqlite:///mail.db", "sql:sqlite:///accounts.db", str(tmp_path)):
        schema.upgrade()
    return file


def call(file: Path, *words: str) -> Result:
    """Run the command."""
    name, *rest = words
    return CliRunner().invoke(main, ["db", name, "--config", str(file), *rest])


def test_there_and_back(configured: Path) -> None:
    """What is old is told, with what to do; each step is told when it is done."""
    shown = call(configured, "current")
    assert shown.exit_code == 0
    assert shown.output.count("as this version needs it") == 2
    back = call(configured, "downgrade")
    assert f"store: taken back: {NEWEST}" in back.output
    shown = call(configured, "current")
    assert shown.exit_code == 1
    assert f"{BEFORE}; this version needs {NEWEST}: `mailplatctl db upgrade`" in shown.output
    listed = call(configured, "history", "--of", "store").output
    assert "  0001  The tables" in listed
    assert f"* {BEFORE}  " in listed
    assert f"  {NEWEST}  " in listed
    done = call(configured, "upgrade")
    assert done.exit_code == 0
    assert f"store: upgraded to {NEWEST}" in done.output
    assert "accounts: sqlite:" in done.output
    refused = call(configured, "downgrade", "--of", "accounts")
    assert refused.exit_code == 1
    assert "nothing before" in refused.output


def test_nothing_there(configured: Path, tmp_path: Path) -> None:
    """A database that is not made yet is the server's to make; without any, that is said."""
    (tmp_path / "mail.db").unlink()
    assert "not made yet" in call(configured, "current").output
    assert "not made yet" in call(configured, "upgrade").output
    assert not (tmp_path / "mail.db").exists()
    text = configured.read_text().replace("sql:sqlite:///mail.db", "memory:")
    configured.write_text(text.replace("sql:sqlite:///accounts.db", "file:accounts"))
    assert "no database with revisions" in call(configured, "current").output


def test_newer(configured: Path, tmp_path: Path) -> None:
    """A newer schema is left alone."""
    with sqlite3.connect(tmp_path / "mail.db") as raw:
        raw.execute("UPDATE counters SET value = 9 WHERE name = 'schema'")
    raw.close()
    shown = call(configured, "current")
    assert shown.exit_code == 1
    assert "by the newer version" in shown.output
    assert "newer mailplat" in call(configured, "upgrade").output
