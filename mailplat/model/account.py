"""An account: someone who may log in, and whose mail is kept here."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

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
        settings: What else is said of it, name and value; what a name means, the part knows that
            reads it.  Sorted, each name once.
    """

    name: str
    addresses: tuple[str, ...] = ()
    full_name: str = ""
    enabled: bool = True
    quota: QuotaLimit = QuotaLimit()
    aliases: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    def setting(self, name: str, default: str = "") -> str:
        """Give the value of a setting."""
        return dict(self.settings).get(name, default)

    def with_setting(self, name: str, value: str | None) -> Account:
        """Give the account with a setting changed, or without it for None."""
        settings = {**dict(self.settings), name: value}
        kept = sorted((name, value) for name, value in settings.items() if value is not None)
        return replace(self, settings=tuple(kept))


def is_account_name(name: str) -> bool:
    """Whether an account may be called so: safe in a file name, a log line and a URL."""
    return _NAME.fullmatch(name) is not None and name.strip(".") != "" and name == name.lower()
