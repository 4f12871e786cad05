"""IMAP's ``nstring``, as it goes on the wire (RFC 9051 §4.3, §9).

Quoted where the bytes allow it, else a literal; NUL never goes out.  A literal from a server
needs no continuation, so the bytes are ready to be sent as they are.
"""

from __future__ import annotations

import re

__all__ = ["NIL", "nstring", "string"]

NIL = b"NIL"

_MAX_QUOTED = 1000
"""Bytes up to which a string is quoted; longer ones spare readers of lines by being literals."""

_PLAIN = re.compile(rb"[\t -!#-\[\]-~]*+")
_QUOTABLE = re.compile(rb"[\t -~]*+")
_ESCAPED = re.compile(rb'(["\\])')


def string(value: bytes) -> bytes:
    """Spell a string: quoted if it is printable ASCII, a literal otherwise."""
    if len(value) <= _MAX_QUOTED:
        if _PLAIN.fullmatch(value):
            return b'"' + value + b'"'
        if _QUOTABLE.fullmatch(value):
            return b'"' + _ESCAPED.sub(rb"\\\1", value) + b'"'
    value = value.replace(b"\0", b"")
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """Spell a string, or NIL for None."""
    return NIL if value is None else string(value)
