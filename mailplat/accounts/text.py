"""The accounts file: a line an account, in the manner of a passwd file.

::

    # comments and empty lines stay where they are
    alice@example.org:{ARGON2ID}$argon2id$v=19$…:alias=alice:quota-storage=5GiB
    bob@example.org:{BLF-CRYPT}$2y$12$…:address=bob@example.org:address=info@example.org
    old@example.org:{SSHA512}…:disabled=yes:full-name=Old Timer

The fields are separated by colons: the name, the password's hash with its scheme (empty: nobody can
log in), then any of these, in any order:

=================  ==============================================================================
``password=``      a further hash of the same password, as `{SCRAM-SHA-256}`; may be repeated
``address=``       an address whose mail it gets; may be repeated; empty for none.  Without any,
                   a name with an ``@`` is its own address
``alias=``         another name to log in with; may be repeated
``full-name=``     for people
``disabled=yes``   mail still comes in, nobody can log in
``quota-storage=`` what it may keep, as ``5GiB`` or in bytes
``quota-messages=`` how many messages it may keep
``set-NAME=``      the setting NAME (`model.account.Account.settings`)
=================  ==============================================================================

A colon, a percent sign or a control character within a field is written ``%3A``, ``%25``, ``%0A``.

Invariant: what is not changed is written as it was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from mailplat.accounts.directory import Directory, Entry
from mailplat.accounts.schemes import hashes_of, scheme_of
from mailplat.config.values import Size, Unfit, read_size, spell_size
from mailplat.model.account import Account
from mailplat.model.errors import AlreadyExists, Cannot, ConfigurationFault, Corrupt
from mailplat.model.mailbox import QuotaLimit

__all__ = ["HEADER", "Row", "directory_of", "read_rows", "rewrite", "write_rows"]

HEADER = """\
# The accounts of mailplat: name:{SCHEME}hash:key=value...
# `mailplatctl account` edits this file, also while the server runs; so may you.
# Keys: password, address, alias, full-name, disabled=yes, quota-storage, quota-messages, set-NAME.
"""

_UNSAFE = re.compile(r"[%:\x00-\x1f\x7f\x85\u2028\u2029]")
_MANY = {"address", "alias", "password"}
_ONE = {"full-name", "disabled", "quota-storage", "quota-messages"}
_SETTING = "set-"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file.

    Attributes:
        line: Its text, without the line end.
        entry: The account that it holds; None for a comment or an empty line.
    """

    line: str
    entry: Entry | None = None


def read_rows(text: str, name: str) -> list[Row]:
    """Read the text of an accounts file.

    Raises:
        ConfigurationFault: It cannot be used; the reason names every fault with its line.
    """
    rows: list[Row] = []
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            rows.append(Row(line))
            continue
        try:
            rows.append(Row(line, _read_entry(line)))
        except (ValueError, Corrupt) as error:
            rows.append(Row(line))
            faults.append(f"{name}:{number}: {error}")
    faults.extend(f"{name}:{fault}" for fault in _collisions(rows))
    if faults:
        raise ConfigurationFault("\n".join(faults))
    return rows[:-1] if rows and rows[-1].line == "" else rows


def _collisions(rows: Sequence[Row]) -> Iterator[str]:
    """Find the lines that contradict a line before them."""
    try:
        directory_of(rows)
        return
    except (AlreadyExists, Cannot):
        pass
    kept: list[Entry] = []
    for number, row in enumerate(rows, 1):
        if row.entry is not None:
            try:
                Directory([*kept, row.entry])
                kept.append(row.entry)
            except (AlreadyExists, Cannot) as error:
                yield f"{number}: {error}"


def _read_entry(line: str) -> Entry:
    name, *fields = (unquote(field) for field in line.split(":"))
    password = fields.pop(0) if fields else ""
    many: dict[str, list[str]] = {key: [] for key in _MANY}
    one: dict[str, str] = {}
    settings: dict[str, str] = {}
    for field in filter(None, fields):
        key, equals, value = field.partition("=")
        if key in _MANY and equals:
            many[key].append(value)
        elif key in _ONE and equals and key not in one:
            one[key] = value
        elif key.startswith(_SETTING) and equals and key.removeprefix(_SETTING) not in settings:
            settings[key.removeprefix(_SETTING)] = value
        else:
            known = ", ".join([*sorted(_MANY | _ONE), f"{_SETTING}NAME"])
            raise ValueError(f"found {field!r}, expected key=value with a key of {known}")
    hashes = [*hashes_of(password), *many["password"]]
    for hashed in hashes:
        scheme_of(hashed)
    if one.get("disabled", "no") not in {"yes", "no"}:
        raise ValueError(f"found disabled={one['disabled']}, expected yes or no")
    implied = [name] if "@" in name and not many["address"] else []
    account = Account(
        name=name.lower(),
        addresses=tuple(address.lower() for address in many["address"] + implied if address),
        full_name=one.get("full-name", ""),
        enabled=one.get("disabled") != "yes",
        quota=QuotaLimit(
            _number(one, "quota-storage", "5GiB"), _number(one, "quota-messages", "10000")
        ),
        aliases=tuple(alias.lower() for alias in many["alias"]),
        settings=tuple(sorted(settings.items())),
    )
    return Entry(account, "\n".join(hashes))


def _number(fields: dict[str, str], key: str, example: str) -> int | None:
    if key not in fields:
        return None
    try:
        return read_size(fields[key])
    except Unfit:
        raise ValueError(f"found {key}={fields[key]}, expected as in {key}={example}") from None


def write_rows(rows: Iterable[Row]) -> str:
    """Write the text of an accounts file."""
    return "".join(row.line + "\n" for row in rows)


def directory_of(rows: Iterable[Row]) -> Directory:
    """Give the accounts of a file's lines."""
    return Directory(row.entry for row in rows if row.entry is not None)


def rewrite(rows: Sequence[Row], directory: Directory) -> list[Row]:
    """Bring lines up to date: changed accounts in place, new ones at the end."""
    entries = {entry.account.name: entry for entry in directory}
    written = []
    for row in rows:
        if row.entry is None:
            written.append(row)
        elif entry := entries.pop(row.entry.account.name, None):
            written.append(row if entry == row.entry else _row(entry))
    return written + [_row(entry) for entry in entries.values()]


def _row(entry: Entry) -> Row:
    account = entry.account
    first, *others = hashes_of(entry.password) or [""]
    fields = [account.name, first, *(f"password={hashed}" for hashed in others)]
    fields += [f"alias={alias}" for alias in account.aliases]
    if account.addresses != ((account.name,) if "@" in account.name else ()):
        fields += [f"address={address}" for address in account.addresses or ("",)]
    if account.full_name:
        fields.append(f"full-name={account.full_name}")
    if not account.enabled:
        fields.append("disabled=yes")
    if account.quota.storage is not None:
        fields.append(f"quota-storage={spell_size(Size(account.quota.storage))}")
    if account.quota.messages is not None:
        fields.append(f"quota-messages={account.quota.messages}")
    fields += [f"{_SETTING}{name}={value}" for name, value in account.settings]
    return Row(":".join(_UNSAFE.sub(_escape, field) for field in fields), entry)


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
