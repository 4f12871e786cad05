"""Canonicalisation: what DKIM and ARC hash (RFC 6376 §3.4).

Invariants:

- Bodies are worked on in blocks, with a few operations of bytes on each; where the blocks are cut
  makes no difference, and what is held between them is a few bytes, whatever the body is.
- Only CRLF ends a line.  A CR or LF that stands alone is a byte as any other.
- Fields are taken from the bottom of the header up, each one once (RFC 6376 §5.4.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from hashlib import sha256

__all__ = ["BodyHash", "Canonicalisation", "Fields", "relaxed_field"]

_FIELD = re.compile(
    rb"^([!-9;-~]++)[ \t]*+:([^\n]*+\n(?:[ \t][^\n]*+\n)*+)",
    re.MULTILINE,
)
_PAIRS = re.compile(rb"(?:\n\r)*+")
_CRLFS = b"\r\n" * 32_768


class Canonicalisation(StrEnum):
    """How much a message may change on its way before it is another one."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


def _one_blank(text: bytes) -> bytes:
    """Make one space of every run of spaces and tabs."""
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """Give a field in its relaxed form (RFC 6376 §3.4.2), with CRLF at its end."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return name.lower() + b":" + _one_blank(value).strip(b" ") + b"\r\n"


class Fields:
    """The fields of a header, for hashing.

    Args:
        header: The header, with or without its empty line.
    """

    def __init__(self, header: bytes) -> None:
        if not header.endswith(b"\n"):
            header += b"\r\n"
        self._found: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for field in _FIELD.finditer(header):
            name, value = field.groups()
            self._found.setdefault(name.lower(), []).append((field[0], value))

    def count(self, name: bytes) -> int:
        """Tell how many fields of that name (in lower case) there are."""
        return len(self._found.get(name, ()))

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of the fields of that name (in lower case), folds and line end included.

        The topmost is the first.
        """
        return [value for _, value in self._found.get(name, ())]

    def raw(self, name: bytes) -> list[bytes]:
        """Give the fields of that name (in lower case), byte for byte; the topmost is the first."""
        return [whole for whole, _ in self._found.get(name, ())]

    def picked(self, names: Iterable[bytes], how: Canonicalisation) -> bytes:
        """Give the fields that a signature names, in canonical form and in its order.

        A name that stands there once more than there are fields of it picks nothing: so a
        signer makes sure that none is added (RFC 6376 §5.4).
        """
        left: dict[bytes, int] = {}
        picked: list[bytes] = []
        for name in names:
            fields = self._found.get(name, ())
            at = left.get(name, len(fields)) - 1
            if at < 0:
                continue
            left[name] = at
            whole, value = fields[at]
            picked.append(whole if how is Canonicalisation.SIMPLE else relaxed_field(name, value))
        return b"".join(picked)


class _Body:
    """Gives a body's canonical form, in pieces, to ``take`` (RFC 6376 §3.4.3, §3.4.4)."""

    def __init__(self, how: Canonicalisation, take: Callable[[bytes], None]) -> None:
        self._relaxed = how is Canonicalisation.RELAXED
        self._take = take
        self._held = b""  # what the next bytes may make a line end of
        self._line_ends = 0  # those not given yet: what follows tells whether they are the last
        self._empty = True

    def receive(self, block: bytes) -> None:
        """Take the next bytes."""
        text = self._held + block
        held = b"\r" if text.endswith(b"\r") else b""
        if held:
            text = text[:-1]
        if self._relaxed:
            bare = text.rstrip(b" \t")
            if len(bare) < len(text):
                held = b" " + held
            text = _one_blank(bare).replace(b" \r\n", b"\r\n")
        self._held = held
        self._give(text)

    def finish(self) -> None:
        """All bytes came: end the last line."""
        if self._held.endswith(b"\r"):
            self._give(self._held)
        if not (self._relaxed and self._empty):
            self._take(b"\r\n")

    def _give(self, text: bytes) -> None:
        """Pass on all but the line ends at the end."""
        tail = len(text) - len(text.rstrip(b"\r\n"))
        pairs = _PAIRS.match(text[: -tail - 1 : -1])  # the tail, from its end
        assert pairs is not None  # it matches nothing as well
        rest = text[: len(text) - pairs.end()]
        if rest:
            while self._line_ends:
                now = min(self._line_ends, len(_CRLFS) // 2)
                self._take(_CRLFS[: 2 * now])
                self._line_ends -= now
            self._take(rest)
            self._empty = False
        self._line_ends += pairs.end() // 2


class BodyHash:
    """SHA-256 of a body's canonical form (RFC 6376 §3.7).

    Args:
        how: The canonicalisation.
        length: Bytes of the canonical form that count; None for all.

    Attributes:
        size: Bytes of the canonical form so far.
    """

    def __init__(self, how: Canonicalisation, length: int | None = None) -> None:
        self._hash = sha256()
        self._length = length
        self._body = _Body(how, self._take)
        self.size = 0

    def receive(self, block: bytes) -> None:
        """Take the next bytes of the body, which begins behind the header's empty line."""
        self._body.receive(block)

    def finish(self) -> bytes:
        """All bytes came: give the digest."""
        self._body.finish()
        return self._hash.digest()

    def _take(self, text: bytes) -> None:
        if self._length is None:
            self._hash.update(text)
        elif self.size < self._length:
            self._hash.update(text[: self._length - self.size])
        self.size += len(text)
