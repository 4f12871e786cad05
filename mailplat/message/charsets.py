"""Bytes of any charset to text, without ever failing.

Names come from strangers, so they are looked up in a table made once from the codecs that Python
has for text: a lookup by name would import a module a name, remember every wrong name for good,
and find codecs that are no charsets at all (zlib, rot13, idna).
"""

from __future__ import annotations

import codecs
import re
from encodings.aliases import aliases
from functools import lru_cache

__all__ = ["canonical", "decode"]

_NOT_CHARSETS = frozenset(
    ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem")
)
_PUNCTUATION = re.compile(r"[^a-z0-9]+")


def _key(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


def _is_charset(codec: str) -> bool:
    try:
        # made for text, not bytes to bytes: the mark that bytes.decode() itself goes by
        return codec not in _NOT_CHARSETS and codecs.lookup(codec)._is_text_encoding
    except LookupError:
        return False


def _known() -> dict[str, str]:
    table: dict[str, str] = {}
    for codec in sorted(set(aliases.values())):
        if _is_charset(codec):
            table[_key(codec)] = codec
    for alias, codec in aliases.items():
        if _is_charset(codec):
            table.setdefault(_key(alias), codec)
    # what mail says, and what it means by it (WHATWG Encoding §4.2 for the supersets)
    for said, meant in {
        "utf8mb4": "utf_8",
        "unicode11utf8": "utf_8",
        "unicode11utf7": "utf_7",
        "gb2312": "gb18030",
        "xgbk": "gb18030",
        "cngb": "gb18030",
        "ksc56011987": "cp949",
        "euckr": "cp949",
        "shiftjis": "cp932",
        "xsjis": "cp932",
        "iso88598i": "iso8859_8",
        "iso88598e": "iso8859_8",
        "iso88591": "cp1252",
        "xmacroman": "mac_roman",
        "macintosh": "mac_roman",
        "xmaccyrillic": "mac_cyrillic",
        "koi8": "koi8_r",
        "xwindows1251": "cp1251",
        "ansi": "cp1252",
        "default": "cp1252",
    }.items():
        table[said] = meant
    for number in (*range(1250, 1259), 874):
        for prefix in ("windows", "win", "xcp", "cp"):
            table.setdefault(f"{prefix}{number}", f"cp{number}")
    return table


_CODECS = _known()


def canonical(charset: str) -> str | None:
    """Give Python's name of the codec for a charset, None where there is none."""
    return _codec(charset) if len(charset) <= 64 else None


@lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    return _CODECS.get(_key(charset))


def decode(data: bytes, charset: str = "us-ascii") -> str:
    """Decode bytes, replacing what cannot be decoded.

    Bytes that break the rules of an unknown charset or of ASCII are read as UTF-8 if they are
    that, else as windows-1252.
    """
    codec = canonical(charset)
    if codec is not None and codec != "ascii":
        try:
            return data.decode(codec)
        except UnicodeError:
            if codec != "utf_8":
                return data.decode(codec, "replace")
    if data.isascii():
        return data.decode("ascii")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8" if codec == "utf_8" else "cp1252", "replace")
