"""An address of the envelope (RFC 5321 §4.1.2), as values; parsing it is `proto.smtp`'s work.

The local part is kept as it came, unquoted; the domain is kept as it came too, and compared
without regard to case (RFC 5321 §2.4).  Text may be beyond ASCII (RFC 6531 §3.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Address"]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address.

    Attributes:
        local: The local part without quotes or backslashes.
        domain: The domain or address literal (``[192.0.2.1]``); ``""`` only in the
            bare ``<Postmaster>`` (RFC 5321 §4.5.1).
    """

    local: str
    domain: str

    def __str__(self) -> str:
        """Spell the address as it goes between angle brackets, quoted where it must be."""
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> tuple[str, str]:
        """What equal mailboxes share here: both halves in lower case.

        RFC 5321 §2.4 lets the receiving host alone read the local part; this host reads
        it without regard to case, as its users expect.
        """
        return self.local.lower(), self.domain.lower()

    @property
    def ascii_only(self) -> bool:
        """Whether it can travel without SMTPUTF8 (RFC 6531 §3.2)."""
        return self.local.isascii() and self.domain.isascii()
