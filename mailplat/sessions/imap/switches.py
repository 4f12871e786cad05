"""Capabilities that are switched off: for all, for an account, for a kind of client.

A capability that others are built on takes these along: without CONDSTORE there is no QRESYNC
(RFC 7162 §3.2.3), without SORT no ESORT.

Invariant: names are in capitals; IMAP4REV1 is never among them, for it is the protocol itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate

from mailplat.model.account import Account

__all__ = ["ACCOUNT_SETTING", "ClientRule", "switches", "switches_of_account"]

ACCOUNT_SETTING = "imap-disabled"
"""The setting of an account that holds the names of capabilities, parted by commas or blanks."""

_TAKES_ALONG = {
    "CONDSTORE": ("QRESYNC",),
    "ESEARCH": ("SEARCHRES", "PARTIAL"),
    "LIST-EXTENDED": ("LIST-STATUS",),
    "QUOTA": ("QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"),
    "SORT": ("SORT=DISPLAY", "ESORT"),
}


def switches(names: Iterable[str]) -> frozenset[str]:
    """Give what is switched off by these names, in any case, with all that is built on them."""
    off = {name.upper() for name in names} - {"IMAP4REV1"}
    for name in tuple(off):
        off.update(_TAKES_ALONG.get(name, ()))
    return frozenset(off)


def switches_of_account(account: Account | None) -> frozenset[str]:
    """Give what an account's own setting switches off."""
    if account is None:
        return frozenset()
    return switches(account.setting(ACCOUNT_SETTING).replace(",", " ").split())


@dataclass(frozen=True, slots=True)
class ClientRule:
    """What a kind of client is not offered, going by what it says with ID (RFC 2971 §3.3).

    Attributes:
        name: A pattern with ``*`` and ``?`` for its name, in any case.
        version: Likewise for its version; a client that says none has an empty one.
        disabled: What is switched off for it.
    """

    name: str
    version: str = "*"
    disabled: frozenset[str] = frozenset()

    def matches(self, client_id: Mapping[str, str]) -> bool:
        """Whether a client is of the kind; one that never said who it is is of none."""
        return bool(client_id) and all(
            re.fullmatch(translate(pattern.lower()), client_id.get(field, "").lower()) is not None
            for field, pattern in (("name", self.name), ("version", self.version))
        )
