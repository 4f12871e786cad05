"""An account: someone who may log in, and whose mail is kept here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.model.mailbox import QuotaLimit

__all__ = ["Account", "is_account_name"]

_NAME = re.compile(r"[^\x00-\x20\x7f/\\:\"'<>|*?]{1,255}")


@dataclass(frozen=True, slots=True)
class Account:
    """One account.

    Attributes:
        name: What its owner logs in with, in lower case (``alice@example.org``).
        addresses: Addresses whose mail it gets, in lower case, as ``local@domain``.
        full_name: For people.
        enabled: False keeps the account's mail coming but lets nobody log in.
        quota: What it may keep.
        aliases: Other names its owner may log in with, in lower case (``alice``).
    """

    name: str
    addresses: tuple[str, ...] = ()
    full_name: str = ""
    enabled: bool = True
    quota: QuotaLimit = QuotaLimit()
    aliases: tuple[str, ...] = ()


def is_account_name(name: str) -> bool:
    """Whether an account may be called so: safe in a file name, a log line and a URL."""
    return _NAME.fullmatch(name) is not None and name.strip(".") != "" and name == name.lower()
