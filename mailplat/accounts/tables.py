"""Accounts in SQL: the tables, and each statement compiled once.

Statements are written with SQLAlchemy Core, for any dialect, and run as text on the raw driver:
a Core statement built a call costs twenty times what SQLite takes to answer it.

Names begin with ``account_``, so that the tables can live in one database with a store's.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
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
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.expression import ClauseElement

__all__ = [
    "ADDRESSES_OF",
    "ADD_ADDRESS",
    "ADD_ENTRY",
    "ADD_LOGIN",
    "ADD_SETTING",
    "ADD_VERSION",
    "ALL_ADDRESSES",
    "ALL_ENTRIES",
    "ALL_LOGINS",
    "ALL_SETTINGS",
    "CHANGE_ENTRY",
    "COUNT_ABLE",
    "COUNT_SCRAM",
    "CREATE",
    "FIND_BY_ADDRESS",
    "FIND_BY_LOGIN",
    "FIND_BY_NAME",
    "FIND_DECOY",
    "FIND_SCRAM_DECOY",
    "FIND_VERSION",
    "LOGINS_OF",
    "REMOVE_ADDRESSES",
    "REMOVE_ENTRY",
    "REMOVE_LOGINS",
    "REMOVE_SETTINGS",
    "SCHEMA_VERSION",
    "SETTINGS_OF",
    "SET_PASSWORD",
    "metadata",
]

SCHEMA_VERSION = 1

metadata = MetaData()

versions = Table(
    "account_schema",
    metadata,
    Column("version", Integer, nullable=False),
)

entries = Table(
    "account_entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password", Text, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("quota_storage", BigInteger),
    Column("quota_messages", BigInteger),
)

# names and aliases alike: one namespace
logins = Table(
    "account_logins",
    metadata,
    Column("login", Text, primary_key=True),
    Column("entry", ForeignKey(entries.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

addresses = Table(
    "account_addresses",
    metadata,
    Column("address", Text, primary_key=True),
    Column("entry", ForeignKey(entries.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

settings = Table(
    "account_settings",
    metadata,
    Column("entry", ForeignKey(entries.c.id, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


_dialect = sqlite.dialect(paramstyle="named")


def _text(statement: ClauseElement) -> str:
    """Compile a statement for SQLite; its parameters are named as ``:name``."""
    return str(statement.compile(dialect=_dialect))


CREATE = [
    *(_text(CreateTable(table, if_not_exists=True)) for table in metadata.sorted_tables),
    *(
        _text(CreateIndex(index, if_not_exists=True))
        for table in metadata.sorted_tables
        for index in table.indexes
    ),
]

FIND_VERSION = _text(select(versions.c.version))
ADD_VERSION = _text(insert(versions))

_whole = select(entries)
ALL_ENTRIES = _text(_whole.order_by(entries.c.name))
FIND_BY_NAME = _text(_whole.where(entries.c.name == bindparam("name")))
FIND_BY_LOGIN = _text(_whole.join(logins).where(logins.c.login == bindparam("login")))
FIND_BY_ADDRESS = _text(_whole.join(addresses).where(addresses.c.address == bindparam("address")))
FIND_DECOY = _text(
    select(entries.c.password)
    .where(entries.c.password != literal_column("''"))
    .order_by(entries.c.id)
)

# who can log in, and who of them has keys for an algorithm of SCRAM
_able = (
    select(func.count())
    .select_from(entries)
    .where(entries.c.enabled, entries.c.password != literal_column("''"))
)
_has_keys = func.instr(entries.c.password, bindparam("algorithm")) > literal_column("0")
COUNT_ABLE = _text(_able)
COUNT_SCRAM = _text(_able.where(_has_keys))
FIND_SCRAM_DECOY = _text(select(entries.c.password).where(_has_keys).order_by(entries.c.id))

ALL_LOGINS = _text(select(logins.c.entry, logins.c.login).order_by(logins.c.position))
ALL_ADDRESSES = _text(select(addresses.c.entry, addresses.c.address).order_by(addresses.c.position))
LOGINS_OF = _text(
    select(logins.c.login).where(logins.c.entry == bindparam("entry")).order_by(logins.c.position)
)
ADDRESSES_OF = _text(
    select(addresses.c.address)
    .where(addresses.c.entry == bindparam("entry"))
    .order_by(addresses.c.position)
)

ALL_SETTINGS = _text(select(settings).order_by(settings.c.name))
SETTINGS_OF = _text(
    select(settings.c.name, settings.c.value)
    .where(settings.c.entry == bindparam("entry"))
    .order_by(settings.c.name)
)

ADD_ENTRY = _text(
    insert(entries).values({c.name: bindparam(c.name) for c in entries.c if c.name != "id"})
)
ADD_LOGIN = _text(insert(logins))
ADD_ADDRESS = _text(insert(addresses))
ADD_SETTING = _text(insert(settings))
SET_PASSWORD = _text(
    update(entries).where(entries.c.name == bindparam("of")).values(password=bindparam("password"))
)
CHANGE_ENTRY = _text(
    update(entries)
    .where(entries.c.id == bindparam("entry"))
    .values(
        {
            name: bindparam(name)
            for name in ("full_name", "enabled", "quota_storage", "quota_messages")
        }
    )
)
REMOVE_ENTRY = _text(delete(entries).where(entries.c.name == bindparam("of")))
REMOVE_LOGINS = _text(delete(logins).where(logins.c.entry == bindparam("of")))
REMOVE_SETTINGS = _text(delete(settings).where(settings.c.entry == bindparam("of")))
REMOVE_ADDRESSES = _text(delete(addresses).where(addresses.c.entry == bindparam("of")))
