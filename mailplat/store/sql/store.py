"""The SQL store as configuration names it: ``sql:`` and the URL of a database.

``sql:sqlite:///mail.db`` is a file below the data directory, ``sql:sqlite:////var/mail/mail.db``
one by its full path; ``sql:postgresql://USER@HOST/DATABASE`` is a database of PostgreSQL, named as
libpq takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailplat.interfaces.plugins import StoreSettings
from mailplat.model.errors import ConfigurationFault
from mailplat.store.blobs.bodies import BlobRules, SharedBodies
from mailplat.store.index.database import IndexDatabase
from mailplat.store.index.schema import CHUNK
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.store import IndexedStore, IndexLimits

__all__ = ["sql_database", "sql_store"]


def sql_store(
    argument: str,
    settings: StoreSettings,
    limits: IndexLimits | None = None,
    rules: BlobRules | None = None,
) -> IndexedStore:
    """Make a store out of a database's URL.  Does not open it.

    Args:
        argument: The URL.
        settings: What every store is told.
        limits: What it may take.
        rules: Which bodies are large; None for what the settings say.

    Raises:
        ConfigurationFault: The URL cannot be read; the reason says what is expected.
    """
    database = sql_database(argument, settings.directory, settings.lock_seconds)
    rules = rules or _rules(settings)
    bodies = SharedBodies(database.dialect, settings.reactor, settings.blobs, rules)
    keeper = None
    if database.dialect.name == "postgresql":
        from mailplat.store.sql.search import TextTable

        keeper = TextTable(database, bodies, settings.reactor)
    return IndexedStore(database, bodies, settings, limits, keeper)


def _rules(settings: StoreSettings) -> BlobRules:
    return BlobRules(larger=max(settings.blob_size, CHUNK), keep_seconds=settings.blob_seconds)


def sql_database(argument: str, directory: str, lock_seconds: float = 10.0) -> IndexDatabase:
    """Make a database out of its URL.  Does not open it.

    Args:
        argument: The URL.
        directory: Where relative paths begin.
        lock_seconds: How long to wait for another process that writes.

    Raises:
        ConfigurationFault: The URL cannot be read; the reason says what is expected.
    """
    dialect, colon, rest = argument.partition(":")
    make = _DIALECTS.get(dialect)
    if make is None or not colon:
        raise ConfigurationFault(
            f"sql:{argument}: expected sql:DIALECT:URL, where DIALECT is "
            f"{' or '.join(sorted(_DIALECTS))}; for instance sql:sqlite:///mail.db"
        )
    return make(rest, directory, lock_seconds)


def _sqlite(rest: str, directory: str, lock_seconds: float) -> IndexDatabase:
    path = rest.removeprefix("///")
    if path == rest or not path.strip("/") or path.endswith("/"):
        raise ConfigurationFault(
            f"sql:sqlite:{rest}: expected sql:sqlite:///FILE (below the data directory) or "
            "sql:sqlite:////FULL/PATH"
        )
    return SQLiteDatabase(Path(directory, path), busy_seconds=lock_seconds)


def _postgresql(rest: str, directory: str, lock_seconds: float) -> IndexDatabase:
    try:
        from mailplat.store.sql.postgresql import PostgreSQLDatabase
    except ImportError as error:
        raise ConfigurationFault(
            f"sql:postgresql: needs psycopg ({error}): pip install 'mailplat[postgresql]'"
        ) from error
    return PostgreSQLDatabase(f"postgresql:{rest}", busy_seconds=lock_seconds)


_DIALECTS: dict[str, Callable[[str, str, float], IndexDatabase]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
