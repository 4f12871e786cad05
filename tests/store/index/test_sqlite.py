"""Tests for `mailplat.store.index.sqlite`: which files are taken, and what errors become."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable
from mailplat.store.index.schema import SCHEMA_VERSION
from mailplat.store.index.sqlite import SQLITE, SQLiteDatabase


def test_made_for_the_owner_alone(tmp_path: Path) -> None:
    """A new database, in a new directory, is closed to other users; made twice is no error."""
    path = tmp_path / "new" / "mail.db"
    SQLiteDatabase(path).create()
    SQLiteDatabase(path).create()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    connection = SQLiteDatabase(path).connect(writes=True)
    assert connection.one("PRAGMA journal_mode") == ("wal",)
    assert connection.one("PRAGMA synchronous") == (2,)
    connection.close()


def test_newer_schema(tmp_path: Path) -> None:
    """A database that a newer server wrote is refused, and the remedy said."""
    path = tmp_path / "mail.db"
    SQLiteDatabase(path).create()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE counters SET value = ? WHERE name = 'schema'", (SCHEMA_VERSION + 1,))
    raw.commit()
    raw.close()
    with pytest.raises(ConfigurationFault, match="install the newer"):
        SQLiteDatabase(path).create()


def test_not_ours(tmp_path: Path) -> None:
    """Another program's database, and what is no database, are left alone."""
    path = tmp_path / "other.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE mine (x)")
    raw.commit()
    raw.close()
    with pytest.raises(ConfigurationFault, match="another program"):
        SQLiteDatabase(path).create()
    text = tmp_path / "notes.txt"
    text.write_bytes(b"shopping list\n" * 100)
    with pytest.raises(ConfigurationFault, match="no SQLite database"):
        SQLiteDatabase(text).create()
    assert text.read_bytes() == b"shopping list\n" * 100


def test_no_such_place(tmp_path: Path) -> None:
    """A path that cannot be is refused with the remedy."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationFault, match="choose another path"):
        SQLiteDatabase(tmp_path / "file" / "mail.db").create()


def test_errors(tmp_path: Path) -> None:
    """What SQLite says becomes an error of ours; a mistake in SQL stays a mistake."""
    path = tmp_path / "mail.db"
    database = SQLiteDatabase(path, busy_seconds=0)
    database.create()
    one, two = database.connect(writes=True), database.connect(writes=True)
    one.begin()
    with pytest.raises(Unavailable, match="locked"):
        two.begin()
    one.rollback()
    one.rollback()
    with pytest.raises(sqlite3.OperationalError):
        one.run("no such statement")
    readonly = database.connect(writes=False)
    with pytest.raises(Unavailable):
        readonly.run("DELETE FROM homes")
    for connection in (one, two, readonly):
        connection.close()
    path.write_bytes(b"SQLite format 3\0" + b"junk" * 4096)
    with pytest.raises((Corrupt, ConfigurationFault)):
        database.connect(writes=True).all("SELECT * FROM homes")


def test_others_wrote(tmp_path: Path) -> None:
    """A connection knows whether another one wrote, and does not take itself for one."""
    database = SQLiteDatabase(tmp_path / "mail.db")
    database.create()
    one, two = database.connect(writes=True), database.connect(writes=True)
    assert not one.others_wrote()
    one.run("INSERT INTO counters (name, value) VALUES ('x', 1)")
    assert not one.others_wrote()
    two.run("UPDATE counters SET value = 2 WHERE name = 'x'")
    assert one.others_wrote()
    assert not one.others_wrote()
    one.close()
    two.close()


def test_joined_bytes_are_unchanged(tmp_path: Path) -> None:
    """Byte strings that SQLite joins keep every byte, whatever they look like as text."""
    database = SQLiteDatabase(tmp_path / "mail.db")
    database.create()
    connection = database.connect(writes=True)
    parts = [bytes(range(256)), b"", b"\0\0", b"\xff\xfe\xc3", "é".encode("utf-16")]
    for number, data in enumerate(parts):
        connection.run("INSERT INTO bodies (id, data) VALUES (?, ?)", (number, data))
    dialect = SQLITE
    row = connection.one(
        f"SELECT {dialect.joined_bytes('data')}, {dialect.joined_numbers(dialect.length('data'))}"
        " FROM bodies"
    )
    assert row == (b"".join(parts), "256,0,2,3,4")
    connection.close()
