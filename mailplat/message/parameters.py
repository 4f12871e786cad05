"""Parameters of MIME fields, with the continuations and charsets of RFC 2231.

``parse`` gives names and values as bytes, in the message's order.  Continuations are joined into
one parameter.  A value with a charset keeps that in the one form which travels in ASCII and which
every client reads: ``filename*`` with ``utf-8''%E2%82%AC``; RFC 9051 §7.5.2 would have a server
send bare UTF-8 there, which clients of today take for a percent-encoded value that lacks its
charset.  ``text`` decodes one parameter for people.

Broken spellings are taken as they are meant: blanks in values without quotes, quotes that never
close, comments, lone semicolons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mailplat.message import charsets, words

__all__ = ["MAX_PARAMETERS", "Parameters", "parse", "text", "token", "value_of"]

Parameters = tuple[tuple[bytes, bytes], ...]

MAX_PARAMETERS = 128
"""Parameters of one field; more are passed over (Dovecot 2.3.14 and later: 128)."""

_PARAMETER = re.compile(
    rb"""[;\s]*+                                # lone semicolons and blanks
    (?:\((?:[^()\\]++|\\.)*+\)\s*+)?+           # a comment
    ([^\s=;"(]++)\s*+=\s*+                      # the name
    (?:"((?:[^"\\]++|\\.)*+)"?+[^;]*+           # a quoted value and what follows it
      |([^;]*+))                                # or one without quotes
    """,
    re.VERBOSE | re.DOTALL,
)
_SKIP = re.compile(rb"[^;]*+;")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\s*\((?:[^()\\]++|\\.)*+\)\s*$", re.DOTALL)
_SECTION = re.compile(rb"([^*]+)\*(\d{1,4})(\*?)")
_LINE_END = re.compile(rb"\r*\n")
_TOKEN = re.compile(rb"[\s]*+(?:\((?:[^()\\]++|\\.)*+\)\s*+)?+([^\s;()\"]++)", re.DOTALL)


def token(value: bytes) -> bytes:
    """Give the token that a field's value starts with, ``b""`` if there is none."""
    found = _TOKEN.match(value)
    return found[1] if found else b""


def parse(value: bytes, limit: int = MAX_PARAMETERS) -> Parameters:
    """Read the parameters of a field's value, from its first semicolon on.

    Args:
        value: The whole value, or the rest of it from the semicolon on; folded or not.
        limit: Parameters to read at most.
    """
    at = value.find(b";")
    if at < 0:
        return ()
    if b"\n" in value:
        value = _LINE_END.sub(b"", value)
        at = value.find(b";")
    found: list[tuple[bytes, bytes]] = []
    sections = False
    while len(found) < limit:
        match = _PARAMETER.match(value, at)
        if match is None:
            skipped = _SKIP.match(value, at + 1)
            if skipped is None:
                break
            at = skipped.end() - 1
            continue
        name, quoted, bare = match.groups()
        at = match.end()
        if quoted is not None:
            bare = _QUOTED_PAIR.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        else:
            bare = (_COMMENT.sub(b"", bare) if b"(" in bare else bare).strip()
        found.append((name, bare))
        sections = sections or b"*" in name
    return _joined(found) if sections else tuple(found)


def _joined(found: Iterable[tuple[bytes, bytes]]) -> Parameters:
    """Join continuations (RFC 2231 §3) and turn charsets into UTF-8 (§4)."""
    plain: dict[bytes, tuple[bytes, bytes]] = {}
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    for name, value in found:
        section = _SECTION.fullmatch(name)
        if section is not None:
            key = section[1].lower()
            pieces.setdefault(key, {}).setdefault(int(section[2]), (bool(section[3]), value))
            plain.setdefault(key + b"*0", (section[1], b""))  # keeps the place
        elif name.endswith(b"*"):
            plain.setdefault(name.lower(), (name, _in_utf8(unquote_to_bytes(value))))
        else:
            plain.setdefault(name.lower(), (name, value))
    for key, parts in pieces.items():
        name = plain[key + b"*0"][0]
        joined, extended = b"", False
        for number in range(len(parts)):
            if number not in parts:
                break  # a gap: what stands behind it is lost (RFC 2231 §3)
            percent, value = parts[number]
            extended = extended or percent
            joined += unquote_to_bytes(value) if percent else value
        if extended:
            plain[key + b"*0"] = (name + b"*", _in_utf8(joined))
        else:
            plain[key + b"*0"] = (name, joined)
    return tuple(plain.values())


def _in_utf8(value: bytes) -> bytes:
    charset, mark, rest = value.partition(b"'")
    language, second, data = rest.partition(b"'")
    if not mark or not second:
        charset, language, data = b"", b"", value
    decoded = charsets.decode(data, charset.decode("latin-1")).encode("utf-8")
    return b"utf-8'" + language + b"'" + quote_from_bytes(decoded).encode("ascii")


def value_of(parameters: Parameters, name: bytes) -> bytes | None:
    """Give the first parameter of that name (in lower case), None if there is none."""
    for key, value in parameters:
        if key.lower() == name:
            return value
    return None


def text(parameters: Parameters, name: bytes) -> str | None:
    """Decode a parameter for people: RFC 2231 first, then encoded words, though they are wrong."""
    extended = value_of(parameters, name + b"*")
    if extended is not None:
        return unquote_to_bytes(extended.split(b"'", 2)[-1]).decode("utf-8", "replace")
    value = value_of(parameters, name)
    return None if value is None else words.decode(value)
