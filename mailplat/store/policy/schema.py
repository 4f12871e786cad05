"""The policy table's one table, and its statements, compiled once for each dialect.

It stands by itself: in PostgreSQL beside the mail of the store's schema, in SQLite in a file of its
own, because a write into the file of the mail would wait for deliveries, and wake every reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

__all__ = ["POSTGRESQL", "SCHEMA_VERSION", "SQLITE", "Statements", "metadata"]

SCHEMA_VERSION = 1

metadata = MetaData()

_versions = Table("policy_schema", metadata, Column("version", Integer, nullable=False))

_entries = Table(
    "policy_entries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires", Double, nullable=False),
    Index("policy_entries_expires", "expires"),
)


@dataclass(frozen=True, slots=True)
class Statements:
    """What is said to a database.

    Attributes:
        create: Makes what is not there.
        find_version: The schema's version.
        add_version: Writes it down: ``version``.
        find: One entry: ``key``.
        put: Writes an entry, or writes over it: ``key``, ``value``, ``expires``.
        count: How many entries there are.
        expire: Removes what expired: ``now``.
        shrink: Removes so many entries that would expire next: ``most``.
    """

    create: tuple[str, ...]
    find_version: str
    add_version: str
    find: str
    put: str
    count: str
    expire: str
    shrink: str


def _statements(dialect: Any, upsert: Any) -> Statements:
    def text(statement: ClauseElement) -> str:
        return str(statement.compile(dialect=dialect))

    put: Any = upsert(_entries)
    put = put.on_conflict_do_update(
        index_elements=[_entries.c.key],
        set_={"value": put.excluded.value, "expires": put.excluded.expires},
    )
    next_ones = select(_entries.c.key).order_by(_entries.c.expires).limit(bindparam("most"))
    next_ones = next_ones.offset(literal_column("0"))  # SQLite would ask for it as a parameter
    return Statements(
        create=(
            *(text(CreateTable(one, if_not_exists=True)) for one in metadata.sorted_tables),
            *(text(CreateIndex(one, if_not_exists=True)) for one in _entries.indexes),
        ),
        find_version=text(select(_versions.c.version)),
        add_version=text(insert(_versions)),
        find=text(
            select(_entries.c.value, _entries.c.expires).where(
                _entries.c.key == bindparam("key", type_=Text)
            )
        ),
        put=text(put),
        count=text(select(func.count()).select_from(_entries)),
        expire=text(delete(_entries).where(_entries.c.expires <= bindparam("now", type_=Double))),
        shrink=text(delete(_entries).where(_entries.c.key.in_(next_ones))),
    )


SQLITE = _statements(sqlite.dialect(paramstyle="named"), sqlite.insert)

POSTGRESQL = _statements(postgresql.dialect(paramstyle="pyformat"), postgresql.insert)  # type: ignore[no-untyped-call]
