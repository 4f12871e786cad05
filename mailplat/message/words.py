"""Encoded words of header fields (RFC 2047), to text and back.

Decoding never fails: what is no encoded word stays as it is, and raw bytes beyond ASCII are read
as UTF-8 (RFC 6532 §3.1), or as windows-1252 where they are not that.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_qp
from collections.abc import Iterator

from mailplat.message import charsets
from mailplat.message.encoding import Encoding
from mailplat.message.encoding import decode as transfer_decode

__all__ = ["decode", "encode"]

# the language behind "*" is of no use here (RFC 2231 §5)
_WORD = re.compile(rb"=\?([^\s?*]{1,64}+)(?:\*[^\s?]{0,64}+)?\?([BbQq])\?([^?\n]*+)\?=")
_CHUNK = 45
"""Bytes of UTF-8 in one word: 60 in base64, and 75 with its frame at most (RFC 2047 §2)."""


def decode(value: bytes) -> str:
    """Decode the encoded words of an unfolded field value, or of a phrase in one.

    White space between two encoded words goes (RFC 2047 §6.2).  Neighbours of one charset are
    joined before they are decoded, since many mailers cut a character in two.
    """
    if b"=?" not in value:
        return charsets.decode(value)
    text: list[str] = []
    joined: list[bytes] = []  # words of one charset, not yet decoded
    charset, end = b"", 0
    for found in _WORD.finditer(value):
        between = value[end : found.start()]
        if joined and (between.strip() or charset.lower() != found[1].lower()):
            text.append(charsets.decode(b"".join(joined), charset.decode("latin-1")))
            joined = []
        if between.strip() or not end:
            text.append(charsets.decode(between))
        charset = found[1]
        if found[2] in b"Bb":
            joined.append(transfer_decode(found[3], Encoding.BASE64))
        else:
            joined.append(a2b_qp(found[3], header=True))
        end = found.end()
    text.append(charsets.decode(b"".join(joined), charset.decode("latin-1")))
    text.append(charsets.decode(value[end:]))
    return "".join(text)


def encode(text: str) -> str:
    """Spell text for a header: ASCII words as they are, runs of others as encoded words."""
    if text.isascii() and "=?" not in text:
        return text
    spelt: list[str] = []
    run: list[str] = []
    for word in text.split(" "):
        if not word.isascii() or "=?" in word:
            run.append(word)
            continue
        if run:
            spelt.extend(_words(" ".join(run)))
            run = []
        spelt.append(word)
    if run:
        spelt.extend(_words(" ".join(run)))
    return " ".join(spelt)


def _words(text: str) -> Iterator[str]:
    chunk = b""
    for character in text:
        more = character.encode("utf-8", "replace")
        if len(chunk) + len(more) > _CHUNK:
            yield _word(chunk)
            chunk = b""
        chunk += more
    yield _word(chunk)


def _word(chunk: bytes) -> str:
    return f"=?utf-8?b?{b64encode(chunk).decode('ascii')}?="
