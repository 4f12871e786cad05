"""Accounts in an SQLite database, alone there or beside the mail (`mailplat.accounts.tables`).

Invariants:

- One thread of its own holds the one connection; the reactor never waits for it.
- A change is one transaction, and on the disk when its awaitable fires (WAL, synchronous=FULL).
- A database whose tables are newer than this program is refused, not guessed at.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailplat.accounts import tables
from mailplat.accounts.directory import Entry, check_account, taken
from mailplat.accounts.passwords import PasswordChecker
from mailplat.interfaces.accounts import IAccounts, IAccountsEditor, IScramAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.credentials import ScramKeys
from mailplat.model.errors import (
    AlreadyExists,
    ConfigurationFault,
    Corrupt,
    MailError,
    NoSuchAccount,
    StorageFull,
    Unavailable,
)
from mailplat.model.mailbox import QuotaLimit
from mailplat.proto.sasl import scram

__all__ = ["SQLAccounts"]

T = TypeVar("T")


@implementer(IAccounts, IAccountsEditor, IScramAccounts)
class SQLAccounts:
    """Reads and edits accounts in a database.

    Args:
        path: The database; made if it is not there.
        reactor: Twisted's reactor, for its threads and its clock.
        passwords: How passwords are kept and checked.
        busy: Seconds to wait for others who write to the database.
        recheck: Seconds after which it is found out anew what all accounts have keys for.
    """

    def __init__(
        self,
        path: Path,
        reactor: Any,
        passwords: PasswordSettings | None = None,
        *,
        busy: float = 10.0,
        recheck: float = 10.0,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._checker = PasswordChecker(reactor, passwords or PasswordSettings())
        self._busy = busy
        self._pool = ThreadPool(0, 1, "accounts")
        self._database: sqlite3.Connection | None = None
        self._recheck = recheck
        self._learn_at = 0.0
        self._algorithms: frozenset[str] = frozenset()

    async def open(self) -> None:
        """See `IAccounts.open`."""
        self._pool.start()
        try:
            self._database = await deferToThreadPool(
                self._reactor, self._pool, _connect, self._path, self._busy
            )
        except BaseException:
            self._pool.stop()
            raise
        self._checker.open()
        await self._learn()

    async def close(self) -> None:
        """See `IAccounts.close`."""
        await self._checker.close()
        if self._database is not None:
            database, self._database = self._database, None
            await deferToThreadPool(self._reactor, self._pool, database.close)
            self._pool.stop()

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        if self._reactor.seconds() >= self._learn_at:
            await self._learn()
        entry, decoy = await self._run(_find_login, _key(name))
        return await self._checker.log_in(name, password, entry, decoy)

    def scram_algorithms(self) -> Collection[str]:
        """See `IScramAccounts.scram_algorithms`."""
        return self._algorithms

    async def scram_keys(self, name: str, algorithm: str) -> ScramKeys:
        """See `IScramAccounts.scram_keys`."""
        entry = await self._run(_find, tables.FIND_BY_LOGIN, {"login": _key(name)})
        decoy = await self._run(_find_scram_decoy, algorithm)
        return self._checker.scram_keys(name, algorithm, entry, decoy)

    async def _learn(self) -> None:
        """Find out what everybody has keys for; others may change the database too."""
        self._learn_at = self._reactor.seconds() + self._recheck
        self._algorithms = await self._run(_scram_algorithms)

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        return _account_of(await self._run(_find, tables.FIND_BY_LOGIN, {"login": _key(name)}))

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        parameters = {"address": _key(address)}
        return _account_of(await self._run(_find, tables.FIND_BY_ADDRESS, parameters))

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return await self._run(_list)

    async def add(self, account: Account, password: str) -> None:
        """See `IAccountsEditor.add`."""
        check_account(account)
        await self._run(_check_free, account)  # refused before the hash is paid for
        hashed = await self._checker.hash(password)
        await self._run(_add, account, hashed)
        await self._learn()

    async def set_password(self, name: str, password: str) -> None:
        """See `IAccountsEditor.set_password`."""
        await self._run(_get, _key(name))
        hashed = await self._checker.hash(password)
        await self._run(_set_password, _key(name), hashed)
        await self._learn()

    async def replace(self, account: Account) -> None:
        """See `IAccountsEditor.replace`."""
        check_account(account)
        await self._run(_replace, account)
        await self._learn()

    async def remove(self, name: str) -> None:
        """See `IAccountsEditor.remove`."""
        await self._run(_remove, _key(name))
        await self._learn()

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        database = self._database
        if database is None:
            raise Unavailable(f"the accounts in {self._path} are not open")
        with _told_as_ours(self._path):
            return await deferToThreadPool(
                self._reactor, self._pool, _transaction, database, work, *args
            )


def _key(name: str) -> str:
    """Spell a name as it is looked for; what is not Unicode becomes something SQLite takes."""
    return name.lower().encode("utf-8", "replace").decode()


@contextmanager
def _told_as_ours(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into errors of the model."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = error.sqlite_errorcode
        kind: type[MailError] = StorageFull if code == sqlite3.SQLITE_FULL else Unavailable
        raise kind(f"the accounts in {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(f"the accounts in {path}: {error}") from error


# in the thread


def _connect(path: Path, busy: float) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # hashes are nobody else's
        database = sqlite3.connect(
            path, timeout=busy, check_same_thread=False, isolation_level=None
        )
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationFault(
            f"the accounts database {path} cannot be opened: {error}; its folder must be there, "
            "and be writable to the server"
        ) from error
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("BEGIN IMMEDIATE")
    with database:
        for statement in tables.CREATE:
            database.execute(statement)
        versions = [version for (version,) in database.execute(tables.FIND_VERSION)]
        if not versions:
            database.execute(tables.ADD_VERSION, {"version": tables.SCHEMA_VERSION})
        elif max(versions) > tables.SCHEMA_VERSION:
            raise ConfigurationFault(
                f"the accounts in {path} were written by a newer mailplat (schema "
                f"{max(versions)}, this one knows {tables.SCHEMA_VERSION}); use that one"
            )


def _transaction(database: sqlite3.Connection, work: Callable[..., T], *args: Any) -> T:
    if work in _WRITING:
        database.execute("BEGIN IMMEDIATE")
        with database:
            return work(database, *args)
    return work(database, *args)


def _entry(database: sqlite3.Connection, row: tuple[Any, ...]) -> Entry:
    parameters = {"entry": row[0]}
    logins = [login for (login,) in database.execute(tables.LOGINS_OF, parameters)]
    addresses = [address for (address,) in database.execute(tables.ADDRESSES_OF, parameters)]
    settings = database.execute(tables.SETTINGS_OF, parameters).fetchall()
    return _make(row, logins, addresses, settings)


def _make(
    row: tuple[Any, ...],
    logins: Sequence[str],
    addresses: Sequence[str],
    settings: Sequence[tuple[str, str]],
) -> Entry:
    _, name, password, full_name, enabled, storage, messages = row
    account = Account(
        name=name,
        addresses=tuple(addresses),
        full_name=full_name,
        enabled=bool(enabled),
        quota=QuotaLimit(storage, messages),
        aliases=tuple(login for login in logins if login != name),
        settings=tuple(settings),
    )
    return Entry(account, password)


def _account_of(entry: Entry | None) -> Account | None:
    return None if entry is None else entry.account


def _find(database: sqlite3.Connection, statement: str, parameters: dict[str, str]) -> Entry | None:
    row = database.execute(statement, parameters).fetchone()
    return None if row is None else _entry(database, row)


def _find_login(database: sqlite3.Connection, login: str) -> tuple[Entry | None, str]:
    """Find who has a log-in name, and a hash to check the passwords of unknown names against."""
    entry = _find(database, tables.FIND_BY_LOGIN, {"login": login})
    if entry is not None and entry.password:
        return entry, ""
    decoy = database.execute(tables.FIND_DECOY).fetchone()
    return entry, decoy[0] if decoy else ""


def _find_scram_decoy(database: sqlite3.Connection, algorithm: str) -> str:
    row = database.execute(tables.FIND_SCRAM_DECOY, {"algorithm": f"{{{algorithm}}}"}).fetchone()
    return row[0] if row else ""


def _scram_algorithms(database: sqlite3.Connection) -> frozenset[str]:
    ((total,),) = database.execute(tables.COUNT_ABLE)
    counts = {
        name: database.execute(tables.COUNT_SCRAM, {"algorithm": f"{{{name}}}"}).fetchone()[0]
        for name in scram.HASHES
    }
    return frozenset(name for name, count in counts.items() if total and count == total)


def _get(database: sqlite3.Connection, name: str) -> int:
    row = database.execute(tables.FIND_BY_NAME, {"name": name}).fetchone()
    if row is None:
        raise NoSuchAccount(f"there is no account {name}")
    number: int = row[0]
    return number


def _list(database: sqlite3.Connection) -> Sequence[Account]:
    database.execute("BEGIN")  # one state for all four statements
    with database:
        logins: dict[int, list[str]] = {}
        addresses: dict[int, list[str]] = {}
        for number, login in database.execute(tables.ALL_LOGINS):
            logins.setdefault(number, []).append(login)
        for number, address in database.execute(tables.ALL_ADDRESSES):
            addresses.setdefault(number, []).append(address)
        settings: dict[int, list[tuple[str, str]]] = {}
        for number, name, value in database.execute(tables.ALL_SETTINGS):
            settings.setdefault(number, []).append((name, value))
        return [
            _make(
                row,
                logins.get(row[0], []),
                addresses.get(row[0], []),
                settings.get(row[0], []),
            ).account
            for row in database.execute(tables.ALL_ENTRIES)
        ]


def _check_free(database: sqlite3.Connection, account: Account, own: int | None = None) -> None:
    """Make sure that no other account has one of the names or addresses."""
    for login in (account.name, *account.aliases):
        row = database.execute(tables.FIND_BY_LOGIN, {"login": login}).fetchone()
        if row is not None and row[0] != own:
            raise taken(login, row[1])
    for address in account.addresses:
        row = database.execute(tables.FIND_BY_ADDRESS, {"address": address}).fetchone()
        if row is not None and row[0] != own:
            raise AlreadyExists(f"{address} is an address of the account {row[1]}")


def _columns(account: Account) -> dict[str, Any]:
    return {
        "full_name": account.full_name,
        "enabled": account.enabled,
        "quota_storage": account.quota.storage,
        "quota_messages": account.quota.messages,
    }


def _write_names(database: sqlite3.Connection, number: int, account: Account) -> None:
    database.executemany(
        tables.ADD_LOGIN,
        [
            {"login": login, "entry": number, "position": position}
            for position, login in enumerate(dict.fromkeys((account.name, *account.aliases)))
        ],
    )
    database.executemany(
        tables.ADD_ADDRESS,
        [
            {"address": address, "entry": number, "position": position}
            for position, address in enumerate(dict.fromkeys(account.addresses))
        ],
    )
    database.executemany(
        tables.ADD_SETTING,
        [{"entry": number, "name": name, "value": value} for name, value in account.settings],
    )


def _add(database: sqlite3.Connection, account: Account, hashed: str) -> None:
    _check_free(database, account)
    parameters = {"name": account.name, "password": hashed, **_columns(account)}
    number = database.execute(tables.ADD_ENTRY, parameters).lastrowid
    assert number is not None
    _write_names(database, number, account)


def _set_password(database: sqlite3.Connection, name: str, hashed: str) -> None:
    _get(database, name)
    database.execute(tables.SET_PASSWORD, {"of": name, "password": hashed})


def _replace(database: sqlite3.Connection, account: Account) -> None:
    number = _get(database, account.name)
    _check_free(database, account, own=number)
    database.execute(tables.CHANGE_ENTRY, {"entry": number, **_columns(account)})
    database.execute(tables.REMOVE_LOGINS, {"of": number})
    database.execute(tables.REMOVE_ADDRESSES, {"of": number})
    database.execute(tables.REMOVE_SETTINGS, {"of": number})
    _write_names(database, number, account)


def _remove(database: sqlite3.Connection, name: str) -> None:
    _get(database, name)
    database.execute(tables.REMOVE_ENTRY, {"of": name})  # names and addresses go with it


_WRITING = {_add, _set_password, _replace, _remove}
