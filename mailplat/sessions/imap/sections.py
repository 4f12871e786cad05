"""Which bytes a section of a message is: ``BODY[1.2.HEADER.FIELDS (TO)]<0.100>`` and its kin.

A section is answered from the summary where it can be (the message's own header) and else from a
range of the body, found in the part table without opening the body.  RFC 9051 §6.4.5.1 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mailplat.message import headers
from mailplat.message.encoding import Encoding, decode
from mailplat.message.parts import Specifier, find_section
from mailplat.model.errors import MailError
from mailplat.proto.imap.fetch_items import Section, SectionText
from mailplat.proto.imap.tokens import MAX_NUMBER64

__all__ = [
    "Piece",
    "UnknownEncoding",
    "from_header",
    "from_headers",
    "is_whole",
    "locate",
    "needs_header_only",
]

_SPECIFIERS = {
    SectionText.ALL: Specifier.BODY,
    SectionText.HEADER: Specifier.HEADER,
    SectionText.HEADER_FIELDS: Specifier.HEADER,
    SectionText.HEADER_FIELDS_NOT: Specifier.HEADER,
    SectionText.TEXT: Specifier.TEXT,
    SectionText.MIME: Specifier.MIME,
}
_HEADERS = {SectionText.HEADER, SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}


class UnknownEncoding(MailError):
    """A part's transfer encoding cannot be taken off (RFC 3516 §4.3)."""

    imap_code = "UNKNOWN-CTE"
    public = "Unknown transfer encoding"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body, and what is made of them.

    Attributes:
        start: The first byte to read.
        stop: The byte behind the last to read.
        fields: Picks header fields out of the bytes; None where that is not asked for.
        encoding: Is taken off; None where the bytes are wanted as they are.
        first: Of the bytes without their encoding, the first that is wanted.
        count: Of these, how many are wanted at most.
    """

    start: int
    stop: int
    fields: Callable[[bytes], bytes] | None = None
    encoding: Encoding | None = None
    first: int = 0
    count: int = MAX_NUMBER64

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return self.stop - self.start

    def finish(self, data: bytes) -> bytes:
        """Make the answer of what was read."""
        if self.fields is not None:
            return self.fields(data)
        if self.encoding is None:
            return data
        return decode(data, self.encoding)[self.first : self.first + self.count]


def needs_header_only(section: Section) -> bool:
    """Whether the message's own header is all that the section needs."""
    return not section.part and section.text in _HEADERS


def is_whole(section: Section) -> bool:
    """Whether the section is the message as a whole, or a range of that."""
    return not section.part and section.text is SectionText.ALL


def from_header(section: Section) -> Callable[[bytes], bytes]:
    """Give what makes the section's bytes out of a header."""
    pick = _picker(section)
    if section.partial is None:
        return pick
    first, count = section.partial
    return lambda header: pick(header)[first : first + count]


def from_headers(section: Section, column: Sequence[bytes]) -> Iterable[bytes]:
    """Make the section's bytes out of each of many headers."""
    if section.text is SectionText.HEADER_FIELDS and section.partial is None:
        return headers.fields_of_each(column, _names(section))
    return map(from_header(section), column)


def locate(section: Section, size: int, table: bytes) -> Piece | None:
    """Find a section's bytes in a message; None where the message has no such section.

    Args:
        section: What is asked for.
        size: The message's bytes.
        table: Its part table; not looked at where `is_whole`.

    Raises:
        UnknownEncoding: BINARY asks for a part whose encoding is not known.
    """
    if is_whole(section):
        whole = _partial(section, 0, size)
        # the message itself has no encoding: BINARY[] only may hold NUL
        return Piece(whole.start, whole.stop, encoding=_plain(section))
    found = find_section(table, section.part, _SPECIFIERS[section.text])
    if found is None:
        return None
    if section.text in (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT):
        return Piece(found.start, found.end, from_header(section))
    if not section.binary:
        return _partial(section, found.start, found.end)
    if found.encoding is Encoding.UNKNOWN:
        raise UnknownEncoding
    if found.encoding is Encoding.IDENTITY:
        part = _partial(section, found.start, found.end)
        return Piece(part.start, part.stop, encoding=_plain(section))
    first, count = section.partial or (0, MAX_NUMBER64)
    return Piece(found.start, found.end, None, found.encoding, first, count)


def _plain(section: Section) -> Encoding | None:
    return Encoding.IDENTITY if section.binary else None


def _partial(section: Section, start: int, end: int) -> Piece:
    """Cut a range as ``<first.count>`` says; behind the end nothing is left."""
    if section.partial is None:
        return Piece(start, end)
    first, count = section.partial
    start = min(start + first, end)
    return Piece(start, min(start + count, end))


def _names(section: Section) -> tuple[bytes, ...]:
    return tuple(name.encode("utf-8", "replace") for name in section.fields)


def _picker(section: Section) -> Callable[[bytes], bytes]:
    names = _names(section)
    if section.text is SectionText.HEADER_FIELDS:
        return lambda header: headers.fields(header, names)
    if section.text is SectionText.HEADER_FIELDS_NOT:
        return lambda header: headers.without(header, names)
    return lambda header: header
