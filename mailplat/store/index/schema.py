"""The tables of the index, for every dialect.

A message of a mailbox (`messages`) is small and points to its content, which copies share.  What is
read for whole mailboxes at once stands in `contents`; headers and bodies, which are larger, have
tables of their own so that the others stay dense.  Text made by strangers is kept as bytes: no
dialect may refuse or change it.

What a message needs to be found again is never computed from other rows: `homes` and `mailboxes`
carry their counters, changed in the transaction that changes what they count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from mailplat.model.errors import ConfigurationFault

__all__ = [
    "APPLICATION_ID",
    "CHUNK",
    "CHUNK_BITS",
    "SCHEMA_VERSION",
    "check_version",
    "metadata",
    "script",
]

SCHEMA_VERSION = 3
"""What this code reads and writes: the newest revision of ``mailplatctl db``."""

APPLICATION_ID = 0x4D504C54
"""Marks a SQLite file as ours ("MPLT"), in its header."""

CHUNK = 65536
"""Bytes of a body that one row holds, so that a range of a large one is found without the rest."""

CHUNK_BITS = 16
"""A chunk's id is its content's id, shifted by this, plus its number: 4 GiB a message."""

metadata = MetaData()

# ids are given by counters, not by the database: they are never given twice
_Id = BigInteger().with_variant(Integer, "sqlite")

# names are compared byte by byte everywhere
_Name = Text().with_variant(Text(collation="C"), "postgresql")

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

homes = Table(
    "homes",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("account", _Name, nullable=False, unique=True),
    Column("modseq", BigInteger, nullable=False),
    Column("storage", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("limited", Integer, nullable=False),
    Column("storage_limit", BigInteger),
    Column("messages_limit", BigInteger),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("home", _Id, nullable=False),
    Column("name", _Name, nullable=False),
    Column("mailbox_id", Text, nullable=False),
    Column("uid_validity", BigInteger, nullable=False),
    Column("uid_next", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),
    Column("recent_uid", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("recent", BigInteger, nullable=False),
    Column("unseen", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("log_start", BigInteger, nullable=False),
    Column("log_rows", BigInteger, nullable=False),
    Column("keywords", Text, nullable=False),
    Column("special_use", Text, nullable=False),
    UniqueConstraint("home", "name"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("home", _Id, primary_key=True, autoincrement=False),
    Column("name", _Name, primary_key=True),
    sqlite_with_rowid=False,
)

contents = Table(
    "contents",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("header_size", BigInteger, nullable=False),
    Column("traits", Integer, nullable=False),
    Column("sent", BigInteger),
    Column("envelope", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("bodystructure", LargeBinary, nullable=False),
    Column("parts", LargeBinary, nullable=False),
    Column("preview", LargeBinary, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("refs", LargeBinary, nullable=False),
    Column("base_subject", LargeBinary, nullable=False),
)

headers = Table(
    "headers",
    metadata,
    Column("content", _Id, primary_key=True, autoincrement=False),
    Column("header", LargeBinary, nullable=False),
)

bodies = Table(
    "bodies",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# large bodies, each once; chunks stand in `bodies` under their ids where they have no key
blobs = Table(
    "blobs",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("key", _Name, nullable=False),
    Column("unused", BigInteger, nullable=False),
)

# which contents have theirs there
shared = Table(
    "shared",
    metadata,
    Column("content", _Id, primary_key=True, autoincrement=False),
    Column("blob", _Id, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("mailbox", _Id, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("content", _Id, nullable=False),
    Column("mask", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("date", BigInteger, nullable=False),
    Column("saved", BigInteger, nullable=False),
    Column("place", Text, nullable=False),
    sqlite_with_rowid=False,
)

vanished = Table(
    "vanished",
    metadata,
    Column("mailbox", _Id, primary_key=True, autoincrement=False),
    Column("modseq", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

dropping = Table(
    "dropping",
    metadata,
    Column("mailbox", _Id, primary_key=True, autoincrement=False),
    Column("modseq", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("content", _Id, nullable=False),
    Column("place", Text, nullable=False),
    sqlite_with_rowid=False,
)

# the newest commits, for other processes on one database; see `Touched`
commits = Table(
    "commits",
    metadata,
    Column("number", _Id, primary_key=True, autoincrement=False),
    Column("touched", Text, nullable=False),
)

Index("messages_by_modseq", messages.c.mailbox, messages.c.modseq)
Index("messages_by_content", messages.c.content)
Index("dropping_by_content", dropping.c.content)
Index("blobs_by_digest", blobs.c.digest)
Index("blobs_by_key", blobs.c.key)
Index("blobs_by_unused", blobs.c.unused)
Index("shared_by_blob", shared.c.blob)


def script(dialect: Dialect) -> list[str]:
    """Write the statements that make an empty database ours."""
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    made += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    made.append(f"INSERT INTO counters (name, value) VALUES ('schema', {SCHEMA_VERSION})")
    return made


def check_version(name: str, found: Sequence[Any] | None) -> None:
    """Make sure that this code knows a schema.

    Args:
        name: The database, for the operator.
        found: The row with its version; None if there is none.

    Raises:
        ConfigurationFault: It is older or newer; the reason says the remedy.
    """
    version = found[0] if found else 0
    if version > SCHEMA_VERSION:
        raise ConfigurationFault(
            f"{name} has schema {version}, this server knows {SCHEMA_VERSION}: install the newer "
            "mailplat that wrote it, or let that one go back by `mailplatctl db downgrade "
            f"{SCHEMA_VERSION:04}`"
        )
    if version < SCHEMA_VERSION:
        raise ConfigurationFault(
            f"{name} has schema {version}, this server needs {SCHEMA_VERSION}: stop all servers, "
            "make a backup, and run `mailplatctl db upgrade`"
        )
