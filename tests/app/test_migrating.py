"""Tests for `mailplat.app.upkeep.migrating`: revisions of the databases, there and back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.accounts import tables
from mailplat.accounts.sql import SQLAccounts
from mailplat.app.parts import make_store
from mailplat.app.upkeep.migrating import Schema, accounts_schema, schemas, store_schema
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, IStore, Target
from mailplat.model.account import Account
from mailplat.model.errors import ConfigurationFault, InUse, Unavailable
from mailplat.store.index.schema import SCHEMA_VERSION
from mailplat.store.sql.postgresql import PostgreSQLDatabase
from mailplat.testing.mails import mail, new_message
from mailplat.testing.postgresql import PostgreSQLServer

KINDS = ("sqlite", "postgresql", "maildir")
ALICE = [Target("alice")]


@pytest.fixture(params=KINDS)
def description(request: pytest.FixtureRequest) -> str:
    """A store that is not made yet, as configuration names it."""
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("postgresql")
        return f"sql:{server.new_schema()}"
    return {"sqlite": "sql:sqlite:///mail.db", "maildir": "maildir:mail"}[request.param]


@pytest.fixture
def open_store(description: str, tmp_path: Path) -> Callable[[], Awaitable[IStore]]:
    """Opens it; the test closes it."""

    async def opener() -> IStore:
        store = make_store(description, StoreSettings(reactor, str(tmp_path)))
        await store.open()
        return store

    return opener


def schema_of(description: str, directory: Path) -> Schema:
    """Find the schema of a store."""
    schema = store_schema(description, str(directory))
    assert schema is not None
    return schema


async def bodies(store: IStore) -> list[bytes | None]:
    """Read all of Alice's mail."""
    box = await (await store.open_home("alice")).open_mailbox("INBOX")
    state = await box.state(False)
    found = await box.bodies([BodyRange(uid, 0, 1000) for uid in state.uids])
    box.close()
    return list(found)


@pytest_twisted.ensureDeferred
async def test_there_and_back(
    description: str, open_store: Callable[[], Awaitable[IStore]], tmp_path: Path
) -> None:
    """Every revision back and up again keeps all mail, and who is too old or new is refused."""
    schema = schema_of(description, tmp_path)
    store = await open_store()
    await store.deliver(new_message(mail(1)), ALICE)
    kept = await bodies(store)
    if "sqlite" not in description:  # a file does not tell who has it open
        with pytest.raises(InUse):
            schema.downgrade()
    await store.close()
    newest = f"{SCHEMA_VERSION:04}"
    assert schema.current() == newest
    ids = [revision.id for revision in schema.history()]
    assert ids == sorted(ids, reverse=True)
    assert ids[0] == newest
    for older in ids[1:]:
        assert [one.id for one in schema.downgrade()] == [f"{int(older) + 1:04}"]
        assert schema.current() == older
        with pytest.raises(ConfigurationFault, match="mailplatctl db upgrade"):
            await open_store()
    with pytest.raises(ConfigurationFault, match="nothing before"):
        schema.downgrade()
    assert [one.id for one in schema.upgrade()] == ids[-2::-1]
    assert schema.upgrade() == []
    store = await open_store()
    assert await bodies(store) == kept
    (done,) = await store.deliver(new_message(mail(2)), ALICE)
    assert done.uids == (2,)
    await store.close()
    assert schema.downgrade("0001")
    with pytest.raises(ConfigurationFault, match="which is before"):
        schema.downgrade(newest)
    with pytest.raises(ConfigurationFault, match="no revision 0077"):
        schema.upgrade("0077")
    assert schema.upgrade(newest)
    with pytest.raises(ConfigurationFault, match="goes back"):
        schema.upgrade("0001")


def tables_of(path: Path) -> list[tuple[str, str]]:
    """Read the statements that a SQLite file was made by."""
    with sqlite3.connect(path) as raw:
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1")
        rows = found.fetchall()
    raw.close()
    return rows


@pytest_twisted.ensureDeferred
async def test_same_tables_on_sqlite(tmp_path: Path) -> None:
    """All revisions from nothing make what a server makes, to the letter."""
    for name in ("made", "upgraded"):
        description = f"sql:sqlite:///{name}"
        schema = schema_of(description, tmp_path)
        assert schema.current() is None
        if name == "made":
            store = make_store(description, StoreSettings(reactor, str(tmp_path)))
            await store.open()
            await store.close()
        else:
            schema.upgrade()
    assert tables_of(tmp_path / "made") == tables_of(tmp_path / "upgraded")


COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, collation_name, ordinal_position"
    " FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 6"
)
INDEXES = (
    "SELECT tablename, replace(indexdef, current_schema(), '')"
    " FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1, 2"
)


def test_same_tables_on_postgresql(postgresql: PostgreSQLServer, tmp_path: Path) -> None:
    """All revisions from nothing make what a server makes."""
    found = []
    for upgraded in (False, True):
        url = postgresql.new_schema()
        if upgraded:
            schema_of(f"sql:{url}", tmp_path).upgrade()
        else:
            PostgreSQLDatabase(url).create()
        with psycopg.connect(url) as connection:
            found.append([connection.execute(sql).fetchall() for sql in (COLUMNS, INDEXES)])
    assert found[0] == found[1]
    assert len(found[0][0]) > 60


@pytest_twisted.ensureDeferred
async def test_accounts(tmp_path: Path) -> None:
    """The accounts' revisions make what a server makes; there is nothing before the first."""
    accounts = SQLAccounts(tmp_path / "made", reactor)
    await accounts.open()
    await accounts.add(Account("alice"), "secret")
    await accounts.close()
    schema = accounts_schema("sql:sqlite:///made", str(tmp_path))
    upgraded = accounts_schema("sql:sqlite:///upgraded", str(tmp_path))
    assert schema is not None
    assert upgraded is not None
    upgraded.upgrade()
    assert schema.current() == upgraded.current() == f"{tables.SCHEMA_VERSION:04}"
    assert tables_of(tmp_path / "made") == tables_of(tmp_path / "upgraded")
    with pytest.raises(ConfigurationFault):
        schema.downgrade()


@pytest.mark.parametrize("description", KINDS[:2], indirect=True)
def test_a_step_that_fails(description: str, tmp_path: Path) -> None:
    """A revision that cannot be brought leaves the one before, whole; later it can."""
    schema = schema_of(description, tmp_path)
    schema.upgrade("0001")

    def run(sql: str) -> Any:
        with schema.engine().connect() as connection:
            connection.exec_driver_sql(sql)
            connection.commit()

    run("CREATE TABLE commits (mine INTEGER)")
    with pytest.raises(Unavailable, match="commits"):
        schema.upgrade()
    assert schema.current() == "0001"
    run("DROP TABLE commits")
    assert next(one.id for one in schema.upgrade()) == "0002"


def test_a_newer_one(tmp_path: Path) -> None:
    """Nobody touches what a newer version made."""
    schema = schema_of("sql:sqlite:///mail.db", tmp_path)
    schema.upgrade()
    with sqlite3.connect(tmp_path / "mail.db") as raw:
        raw.execute("UPDATE counters SET value = 999 WHERE name = 'schema'")
    raw.close()
    for change in (schema.upgrade, schema.downgrade):
        with pytest.raises(ConfigurationFault, match="newer mailplat"):
            change()


def test_what_has_no_schema(tmp_path: Path) -> None:
    """A store in memory and accounts in a file have none."""
    assert schemas("memory:", "file:accounts", str(tmp_path)) == []
    assert len(schemas("sql:sqlite:///a", "sql:sqlite:///a", str(tmp_path))) == 2


def test_alembic_comes_late() -> None:
    """Neither the server nor the command's help imports Alembic."""
    code = (
        "import sys, mailplat.app.server, mailplat.app.ctl.db, mailplat.app.upkeep.migrating;"
        "import mailplat.store.sql.store, mailplat.store.sql.postgresql;"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
