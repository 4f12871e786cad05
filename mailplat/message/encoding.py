"""Content transfer encodings, undone block by block (RFC 2045 §6).

A decoder takes blocks cut anywhere and gives the same bytes for the same input, however it is
cut.  It never fails: what breaks the rules of an encoding is passed over (base64) or kept as it
is (quoted-printable).
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from enum import IntEnum
from typing import Protocol

__all__ = [
    "Base64Decoder",
    "Decoder",
    "Encoding",
    "IdentityDecoder",
    "QuotedPrintableDecoder",
    "decode",
    "decoder",
    "encoding_of",
]


class Encoding(IntEnum):
    """What was done to a body for its transfer; the numbers are stored in part tables."""

    IDENTITY = 0
    BASE64 = 1
    QUOTED_PRINTABLE = 2
    UNKNOWN = 3
    """BINARY answers NO [UNKNOWN-CTE] to it (RFC 9051 §7.5.2)."""


_NAMES = {
    b"": Encoding.IDENTITY,
    b"7bit": Encoding.IDENTITY,
    b"8bit": Encoding.IDENTITY,
    b"binary": Encoding.IDENTITY,
    b"base64": Encoding.BASE64,
    b"quoted-printable": Encoding.QUOTED_PRINTABLE,
    # wrong, and common enough to be understood
    b"7-bit": Encoding.IDENTITY,
    b"8-bit": Encoding.IDENTITY,
    b"7bits": Encoding.IDENTITY,
    b"8bits": Encoding.IDENTITY,
    b"us-ascii": Encoding.IDENTITY,
    b"utf-8": Encoding.IDENTITY,
    b"none": Encoding.IDENTITY,
}


def encoding_of(name: bytes) -> Encoding:
    """Tell the encoding from the token in Content-Transfer-Encoding (RFC 2045 §6.1)."""
    return _NAMES.get(name.lower(), Encoding.UNKNOWN)


class Decoder(Protocol):
    """Undoes one encoding."""

    def receive(self, block: bytes) -> bytes:
        """Take encoded bytes; give what they and those before them surely mean."""

    def close(self) -> bytes:
        """Take the end of the data; give what was held back until now."""


class IdentityDecoder:
    """Gives every byte as it comes."""

    def receive(self, block: bytes) -> bytes:
        """Give the block back."""
        return block

    def close(self) -> bytes:
        """Give nothing: nothing was held back."""
        return b""


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))


class Base64Decoder:
    """Base64: characters outside the alphabet are passed over (RFC 2045 §6.8).

    The first ``=`` ends the data, as §6.8 allows to conclude.
    """

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    def receive(self, block: bytes) -> bytes:
        """Decode what makes whole groups of four characters."""
        if self._ended:
            return b""
        data = self._held + block.translate(None, _NOT_BASE64)
        end = data.find(b"=")
        if end >= 0:
            self._held, self._ended = data[:end], True
            return self._flush()
        whole = len(data) & ~3
        self._held = data[whole:]
        return a2b_base64(data[:whole])

    def close(self) -> bytes:
        """Decode a last group, whole or cut short."""
        return self._flush()

    def _flush(self) -> bytes:
        data, self._held = self._held, b""
        if len(data) % 4 == 1:
            data = data[:-1]  # six bits make no byte
        return a2b_base64(data + b"=" * (-len(data) % 4))


_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
_STRAY_EQUALS = re.compile(rb"=(?!\r?\n|[0-9A-Fa-f]{2})")


class QuotedPrintableDecoder:
    """Quoted-printable: blanks at a line's end go (RFC 2045 §6.7 rule 3), a stray ``=`` stays."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def receive(self, block: bytes) -> bytes:
        """Decode up to what the next block may change the meaning of."""
        if not block.strip(b" \t\r") and self._held:
            self._held.append(block)  # blanks alone decide nothing: joined once, later
            return b""
        data = b"".join((*self._held, block))
        solid = data.rstrip(b" \t\r")
        cut = len(solid)
        if solid.endswith(b"="):
            cut -= 1
        elif cut == len(data) and solid[-2:-1] == b"=":
            cut -= 2
        self._held = [data[cut:]] if cut < len(data) else []
        return self._decoded(data[:cut])

    def close(self) -> bytes:
        """Decode what was held back, without blanks, CR and a soft break that end the data."""
        data = b"".join(self._held).rstrip(b" \t\r")
        self._held = []
        return self._decoded(data.removesuffix(b"="))

    @staticmethod
    def _decoded(data: bytes) -> bytes:
        return a2b_qp(_STRAY_EQUALS.sub(b"=3D", _TRAILING_BLANKS.sub(b"", data)))


def decoder(encoding: Encoding) -> Decoder:
    """Make a decoder; one for an unknown encoding gives the bytes as they are."""
    if encoding is Encoding.BASE64:
        return Base64Decoder()
    if encoding is Encoding.QUOTED_PRINTABLE:
        return QuotedPrintableDecoder()
    return IdentityDecoder()


def decode(data: bytes, encoding: Encoding) -> bytes:
    """Undo an encoding of data that are at hand as a whole."""
    if encoding is Encoding.IDENTITY or encoding is Encoding.UNKNOWN:
        return data
    undo = decoder(encoding)
    return undo.receive(data) + undo.close()
