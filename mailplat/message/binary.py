"""Binary parts of a message put into base64, so that no NUL is left in it (RFC 3516 §4.4, §6).

A client may append a message with binary parts, but BODY[] must not give NUL to clients that do
not ask for BINARY (RFC 9051 §4.3.1).  So such parts are encoded before the message is stored; all
other bytes stay as they are, and BINARY gives back the very bytes of the part.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator

from mailplat.message import headers, parameters
from mailplat.message.edit import edit_header
from mailplat.message.encoding import Encoding, encoding_of
from mailplat.message.tree import Kind, Part
from mailplat.model.verdict import AddHeader, RemoveHeader

__all__ = ["CannotEncode", "encoded"]

_FIELD = "Content-Transfer-Encoding"
_BLOCK = 57 * 1000
"""Bytes that are encoded at once: whole lines of 76 characters (RFC 2045 §6.8)."""


class CannotEncode(Exception):
    """A NUL stands where no encoding can take it away: in a header, or between parts."""


def encoded(message: bytes, root: Part) -> Iterator[bytes]:
    """Give the message in pieces, every part with a NUL in base64.

    Args:
        message: The whole message.
        root: Its tree, of the scanner.

    Raises:
        CannotEncode: A NUL would be left.
    """
    edits: list[tuple[int, int, bytes]] = []
    found = _edit(message, root, edits)
    if found != message.count(b"\0"):
        raise CannotEncode
    at = 0
    for start, stop, piece in sorted(edits):
        yield message[at:start]
        yield piece
        at = stop
    yield message[at:]


def _edit(message: bytes, part: Part, edits: list[tuple[int, int, bytes]]) -> int:
    """Note what is to be put in the place of what; tell how many NULs that takes away."""
    encoding = encoding_of(parameters.token(part.fields.get(b"transfer-encoding", b"")))
    if part.kind >= Kind.MULTIPART:
        found = sum(_edit(message, child, edits) for child in part.children)
        if found and encoding is Encoding.IDENTITY and b"transfer-encoding" in part.fields:
            # RFC 2045 §6.4: what holds no binary part any more is not binary itself
            edits.append(_with_encoding(message, part, "8bit"))
        return found
    found = message.count(b"\0", part.body_start, part.end)
    if found and encoding is Encoding.IDENTITY:
        edits.append(_with_encoding(message, part, "base64"))
        edits.append((part.body_start, part.end, _base64(message[part.body_start : part.end])))
        return found
    return 0


def _with_encoding(message: bytes, part: Part, name: str) -> tuple[int, int, bytes]:
    header = message[part.header_start : part.body_start]
    changes: list[AddHeader | RemoveHeader] = [RemoveHeader(_FIELD), AddHeader(_FIELD, name, False)]
    if not part.header_start and headers.first(header, b"MIME-Version") is None:
        changes.append(AddHeader("MIME-Version", "1.0", False))
    return part.header_start, part.body_start, edit_header(header, changes)


def _base64(body: bytes) -> bytes:
    lines: list[bytes] = []
    for start in range(0, len(body), _BLOCK):
        text = b2a_base64(body[start : start + _BLOCK], newline=False)
        lines += [text[at : at + 76] for at in range(0, len(text), 76)]
    return b"\r\n".join(lines) + b"\r\n"
