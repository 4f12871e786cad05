"""The spool's database: its tables, and how a connection to it is opened.

Durable is what was committed: the log is written ahead and flushed at every commit.  Readers see
the last commit and hold up nobody; another process (`mailplatctl queue`) waits its turn to write.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable

__all__ = ["SCHEMA_VERSION", "connect", "create"]

SCHEMA_VERSION = 2

_APPLICATION_ID = 0x6D70_7370  # "mpsp"

_SCHEMA = """
CREATE TABLE mail (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL UNIQUE,
    sender TEXT NOT NULL,           -- lower case, '' for <>
    parameters TEXT NOT NULL,       -- the sender with its parameters, as JSON
    arrived INTEGER NOT NULL,
    size INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    deadline INTEGER,
    in_file INTEGER NOT NULL
);
CREATE INDEX mail_deadline ON mail (deadline) WHERE held = 0;
CREATE INDEX mail_sender ON mail (sender);
CREATE TABLE body (
    mail INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
CREATE TABLE recipient (
    id INTEGER PRIMARY KEY,
    mail INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    notify TEXT NOT NULL,
    original TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    last TEXT,                      -- what came of the last attempt, as JSON
    due INTEGER,                    -- null while the mail is held
    targets TEXT,                   -- the mailboxes that were decided, as JSON, or null
    priority INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX recipient_mail ON recipient (mail);
CREATE INDEX recipient_due ON recipient (lane, due);
CREATE INDEX recipient_priority ON recipient (lane, priority, due) WHERE priority <> 0;
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    agent TEXT NOT NULL,
    destination TEXT NOT NULL,
    due INTEGER,
    blocked INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    last TEXT,
    ready INTEGER AS (max(due, blocked)) VIRTUAL,  -- null if due is
    UNIQUE (agent, destination)
);
CREATE INDEX lane_ready ON lane (ready) WHERE ready IS NOT NULL;
"""


_UPGRADES = {
    1: (
        "ALTER TABLE recipient ADD COLUMN targets TEXT",
        "ALTER TABLE recipient ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX recipient_priority ON recipient (lane, priority, due) WHERE priority <> 0",
    )
}
"""What brings a database from a version to the next."""


def create(path: Path, busy_seconds: float) -> None:
    """Make the database where there is none, bring an older one up, and see that it is ours.

    Raises:
        ConfigurationFault: It belongs to another program, or to a newer mailplat.
        Corrupt: It is no database.
        Unavailable: It cannot be opened.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        raw = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
        try:
            raw.execute("PRAGMA synchronous=FULL")
            raw.execute("PRAGMA auto_vacuum=INCREMENTAL")
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("BEGIN IMMEDIATE")
            (version,) = raw.execute("PRAGMA user_version").fetchone()
            (application,) = raw.execute("PRAGMA application_id").fetchone()
            (tables,) = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                for statement in _SCHEMA.split(";"):
                    raw.execute(statement)
                raw.execute(f"PRAGMA application_id={_APPLICATION_ID}")
                raw.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif application != _APPLICATION_ID or version > SCHEMA_VERSION:
                raise ConfigurationFault(
                    f"{path}: not a spool that this mailplat knows (schema {version}, this is "
                    f"{SCHEMA_VERSION}); install the mailplat that wrote it"
                )
            for older in range(version, SCHEMA_VERSION) if tables else ():
                for statement in _UPGRADES[older]:
                    raw.execute(statement)
                raw.execute(f"PRAGMA user_version={older + 1}")
            raw.execute("COMMIT")
        finally:
            raw.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise Unavailable(f"{path}: {error}") from error
        raise Corrupt(f"{path}: {error}") from error
    except OSError as error:
        raise Unavailable(f"{path}: {error}") from error


def connect(path: Path, busy_seconds: float, *, writes: bool) -> sqlite3.Connection:
    """Open a connection, which any thread may use, one at a time.

    Raises:
        Unavailable: It cannot be opened.
    """
    try:
        raw = sqlite3.connect(
            path,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        for pragma in (
            "synchronous=FULL",
            "secure_delete=OFF",
            "temp_store=MEMORY",
            "cache_size=-16384",
            "wal_autocheckpoint=4096",
            f"journal_size_limit={64 << 20}",
            f"query_only={int(not writes)}",
        ):
            raw.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        raise Unavailable(f"{path}: {error}") from error
    return raw
