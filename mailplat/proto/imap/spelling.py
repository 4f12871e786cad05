"""How single things are spelled on the wire: strings, mailbox names, text for people.

Invariant: nothing that is spelled here can end a response early; CR, LF and NUL stand in
literals only.
"""

from __future__ import annotations

import re

from mailplat.proto.imap import utf7

__all__ = ["astring", "literal", "mailbox", "nstring", "quoted", "resp_text", "string"]

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_QUOTABLE = re.compile(rb"[^\x00\r\n\x80-\xff]{0,1000}")
_QUOTABLE_UTF8 = re.compile(rb"[^\x00\r\n]{0,1000}")
_SPECIAL = re.compile(rb'(["\\])')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def quoted(value: bytes) -> bytes:
    """Put a value in quotes; the caller knows that it holds no CR, LF or NUL."""
    if b'"' in value or b"\\" in value:
        value = _SPECIAL.sub(rb"\\\1", value)
    return b'"%b"' % value


def literal(value: bytes) -> bytes:
    """Spell a value as a literal."""
    return b"{%d}\r\n%b" % (len(value), value)


def string(value: bytes, *, utf8: bool = False) -> bytes:
    """Spell a value in quotes where that is allowed, else as a literal.

    Args:
        value: Any bytes.
        utf8: Whether the client takes UTF-8 in quotes (RFC 6855 §3, RFC 9051 §4.3).
    """
    if _QUOTABLE.fullmatch(value):
        return quoted(value)
    if utf8 and _QUOTABLE_UTF8.fullmatch(value):
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return literal(value)
        return quoted(value)
    return literal(value)


def nstring(value: bytes | None, *, utf8: bool = False) -> bytes:
    """Spell a value as `string` does, None as NIL."""
    return b"NIL" if value is None else string(value, utf8=utf8)


def astring(value: bytes, *, utf8: bool = False) -> bytes:
    """Spell a value as an atom where it is one, else as `string` does; NIL is no atom here."""
    if _ATOM.fullmatch(value) and value.upper() != b"NIL":
        return value
    return string(value, utf8=utf8)


def mailbox(name: str, *, utf8: bool) -> bytes:
    """Spell a mailbox name: modified UTF-7, or UTF-8 for a client that enabled it."""
    return astring(name.encode("utf-8") if utf8 else utf7.encode(name), utf8=utf8)


def resp_text(text: str, code: str = "", *, utf8: bool = False) -> bytes:
    """Spell a response code and a text for people (RFC 9051 §7.1).

    The text is never empty, and holds no control character; without ``utf8`` it is ASCII.
    """
    text = _CONTROL.sub(" ", text).strip() or "-"
    if text.startswith("[") and not code:  # or it would read as a code
        text = "- " + text
    encoded = text.encode("utf-8" if utf8 else "ascii", "replace")
    if not code:
        return encoded
    return b"[%b] %b" % (_CONTROL.sub(" ", code).encode("utf-8", "replace"), encoded)
