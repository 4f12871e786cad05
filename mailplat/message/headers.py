"""Header fields, byte for byte (RFC 5322 §2.2).

A header is the block of bytes from the first field to the empty line, with that line where there
is one.  Nothing here takes it apart line by line: one regular expression for each set of names
finds the wanted fields in the block, and what is returned are the message's own bytes, in its
order.  Bare LF, junk lines, NUL and 8 bit are taken as they come; a line that starts with a blank
goes on the field above it (RFC 5322 §2.2.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from mailplat.message.words import encode

__all__ = [
    "empty_line",
    "every",
    "exact_field",
    "field",
    "fields",
    "fields_of_each",
    "first",
    "is_name",
    "names",
    "pairs",
    "spans",
    "split",
    "unfold",
    "without",
]

_LINES = rb"[^\n]*+(?:\n[ \t][^\n]*+)*+"
_VALUE = rb"[ \t]*+:(" + _LINES + rb")"
_ANY = re.compile(rb"\n(([^\n:]++)" + _VALUE + rb")")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r*\n")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_COMPILED = 400
"""Bytes of names up to which a set is worth an expression of its own; beyond, a table is asked."""

_BETWEEN = b"\x00\xff\x00"
"""A line between headers that are looked through together; hardly one has it."""

_BREAKS = re.compile(rb"[\r\n\x00]")
_MOST_LINE = 998
"""Bytes of a line without its CRLF (RFC 5322 §2.1.1)."""

_FOLD_AT = 78
"""Characters a line of a new field should not pass (RFC 5322 §2.1.1)."""

_CUT_AT = 900
"""Characters no line of a new field passes (RFC 5322 §2.1.1 allows 998)."""


@lru_cache(maxsize=512)
def _matching(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Compile what finds the fields of these names, each behind the LF of the line before it.

    Letters become sets of both cases: the matcher then rejects most lines on their first byte.
    The first group is the field without its last LF, the second its value.
    """
    return re.compile(rb"\n((?:" + b"|".join(map(_either_case, names)) + rb")" + _VALUE + rb")")


@lru_cache(maxsize=128)
def _matching_each(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Compile what finds whole fields as `_matching` does, and the lines between headers."""
    name = b"|".join(map(_either_case, names))
    return re.compile(rb"\n((?:" + name + rb")[ \t]*+:" + _LINES + rb"|" + _BETWEEN + rb")")


def _either_case(name: bytes) -> bytes:
    return b"".join(
        b"[%c%c]" % (low, up) if low != up else re.escape(bytes((low,)))
        for low, up in zip(name.lower(), name.upper(), strict=True)
    )


def _found(header: bytes, names: tuple[bytes, ...]) -> Iterator[re.Match[bytes]]:
    """Find the fields of these names in the header with a LF put before it."""
    if not names:
        return iter(())
    block = b"\n" + header
    if sum(map(len, names)) <= _COMPILED:
        return _matching(names).finditer(block)
    wanted = frozenset(name.lower() for name in names)
    return (found for found in _ANY.finditer(block) if found[2].rstrip().lower() in wanted)


def empty_line(header: bytes) -> bytes:
    """Give the empty line that ends a header, ``b""`` where it has none."""
    if header.endswith(b"\n\r\n") or header == b"\r\n":
        return b"\r\n"
    if header.endswith(b"\n\n") or header == b"\n":
        return b"\n"
    return b""


def split(message: bytes) -> tuple[bytes, bytes]:
    """Cut a message behind the empty line that ends its header."""
    if message.startswith((b"\r\n", b"\n")):
        end = message.index(b"\n") + 1
    else:
        found = _EMPTY_LINE.search(message)
        end = found.end() if found else len(message)
    return message[:end], message[end:]


def fields(header: bytes, names: Iterable[bytes]) -> bytes:
    """Pick the fields of these names, as BODY[HEADER.FIELDS (..)] wants them.

    The original bytes in the original order, with the header's empty line behind them
    (RFC 9051 §6.4.5.1); names match without regard to case.
    """
    names = tuple(names)
    end = empty_line(header)
    if names and sum(map(len, names)) <= _COMPILED:
        lines = [whole for whole, _ in _matching(names).findall(b"\n" + header)]
    else:
        lines = [found[1] for found in _found(header, names)]
    if not lines:
        return end
    picked = b"\n".join((*lines, end))
    if not header.endswith(b"\n") and (b"\n" + header).endswith(b"\n" + lines[-1]):
        return picked[:-1]  # the message stops within this line
    return picked


def fields_of_each(headers: Sequence[bytes], names: Iterable[bytes]) -> list[bytes]:
    """Pick the fields of these names in each of many headers, as `fields` does in one.

    All are looked through at once, with a line between them, unless one is unusual.
    """
    names = tuple(names)
    behind = _BETWEEN + b"\n"
    if names and sum(map(len, names)) <= _COMPILED:
        block = b"\n" + behind.join([*headers, b""])
        usual = sum([header.endswith(b"\n\r\n") for header in headers]) == len(headers)
        if usual and block.count(_BETWEEN) == len(headers):
            found = b"\n".join([*_matching_each(names).findall(block), b""])
            return [picked + b"\r\n" for picked in found.split(behind)[:-1]]
    return [fields(header, names) for header in headers]


def without(header: bytes, names: Iterable[bytes], value: bytes | None = None) -> bytes:
    """Leave out the fields of these names, as BODY[HEADER.FIELDS.NOT (..)] wants it.

    The rest, empty line included, keeps its bytes and its order (RFC 9051 §6.4.5.1).  With a
    value, only fields that have just it when unfolded are left out.
    """
    kept: list[bytes] = []
    at = 0
    for found in _found(header, tuple(names)):
        if value is not None and unfold(found[0].partition(b":")[2]) != value:
            continue
        start, end = found.span(1)
        kept.append(header[at : start - 1])
        at = end  # behind the LF of the field: the header lacks the LF put before the block
    kept.append(header[at:])
    return b"".join(kept)


def names(header: bytes) -> list[str]:
    """List the names of all fields in their order, in lower case."""
    found = _ANY.findall(b"\n" + header)
    return [name.decode("ascii", "replace").strip().lower() for _, name, _ in found]


def pairs(header: bytes) -> list[tuple[bytes, bytes]]:
    """List names and values of all fields in their order; values keep their folds, and CRLF."""
    found = _ANY.findall(b"\n" + header)
    return [(name.strip(), value.lstrip(b" \t") + b"\n") for _, name, value in found]


def spans(header: bytes, name: bytes | None = None) -> list[tuple[int, int]]:
    """Tell where the fields, of that name or all of them, begin and end, their last LF included."""
    pattern = _ANY if name is None else _matching((name,))
    found = (match.span(1) for match in pattern.finditer(b"\n" + header))
    return [(start - 1, min(end, len(header))) for start, end in found]


def every(header: bytes, name: bytes) -> list[bytes]:
    """List the values of all fields of that name, unfolded."""
    return [unfold(value) for _, value in _matching((name,)).findall(b"\n" + header)]


def first(header: bytes, name: bytes) -> bytes | None:
    """Give the value of the first field of that name, unfolded; None if there is none."""
    found = _matching((name,)).search(b"\n" + header)
    return None if found is None else unfold(found[2])


def unfold(value: bytes) -> bytes:
    """Make one line of a field's value, without white space around it (RFC 5322 §2.2.3)."""
    if b"\n" in value:
        value = _FOLD.sub(b"", value)
    return value.strip(b" \t\r")


def is_name(name: str) -> bool:
    """Tell whether a field can have that name (RFC 5322 §2.2), and a reader is asked to take it."""
    return _NAME.fullmatch(name) is not None


def exact_field(name: str, value: bytes) -> bytes:
    """Make a field of just these bytes, if none of them can leave it.

    Args:
        name: The field's name.
        value: All that stands between the colon and the last CRLF; a line behind a CRLF in it
            begins with a blank and has more than blanks (RFC 5322 §2.2.3).

    Raises:
        ValueError: It is no field, or has a line beyond 998 bytes (RFC 5322 §2.1.1).
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header field name: {name!r}")
    field = name.encode("ascii") + b":" + value
    first, *folds = field.split(b"\r\n")
    if any(line[:1] not in (b" ", b"\t") or not line.strip(b" \t") for line in folds):
        raise ValueError("a line of the field would end it")
    if any(len(line) > _MOST_LINE or _BREAKS.search(line) for line in (first, *folds)):
        raise ValueError("a line of the field is too long, or breaks")
    return field + b"\r\n"


def field(name: str, value: str) -> bytes:
    """Make a field that is safe to put into a header.

    Control characters of the value become blanks, so that nothing can inject a second field;
    text beyond ASCII becomes encoded words (RFC 2047); lines are folded at 78 characters where
    there is a blank to fold at, and at 900 where there is none; runs of blanks become one.

    Raises:
        ValueError: The name is no field name (RFC 5322 §3.6.8).
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header field name: {name!r}")
    line = f"{name}:"
    lines: list[str] = []
    for word in encode(_CONTROL.sub(" ", value)).split():
        if len(line) + 1 + len(word) > _FOLD_AT and line[-1:] != ":":
            lines.append(line)
            line = ""
        line += " " + word
        while len(line) > _CUT_AT:
            lines.append(line[:_CUT_AT])
            line = " " + line[_CUT_AT:]
    lines.append(line)
    return ("\r\n".join(lines) + "\r\n").encode("ascii")
