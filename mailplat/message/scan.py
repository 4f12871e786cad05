"""The offset scanner: a message's MIME tree, found while its bytes go by (RFC 2045, RFC 2046).

Blocks come in cut anywhere; what comes out is the tree of parts as offsets into the message, with
the few header fields that ENVELOPE and BODYSTRUCTURE are made of.  The body is not kept.

Invariants:

- The same bytes give the same tree, however they were cut.
- No input raises.  Time is linear in the input for a fixed `ScanLimits.depth`: every boundary
  that is open is searched for once in every byte, and nothing is looked at line by line.
- Memory is bounded by the limits: one block, the headers, a few KiB of text for the preview.
- Offsets nest: a part lies within the part around it, and its header before its body.

How broken MIME is read:

- Only an empty line ends a header, or a delimiter line where it lacks that line.
- A delimiter line is the whole boundary, then blanks at most (RFC 2046 §5.1.1), so a boundary
  that another one starts with is no trouble.  Of nested multiparts with one boundary, the
  innermost takes the line.
- The line end before a delimiter belongs to the delimiter; after an end delimiter, its boundary
  means nothing any more; parts that are not closed end with the part around them.
- A multipart without a boundary is plain text (RFC 2045 §5.2), one in which no delimiter was
  found has one empty part, a type that cannot be read is the default type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.message import parameters
from mailplat.message.tree import US_ASCII, Kind, Part, Sample, Scan

__all__ = ["ScanLimits", "Scanner", "scan"]


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """How far the scanner goes; what lies beyond is one leaf of type application/octet-stream.

    Attributes:
        depth: Multiparts and messages inside each other (Dovecot: 100).
        parts: Parts of one message, multiparts included (Dovecot: 10,000).
        parameters: Parameters read of one Content-Type (Dovecot: 128).
        header_bytes: Bytes kept of one header; fields beyond are not seen
            (Postfix header_size_limit: 102,400).
        nested_header_bytes: Bytes read of all headers but the first, together.
        preview_bytes: Bytes of text kept to make the preview from.
        block_bytes: Bytes gathered before they are looked at, so that tiny blocks cost no more;
            at least 2.
    """

    depth: int = 100
    parts: int = 10_000
    parameters: int = 128
    header_bytes: int = 256 * 1024
    nested_header_bytes: int = 1024 * 1024
    preview_bytes: int = 8 * 1024
    block_bytes: int = 32 * 1024


_LONGEST_BOUNDARY = 250
"""Bytes (RFC 2046 §5.1.1 allows 70; more are met); a longer one counts as missing."""

_LEADING_EMPTY_LINE = re.compile(rb"\r?\n")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_BEHIND = re.compile(rb"(--)?+[ \t\r]{0,1000}+\n")
_BEHIND_AT_END = re.compile(rb"(--)?+[ \t\r]{0,1000}+(?:\n|\Z)")
_UNDECIDED = re.compile(rb"-{0,2}+[ \t\r]{0,1000}+\Z")
_CONTENT = re.compile(
    rb"\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-"
    rb"((?i:type|transfer-encoding|id|description|disposition|md5|language|location))"
    rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
)
_TYPE = re.compile(rb"[\s]*+([^\s/;()\"]++)\s*+/\s*+([^\s;()\"]++)")


_STRETCH = 8 * 1024
"""Bytes behind a hyphen that are searched for a boundary before hyphens are looked for again."""

_MISSES = 50
"""Lines that only began like a delimiter, after which a boundary gets an expression of its own."""


class _Boundary:
    """The boundary of an open multipart.

    Attributes:
        mark: What begins its delimiter lines: the LF before them, ``--`` and the boundary.
        level: Where the multipart stands in the path of open parts.
        next: Where in the data the next line stands that may be one; -1 while nobody looked.
        misses: How many such lines were none.
    """

    __slots__ = ("_pattern", "level", "mark", "misses", "next")

    def __init__(self, boundary: bytes, level: int) -> None:
        self.mark = b"\n--" + boundary
        self.level = level
        self.next = -1
        self.misses = 0
        self._pattern: re.Pattern[bytes] | None = None

    def look(self, data: bytes, start: int) -> None:
        """Find the next line."""
        found = -1
        if self.misses < _MISSES:
            # most bodies hold few hyphens, and one byte is found fastest
            while found < 0:
                hyphen = data.find(b"-", start)
                if hyphen < 0:
                    break
                end = hyphen + _STRETCH
                found = data.find(self.mark, max(hyphen - 1, start), end + len(self.mark))
                start = end
        else:
            if self._pattern is None:
                mark = re.escape(self.mark)
                self._pattern = re.compile(
                    mark + b"(?:" + _BEHIND.pattern + b"|" + _UNDECIDED.pattern + b")"
                )
            match = self._pattern.search(data, start)
            if match is not None:
                found = match.start()
        self.next = found if found >= 0 else len(data)


class Scanner:
    """Reads one message.

    ``receive`` all of it, then ``close``.
    """

    def __init__(self, limits: ScanLimits = ScanLimits()) -> None:
        self._limits = limits
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._enough = max(limits.block_bytes, 2)  # 2: a CRLF at the very start
        self._size = 0
        self._eight_bit = False
        self._nul = False

        # the block under work: what was left of the last ones, and the new one
        self._data = b""
        self._base = 0  # the offset of its first byte in the message
        self._at = 0  # where the unread bytes of the current part begin in it
        self._search_from = 0  # where the search for delimiters goes on
        self._undecided = -1  # a delimiter that more data must tell from other lines

        self._root = Part(0)
        self._path = [self._root]  # the open parts, from the root down
        self._boundaries: list[_Boundary] = []  # those still looked for, outermost first
        self._parts = 1

        self._in_header = True
        self._empty_line_from = -1  # where the search for the end of the header goes on
        self._header = bytearray()  # what earlier blocks had of it
        self._header_left = limits.header_bytes
        self._nested_left = limits.nested_header_bytes

        self._lines = 0  # line feeds up to `_counted`, but for stretches nobody asked about
        self._counted = 0
        self._counting = 0  # open parts that want their lines counted

        self._sampling: bytearray | None = None
        self._plain: Sample | None = None
        self._html: Sample | None = None

    def receive(self, block: bytes) -> None:
        """Take the next bytes of the message."""
        self._size += len(block)
        self._waiting_bytes += len(block)
        self._waiting.append(block)
        if self._waiting_bytes >= self._enough:
            self._read(final=False)

    def close(self) -> Scan:
        """Take the end of the message and give the result."""
        self._read(final=True)
        end = len(self._data)
        while self._in_header:
            self._end_header(end)
        self._close_parts(0, end)
        return Scan(self._root, self._size, self._eight_bit, self._nul, self._plain or self._html)

    def _read(self, final: bool) -> None:
        """Go through the data gathered, and keep what the next block may change."""
        new = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting = []
        self._waiting_bytes = 0
        self._eight_bit = self._eight_bit or not new.isascii()
        self._nul = self._nul or b"\0" in new
        self._data = data = self._data + new if self._data else new
        self._undecided = -1
        for boundary in self._boundaries:
            boundary.next = -1
        while True:
            delimiter = self._find_delimiter(final) if self._boundaries else None
            if self._in_header:
                before = delimiter[0] + 1 if delimiter is not None else len(data)
                end = self._find_end_of_header(before)
                if end >= 0:
                    self._end_header(end)
                    continue
            if delimiter is None:
                break
            self._take_delimiter(*delimiter)
        if not final:
            self._keep()

    def _find_end_of_header(self, before: int) -> int:
        """Find where the empty line ends that ends the header; -1 if it is not there yet."""
        if self._empty_line_from < 0:  # at the very start, where no line end comes before it
            leading = _LEADING_EMPTY_LINE.match(self._data)
            self._empty_line_from = 0
            if leading is not None:
                return leading.end()
        found = _EMPTY_LINE.search(self._data, self._empty_line_from, before)
        if found is not None:
            return found.end()
        self._empty_line_from = max(self._empty_line_from, before - 2)
        return -1

    def _end_header(self, end: int) -> None:
        """The header of the innermost part ends here: see what its body is."""
        part = self._path[-1]
        part.body_start = self._base + end
        if self._header:
            self._header += self._data[self._at : end]
            header = bytes(self._header[: self._header_left])
            self._header.clear()
        else:
            header = self._data[self._at : min(end, self._at + self._header_left)]
        self._at = end
        self._in_header = False
        path = self._path
        if len(path) == 1 or path[-2].kind is Kind.MESSAGE:
            part.header = header
        if len(path) > 1:
            self._nested_left -= len(header)
        boundary = self._describe(part, header)
        kind = part.kind
        if kind is Kind.MULTIPART:
            self._boundaries.append(_Boundary(boundary, len(path) - 1))
            self._search_from = end - 1  # the empty line may end with the LF before a delimiter
        elif kind is Kind.MESSAGE:
            self._count_lines(part, end)
            self._begin_part(end)
        elif kind is not Kind.LEAF:
            self._count_lines(part, end)
            if self._wants_sample(part):
                self._sampling = bytearray()

    def _describe(self, part: Part, header: bytes) -> bytes:
        """Set a part's type from its header; give the boundary if it is a multipart."""
        found = _CONTENT.findall(b"\n" + header)
        raw = b""
        if found:
            fields: dict[bytes, bytes] = {}
            for name, value in found:
                fields.setdefault(name.lower(), value)
            raw = fields.pop(b"type", b"")
            part.fields = fields
        match = _TYPE.match(raw) if raw else None
        within = self._path[-2] if len(self._path) > 1 else None
        if match is not None:
            part.type, part.subtype = match.groups()
            part.parameters = parameters.parse(raw[match.end() :], self._limits.parameters)
        elif within is None or within.kind is not Kind.MULTIPART:
            return b""
        elif within.subtype.lower() == b"digest":  # (RFC 2046 §5.1.5)
            part.type, part.subtype, part.parameters = b"message", b"rfc822", ()
        else:
            return b""
        return self._classify(part)

    def _classify(self, part: Part) -> bytes:
        main = part.type.lower()
        subtype = part.subtype.lower()
        if main == b"text":
            part.kind = {b"plain": Kind.PLAIN, b"html": Kind.HTML}.get(subtype, Kind.TEXT)
            return b""
        deep = len(self._path) > self._limits.depth
        if main == b"multipart":
            boundary = (parameters.value_of(part.parameters, b"boundary") or b"").rstrip()
            if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
                # what is not right is plain text (RFC 2045 §5.2)
                part.type, part.subtype, part.parameters = b"text", b"plain", US_ASCII
                return b""
            if not deep:
                part.kind = Kind.MULTIPART
                return boundary
        elif main == b"message" and subtype in (b"rfc822", b"global"):
            if not deep:
                part.kind = Kind.MESSAGE
                return b""
        else:
            part.kind = Kind.LEAF
            return b""
        _make_opaque(part)
        return b""

    def _begin_part(self, at: int) -> None:
        """A part begins within the innermost open one: its header comes next."""
        part = Part(self._base + at)
        self._path[-1].children.append(part)
        self._path.append(part)
        self._parts += 1
        self._at = at
        if self._parts >= self._limits.parts or self._nested_left <= 0:
            part.body_start = part.header_start
            _make_opaque(part)
            self._boundaries.clear()  # nothing ends it but the end of the message
            return
        self._header_left = min(self._limits.header_bytes, self._nested_left)
        self._in_header = True
        self._empty_line_from = at - 1

    def _find_delimiter(self, final: bool) -> tuple[int, int, _Boundary, bool] | None:
        """Find the next delimiter line of any open multipart.

        Returns:
            Where the LF before it is, where the line ends, whose it is, and whether it is the
            last one of its multipart; None if there is none in the data.
        """
        data, start = self._data, self._search_from
        while True:
            at = len(data)
            for boundary in self._boundaries:
                if boundary.next < start:
                    boundary.look(data, start)
                if boundary.next < at:
                    at = boundary.next
            if at == len(data):
                return None
            best: tuple[int, int, _Boundary, bool] | None = None
            for boundary in reversed(self._boundaries):
                if boundary.next != at:
                    continue
                behind = at + len(boundary.mark)
                line_end = (_BEHIND_AT_END if final else _BEHIND).match(data, behind)
                if line_end is not None:
                    if best is None or len(boundary.mark) > len(best[2].mark):
                        best = (at, line_end.end(), boundary, line_end[1] is not None)
                elif not final and _UNDECIDED.match(data, behind):
                    self._undecided = at
                    return None
                else:
                    boundary.misses += 1
            if best is not None:
                return best
            start = self._search_from = at + 1

    def _take_delimiter(self, at: int, line_end: int, boundary: _Boundary, last: bool) -> None:
        """End what the delimiter line ends, and begin the part that it begins."""
        while self._in_header:  # a header without its empty line
            self._end_header(at + 1)
        if not self._boundaries:
            return  # a limit was reached: all the rest is one leaf
        self._close_parts(boundary.level + 1, at - 1 if self._data[at - 1] == 13 else at)
        self._search_from = line_end - 1 if self._data[line_end - 1] == 10 else line_end
        if last:
            self._boundaries.remove(boundary)
        else:
            self._begin_part(line_end)

    def _close_parts(self, level: int, end: int) -> None:
        """Close the open parts from that level on; the innermost first."""
        path = self._path
        if len(path) <= level:
            return
        # a body that is empty may begin behind the line end that belongs to the delimiter
        end = max(end, path[-1].body_start - self._base)
        offset = self._base + end
        if self._sampling is not None:
            self._take_sample(end)
        if self._counting:
            self._count_to(end)
        while self._boundaries and self._boundaries[-1].level >= level:
            self._boundaries.pop()
        while len(path) > level:
            part = path.pop()
            part.end = offset
            kind = part.kind
            if kind is Kind.MULTIPART:
                if not part.children:
                    part.children.append(Part(offset, offset, offset))
            elif kind is not Kind.LEAF:
                part.lines += self._lines
                self._counting -= 1
        self._at = end

    def _count_lines(self, part: Part, at: int) -> None:
        """Count the lines of a part whose body begins here."""
        self._count_to(at)
        self._counting += 1
        part.lines = -self._lines

    def _count_to(self, end: int) -> None:
        if end > self._counted:
            if self._counting:
                self._lines += self._data.count(b"\n", self._counted, end)
            self._counted = end

    def _wants_sample(self, part: Part) -> bool:
        if self._plain is not None or (part.kind is Kind.HTML and self._html is not None):
            return False
        if part.kind is Kind.TEXT:
            return False
        disposition = part.fields.get(b"disposition")
        return disposition is None or parameters.token(disposition).lower() != b"attachment"

    def _take_sample(self, end: int) -> None:
        """The part that is sampled ends here."""
        part = self._path[-1]
        self._add_to_sample(end)
        sample = Sample(part, bytes(self._sampling or b""))
        self._sampling = None
        if part.kind is Kind.HTML:
            self._html = sample
        elif sample.data.strip():
            self._plain = sample

    def _add_to_sample(self, end: int) -> None:
        if self._sampling is not None:
            left = self._limits.preview_bytes - len(self._sampling)
            self._sampling += self._data[self._at : min(end, self._at + left)]

    def _keep(self) -> None:
        """Let go of the data, but for a tail that the next block may make a line of."""
        longest = max((len(boundary.mark) for boundary in self._boundaries), default=0)
        keep = len(self._data) - longest - 3  # 3: the CR before a delimiter, and LF CR before LF
        if self._undecided >= 0:
            keep = min(keep, self._undecided - 1)
        keep = max(keep, 0)
        if self._at < keep:
            if self._in_header:
                left = self._header_left - len(self._header)
                self._header += self._data[self._at : min(keep, self._at + left)]
            else:
                self._add_to_sample(keep)
        self._count_to(keep)
        self._data = self._data[keep:]
        self._base += keep
        self._at = max(self._at - keep, 0)
        self._search_from = max(self._search_from - keep, 0)
        self._empty_line_from = max(self._empty_line_from - keep, 0)
        self._counted -= keep


def _make_opaque(part: Part) -> None:
    """Beyond a limit, bytes are just bytes."""
    part.kind, part.type, part.subtype = Kind.LEAF, b"application", b"octet-stream"
    part.parameters = ()


def scan(message: bytes, limits: ScanLimits = ScanLimits()) -> Scan:
    """Scan a message that is at hand as a whole."""
    scanner = Scanner(limits)
    scanner.receive(message)
    return scanner.close()
