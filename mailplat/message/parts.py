"""The packed part table: where every section of a message lies, without opening its body.

A table is a byte of format and one record for each part, in the order of the message: offsets of
header, body and end; how many records the part's subtree takes; kind and transfer encoding.
BODY[1.2.MIME] is found by hopping over subtrees.

Part numbers go by RFC 9051 §6.4.5.1: parts of a multipart are counted from 1; a message that is
no multipart has the part 1, which is its body; numbers behind an embedded message go on with the
parts of that message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from mailplat.message import parameters
from mailplat.message.encoding import Encoding, encoding_of
from mailplat.message.tree import Kind, Part

__all__ = ["Entry", "Section", "Specifier", "find_section", "pack", "unpack"]

_NARROW = Struct("<IIIIBB")
_WIDE = Struct("<QQQIBB")
_FORMATS = {1: _NARROW, 2: _WIDE}


class Entry(NamedTuple):
    """One part in the table.

    Attributes:
        header_start: Offset of its header in the message, in bytes.
        body_start: Offset of its body.
        end: Offset behind its body.
        subtree: Records from this one to the last part within it, this one included.
        kind: What it is.
        encoding: Its transfer encoding.
    """

    header_start: int
    body_start: int
    end: int
    subtree: int
    kind: Kind
    encoding: Encoding


class Specifier(StrEnum):
    """What of a part a section names, behind its numbers."""

    BODY = ""
    HEADER = "HEADER"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """A range of the message.

    Attributes:
        start: Offset of its first byte.
        end: Offset behind its last one.
        encoding: What BINARY has to undo; IDENTITY for everything but the body of a leaf.
    """

    start: int
    end: int
    encoding: Encoding = Encoding.IDENTITY


def pack(root: Part) -> bytes:
    """Make the table of a scanned message."""
    entries: list[Entry] = []
    _list(root, entries)
    form = 1 if root.end < 1 << 32 else 2
    record = _FORMATS[form].pack
    return bytes((form,)) + b"".join([record(*entry) for entry in entries])


def _list(part: Part, entries: list[Entry]) -> None:
    encoding = Encoding.IDENTITY
    if part.kind < Kind.MULTIPART and b"transfer-encoding" in part.fields:
        encoding = encoding_of(parameters.token(part.fields[b"transfer-encoding"]))
    place = len(entries)
    entry = Entry(part.header_start, part.body_start, part.end, 1, part.kind, encoding)
    entries.append(entry)
    for child in part.children:
        _list(child, entries)
    if part.children:
        entries[place] = entry._replace(subtree=len(entries) - place)


def unpack(table: bytes) -> Iterator[Entry]:
    """Give the entries in the order of the message, a part before those within it."""
    record = _FORMATS[table[0]]
    for start, body, end, subtree, kind, encoding in record.iter_unpack(table[1:]):
        yield Entry(start, body, end, subtree, Kind(kind), Encoding(encoding))


def _entry(table: bytes, place: int) -> Entry:
    record = _FORMATS[table[0]]
    start, body, end, subtree, kind, encoding = record.unpack_from(table, 1 + place * record.size)
    return Entry(start, body, end, subtree, Kind(kind), Encoding(encoding))


def _child(table: bytes, place: int, number: int) -> int | None:
    """Find a part of a multipart by its number; give its place."""
    entry = _entry(table, place)
    last = place + entry.subtree
    place += 1
    while place < last:
        if number == 1:
            return place
        number -= 1
        place += _entry(table, place).subtree
    return None


def find_section(
    table: bytes, numbers: Sequence[int], specifier: Specifier = Specifier.BODY
) -> Section | None:
    """Find the range that a section names (RFC 9051 §6.4.5.1).

    Args:
        table: What `pack` made.
        numbers: The part numbers, none for the message itself.
        specifier: What stands behind them; HEADER also serves HEADER.FIELDS, whose fields
            `message.headers` picks out of the range.

    Returns:
        The range; None where the message has no such section.
    """
    place = 0
    message = True  # whether `place` is the root of a message, not yet a part of one
    for number in numbers:
        entry = _entry(table, place)
        if not message:
            if entry.kind is Kind.MESSAGE:
                place += 1
                entry = _entry(table, place)
            elif entry.kind is not Kind.MULTIPART:
                return None
        if entry.kind is Kind.MULTIPART:
            child = _child(table, place, number)
            if child is None:
                return None
            place = child
        elif number != 1:
            return None
        message = False
    entry = _entry(table, place)
    if specifier is Specifier.BODY:
        if message:
            return Section(entry.header_start, entry.end)
        return Section(entry.body_start, entry.end, entry.encoding)
    if specifier is Specifier.MIME:
        return None if message else Section(entry.header_start, entry.body_start)
    if not message:
        if entry.kind is not Kind.MESSAGE:
            return None
        entry = _entry(table, place + 1)
    if specifier is Specifier.HEADER:
        return Section(entry.header_start, entry.body_start)
    return Section(entry.body_start, entry.end)
