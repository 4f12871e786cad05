"""All accounts as one value, found by log-in name and by address.

Invariants:

- A `Directory` never changes; an edit gives a new one.
- A log-in name (an account's name or an alias) and an address each lead to one account.
- Names and addresses are in lower case, and safe in a line of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mailplat.model.account import Account, is_account_name
from mailplat.model.errors import AlreadyExists, Cannot, NoSuchAccount
from mailplat.proto.sasl.scram import HASHES

__all__ = ["Directory", "Entry", "check_account", "taken"]

_SETTING = re.compile(r"[a-z][a-z0-9-]{0,63}")

_NAMES = "lower case, no blanks, none of / \\ : \" ' < > | * ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """An account with its password.

    Attributes:
        account: The account.
        password: ``{SCHEME}hash``, of several a line each; ``""`` lets nobody log in.
    """

    account: Account
    password: str = field(repr=False)


class Directory:
    """Accounts that do not contradict each other.

    Raises:
        AlreadyExists: Two accounts share a log-in name or an address.
        Cannot: A name or an address cannot be.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = tuple(entries)
        self._algorithms: frozenset[str] | None = None
        self._by_login: dict[str, Entry] = {}
        self._by_address: dict[str, Entry] = {}
        for entry in self._entries:
            self._enter(entry)

    def _enter(self, entry: Entry) -> None:
        account = entry.account
        check_account(account)
        for login in (account.name, *account.aliases):
            if self._by_login.setdefault(login, entry) is not entry:
                raise taken(login, self._by_login[login].account.name)
        for address in account.addresses:
            if self._by_address.setdefault(address, entry) is not entry:
                other = self._by_address[address].account.name
                raise AlreadyExists(f"{address} is an address of the account {other}")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def accounts(self) -> Sequence[Account]:
        """All accounts, by name."""
        return sorted((entry.account for entry in self._entries), key=lambda one: one.name)

    @property
    def decoy(self) -> str:
        """A hash to check the passwords of unknown names against; ``""`` without accounts."""
        return next((entry.password for entry in self._entries if entry.password), "")

    @property
    def scram_algorithms(self) -> frozenset[str]:
        """The SCRAM algorithms that everybody who can log in has keys for."""
        if self._algorithms is None:
            able = [one.password for one in self._entries if one.password and one.account.enabled]
            self._algorithms = frozenset(
                name for name in HASHES if able and all(f"{{{name}}}" in hashes for hashes in able)
            )
        return self._algorithms

    def scram_decoy(self, algorithm: str) -> str:
        """Some account's hashes with keys for SCRAM; ``""`` if none has any."""
        return next((e.password for e in self._entries if f"{{{algorithm}}}" in e.password), "")

    def find_login(self, name: str) -> Entry | None:
        """Find an account by its name or an alias, in any case."""
        return self._by_login.get(name.lower())

    def find_address(self, address: str) -> Entry | None:
        """Find the account that gets an address's mail, in any case."""
        return self._by_address.get(address.lower())

    def get(self, name: str) -> Entry:
        """Give the account of a name, not of an alias.

        Raises:
            NoSuchAccount: There is none.
        """
        entry = self.find_login(name)
        if entry is None or entry.account.name != name.lower():
            raise NoSuchAccount(f"there is no account {name}")
        return entry

    def adding(self, account: Account, password: str) -> Directory:
        """Add an account; ``password`` is hashed."""
        return Directory((*self._entries, Entry(account, password)))

    def replacing(self, account: Account) -> Directory:
        """Change all but an account's password."""
        return self._exchange(self.get(account.name), account=account)

    def with_password(self, name: str, password: str) -> Directory:
        """Change an account's password; ``password`` is hashed."""
        return self._exchange(self.get(name), password=password)

    def removing(self, name: str) -> Directory:
        """Remove an account."""
        gone = self.get(name)
        return Directory(entry for entry in self._entries if entry is not gone)

    def _exchange(self, old: Entry, **changes: object) -> Directory:
        new = replace(old, **changes)  # type: ignore[arg-type]  # the callers give its fields
        return Directory(new if entry is old else entry for entry in self._entries)


def taken(login: str, owner: str) -> AlreadyExists:
    """Say that a log-in name belongs to someone."""
    if login == owner:
        return AlreadyExists(f"there is an account {login} already")
    return AlreadyExists(f"{login} is a log-in name of the account {owner}")


def check_account(account: Account) -> None:
    """Hold an account's names, addresses and settings to the rules.

    Raises:
        Cannot: One cannot be; the reason says which.
    """
    for name in (account.name, *account.aliases):
        if not (is_account_name(name) and name.isprintable()):
            raise Cannot(f"{name!r} cannot name an account: {_NAMES}")
    for address in account.addresses:
        local, at, domain = address.rpartition("@")
        safe = address.isprintable() and " " not in address and address == address.lower()
        if not (at and local and domain and safe and len(address) <= 320):
            raise Cannot(f"{address!r} is no address: expected local@domain in lower case")
    for setting, value in account.settings:
        if not _SETTING.fullmatch(setting):
            raise Cannot(f"{setting!r} is no setting: expected small letters, digits and hyphens")
        if any(0xD800 <= ord(char) < 0xE000 for char in value):
            raise Cannot(f"the setting {setting} is not Unicode")
    if any(0xD800 <= ord(char) < 0xE000 for char in account.full_name):
        raise Cannot("the full name is not Unicode")
