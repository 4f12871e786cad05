"""The words of a message: what a preview shows and what SEARCH looks through."""

from __future__ import annotations

import re
from html import unescape

from mailplat.message import charsets, headers, parameters, words
from mailplat.message.encoding import decode, encoding_of
from mailplat.message.parts import unpack
from mailplat.message.tree import Kind, Sample

__all__ = ["MAX_SEARCHED", "fold", "preview", "search_header", "search_text"]

MAX_SEARCHED = 32 * 1024 * 1024
"""Bytes of encoded text of one message that are made searchable; text beyond is not found."""

_PREVIEW = 200
"""Characters (RFC 8970 §3.3: 200 at best, 256 at most)."""

_FIRST_LOOK = 1000
"""Characters that nearly always hold a whole preview."""

_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|head|title)\b.*?(?:</\1\s*>|\Z)|<[^>]*+(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED_LINES = re.compile(r"^>.*$", re.MULTILINE)
# controls, and what only steers the direction or the width of text
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")


def preview(sample: Sample | None) -> str:
    """Make the preview of a message from the text that the scanner kept (RFC 8970 §3.3)."""
    if sample is None:
        return ""
    part = sample.part
    encoding = encoding_of(parameters.token(part.fields.get(b"transfer-encoding", b"")))
    text = charsets.decode(decode(sample.data, encoding), _charset(part.parameters))
    if part.kind is Kind.HTML:
        text = unescape(_UNSEEN.sub(" ", text))
    elif ">" in text:
        own = _QUOTED_LINES.sub("", text)
        text = own if own.strip() else text
    shown = _one_line(text[:_FIRST_LOOK])
    if len(shown) < _PREVIEW < len(text):
        shown = _one_line(text)  # mostly blanks so far
    return shown[:_PREVIEW].rstrip()


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return " ".join(_INVISIBLE.sub(" ", line).split()) if _INVISIBLE.search(line) else line


def _charset(given: parameters.Parameters) -> str:
    return (parameters.value_of(given, b"charset") or b"us-ascii").decode("latin-1")


def fold(text: str) -> str:
    """Give text the one spelling in which it is compared, whatever its case."""
    return text.casefold()


def search_header(header: bytes) -> str:
    """Give a header's fields as SEARCH looks through them: unfolded, decoded, case folded."""
    lines = _LINES.split(header.rstrip(b"\r\n"))
    return fold("\n".join([words.decode(headers.unfold(line)) for line in lines]))


_LINES = re.compile(rb"\r?\n(?![ \t])")


def search_text(message: bytes, parts: bytes, limit: int = MAX_SEARCHED) -> str:
    """Give a body's text as SEARCH BODY looks through it: decoded, case folded.

    All parts of text, and the headers of parts and of embedded messages; the message's own
    header is not of the body (RFC 9051 §6.4.4).

    Args:
        message: The whole message.
        parts: Its part table.
        limit: Bytes of encoded text to look at.
    """
    found: list[str] = []
    for place, entry in enumerate(unpack(parts)):
        header = message[entry.header_start : entry.body_start]
        if place:
            found.append(search_header(header))
        if not Kind.PLAIN <= entry.kind <= Kind.TEXT or limit <= 0:
            continue
        body = message[entry.body_start : min(entry.end, entry.body_start + limit)]
        limit -= len(body)
        value = headers.first(header, b"content-type")
        charset = _charset(parameters.parse(value)) if value is not None else "us-ascii"
        text = charsets.decode(decode(body, entry.encoding), charset)
        found.append(fold(unescape(text) if entry.kind is Kind.HTML else text))
    return "\n".join(found)
