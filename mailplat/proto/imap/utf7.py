"""Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3, RFC 9051 §A.1), or UTF-8.

A client that has not enabled UTF-8 speaks modified UTF-7; the rest of mailplat knows text only.
A name that is not exactly what `encode` would make of it is refused: two spellings of one
mailbox would be two mailboxes to the client, and one to us.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

__all__ = ["decode", "encode"]

_SHIFTED = re.compile(rb"&([^&-]*)-")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def decode(name: bytes) -> str:
    """Read a name in modified UTF-7.

    Raises:
        ValueError: It is none, or not in its one spelling.
    """
    text = _SHIFTED.sub(_unshift, name).decode("utf-8")
    if encode(text) != name:
        raise ValueError("not modified UTF-7")
    return text


def encode(name: str) -> bytes:
    """Spell a name in modified UTF-7.

    Raises:
        ValueError: It holds half of a surrogate pair.
    """
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _UNPRINTABLE.sub(_shift, name.replace("&", "&-")).encode("ascii")


def _shift(run: re.Match[str]) -> str:
    digits = b64encode(run[0].encode("utf-16-be"), b"+,").rstrip(b"=")
    return "&" + digits.decode("ascii") + "-"


def _unshift(run: re.Match[bytes]) -> bytes:
    digits = run[1]
    if not digits:
        return b"&"
    units = b64decode(digits + b"=" * (-len(digits) % 4), b"+,", validate=True)
    return units.decode("utf-16-be").encode("utf-8")
