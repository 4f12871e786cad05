"""Which bytes a section of a message is: ``BODY[1.2.HEADER.FIELDS (TO)]<0.100>`` and its kin.

A section is answered from the summary where it can be (the message's own header) and else from a
range of the body, found in the part table without opening the body.  RFC 9051 §6.4.5.1 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailplat.message import headers
from mailplat.message.encoding import Encoding, decode
from mailplat.message.parts import Specifier, find_section
from mailplat.proto.imap.fetch_items import Section, SectionText

__all__ = ["Piece", "from_header", "locate", "needs_header_only"]

_SPECIFIERS = {
    SectionText.ALL: Specifier.BODY,
    SectionText.HEADER: Specifier.HEADER,
    SectionText.HEADER_FIELDS: Specifier.HEADER,
    SectionText.HEADER_FIELDS_NOT: Specifier.HEADER,
    SectionText.TEXT: Specifier.TEXT,
    SectionText.MIME: Specifier.MIME,
}
_HEADERS = {SectionText.HEADER, SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body, and what is made of them.

    Attributes:
        start: The first byte to read.
        stop: The byte behind the last to read.
        finish: Makes the answer of what was read; None where the bytes are the answer.
    """

    start: int
    stop: int
    finish: Callable[[bytes], bytes] | None = None

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return self.stop - self.start


def needs_header_only(section: Section) -> bool:
    """Whether the message's own header is all that the section needs."""
    return not section.part and section.text in _HEADERS


def from_header(section: Section) -> Callable[[bytes], bytes]:
    """Give what makes the section's bytes out of a header."""
    pick = _picker(section)
    if section.partial is None:
        return pick
    first, count = section.partial
    return lambda header: pick(header)[first : first + count]


def locate(section: Section, size: int, table: bytes) -> Piece | None:
    """Find a section's bytes in a message; None where the message has no such section.

    Args:
        section: What is asked for.
        size: The message's bytes.
        table: Its part table; not looked at for the message as a whole.
    """
    if not section.part and section.text is SectionText.ALL:
        return _partial(section, 0, size)
    found = find_section(table, section.part, _SPECIFIERS[section.text])
    if found is None:
        return None
    if section.text in (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT):
        return Piece(found.start, found.end, from_header(section))
    if section.binary and found.encoding is not Encoding.IDENTITY:
        return Piece(found.start, found.end, _decoder(section, found.encoding))
    return _partial(section, found.start, found.end)


def _partial(section: Section, start: int, end: int) -> Piece:
    """Cut a range as ``<first.count>`` says; behind the end nothing is left."""
    if section.partial is None:
        return Piece(start, end)
    first, count = section.partial
    start = min(start + first, end)
    return Piece(start, min(start + count, end))


def _picker(section: Section) -> Callable[[bytes], bytes]:
    names = tuple(name.encode("utf-8", "replace") for name in section.fields)
    if section.text is SectionText.HEADER_FIELDS:
        return lambda header: headers.fields(header, names)
    if section.text is SectionText.HEADER_FIELDS_NOT:
        return lambda header: headers.without(header, names)
    return lambda header: header


def _decoder(section: Section, encoding: Encoding) -> Callable[[bytes], bytes]:
    def finish(data: bytes) -> bytes:
        decoded = decode(data, encoding)
        if section.partial is None:
            return decoded
        first, count = section.partial
        return decoded[first : first + count]

    return finish
