"""What messages are sorted by: texts, and of their headers the first address of a field.

Texts are compared as RFC 5051 has it (i;unicode-casemap): in capitals and decomposed, by code
point.  An empty one comes before all others (RFC 5256 §3).
"""

from __future__ import annotations

import unicodedata

from mailplat.message import addresses, headers, words

__all__ = ["display_key", "mailbox_key", "text_key"]


def text_key(text: str) -> str:
    """Put text into the one spelling in which it is compared."""
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFKD", text.upper())


def mailbox_key(header: bytes, field: bytes) -> str:
    """Give the local part of a field's first address (RFC 5256 §3 FROM, TO, CC)."""
    first = _first(header, field)
    return text_key((first.local or b"").decode("utf-8", "replace")) if first is not None else ""


def display_key(header: bytes, field: bytes) -> str:
    """Give what a client shows of a field's first address (RFC 5957 §3)."""
    first = _first(header, field)
    if first is None:
        return ""
    shown = text_key(words.decode(first.name or b""))
    if shown or first.local is None:
        return shown
    address = first.local + b"@" + first.host if first.host is not None else first.local
    return text_key(address.decode("utf-8", "replace"))


def _first(header: bytes, field: bytes) -> addresses.Mailbox | None:
    value = headers.first(header, field)
    found = addresses.parse(value, 1) if value else []
    return found[0] if found else None
