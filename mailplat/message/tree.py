"""The MIME tree of a message: parts as offsets into its bytes, as `message.scan` finds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from mailplat.message.parameters import Parameters

__all__ = ["US_ASCII", "Kind", "Part", "Sample", "Scan"]


class Kind(IntEnum):
    """What a part is to a reader of the tree; the numbers are stored in part tables."""

    LEAF = 0
    PLAIN = 1
    HTML = 2
    TEXT = 3
    """Text of another subtype."""
    MULTIPART = 4
    MESSAGE = 5
    """An embedded message: its one child is the root of that message's own tree."""


US_ASCII: Parameters = ((b"charset", b"us-ascii"),)
"""The parameters of the default type (RFC 2045 §5.2)."""

_NO_FIELDS: dict[bytes, bytes] = {}


@dataclass(slots=True)
class Part:
    """A node of the tree; the scanner fills it in, and nobody writes to it after `Scanner.close`.

    Attributes:
        header_start: Offset of the part's header in the message, in bytes.
        body_start: Offset behind the empty line that ends the header.
        end: Offset behind the body's last byte.
        lines: Line feeds in the body; counted for text and for embedded messages, else 0.
        kind: What it is.
        type: The media type as the message spells it.
        subtype: The subtype as the message spells it.
        parameters: The parameters of Content-Type.
        fields: The raw values of the other Content-... fields by the rest of their name in lower
            case (``disposition``); the first of each name.
        header: The header of a message or an embedded message, cut at
            `message.scan.ScanLimits.header_bytes`; ``b""`` for other parts.
        children: The parts of a multipart; the root of an embedded message.
    """

    header_start: int
    body_start: int = 0
    end: int = 0
    lines: int = 0
    kind: Kind = Kind.PLAIN
    type: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: Parameters = US_ASCII
    fields: dict[bytes, bytes] = field(default_factory=lambda: _NO_FIELDS)
    header: bytes = b""
    children: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """The first bytes of a text part, still in their transfer encoding."""

    part: Part
    data: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What a message turned out to be.

    Attributes:
        root: The tree.
        size: Bytes of the message.
        eight_bit: Whether any byte is above 127.
        nul: Whether any byte is 0.
        sample: The text that a preview is made from: the first plain text, else the first HTML,
            attachments left aside; None if there is neither.
    """

    root: Part
    size: int
    eight_bit: bool
    nul: bool
    sample: Sample | None
