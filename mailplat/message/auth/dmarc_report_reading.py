"""Aggregate reports of others, read: foreign XML, so nothing of it is believed (RFC 7489 §7.2).

Invariants:

- A document type is refused, and with it every entity; nothing outside the file is ever read.
- What is unpacked, how deep it is nested, how many rows and how long a value is: all is bounded.
- Elements that are not known are skipped, whatever namespace they are in: so the reports of later
  texts (RFC 9990) are read too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from xml.parsers.expat import ExpatError, ParserCreate
from zipfile import BadZipFile, ZipFile

from mailplat.message.auth.dmarc_report import (
    AggregateReport,
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
)

__all__ = ["ReadingLimits", "ReportFault", "read_report", "unpacked"]


class ReportFault(ValueError):
    """It cannot be read as a report; the text says why, and can be shown to anyone."""


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How much a report may hold.

    Attributes:
        size: Bytes of XML.
        rows: Rows.
        depth: Elements within each other.
        value: Characters of one value.
        elements: Elements of a row, and of all that is no row.
    """

    size: int = 64 * 1024 * 1024
    rows: int = 100_000
    depth: int = 16
    value: int = 4096
    elements: int = 10_000


_LIMITS = ReadingLimits()
_NUMBER_DIGITS = 15


@dataclass(slots=True)
class _Element:
    """An element, its namespace left out."""

    name: str
    text: str = ""
    inside: list[_Element] = field(default_factory=list)

    def every(self, name: str) -> Iterator[_Element]:
        return (one for one in self.inside if one.name == name)

    def one(self, name: str) -> _Element:
        """Give the first of a name; an empty one if there is none."""
        return next(self.every(name), _Element(name))

    def value(self, name: str, otherwise: str = "") -> str:
        return self.one(name).text.strip() or otherwise

    def number(self, name: str, otherwise: int | None = None) -> int:
        """Read a whole number (some write ``1767225600.0``).

        Raises:
            ReportFault: There is none.
        """
        text = self.value(name).partition(".")[0]
        if text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS:
            return int(text)
        if otherwise is None or text:
            raise ReportFault(f"<{name}> is not a number")
        return otherwise


def unpacked(data: bytes, limits: ReadingLimits = _LIMITS) -> bytes:
    """Give the XML that a file holds, whether compressed by gzip, by zip, or not at all.

    Raises:
        ReportFault: It cannot be unpacked, or is too large.
    """
    if data.startswith(b"\x1f\x8b"):
        xml = _gunzipped(data, limits.size)
    elif data.startswith(b"PK\x03\x04"):
        xml = _unzipped(data, limits.size)
    else:
        xml = data
    if len(xml) > limits.size:
        raise ReportFault(f"unpacked it has more than {limits.size} bytes")
    return xml


def _gunzipped(data: bytes, size: int) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(data, size + 1)
    except zlib.error:
        raise ReportFault("not a whole gzip file") from None
    if len(found) <= size and not unpacking.eof:
        raise ReportFault("not a whole gzip file")
    return found


def _unzipped(data: bytes, size: int) -> bytes:
    try:
        with ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise ReportFault("not one file in the zip archive")
            with archive.open(names[0]) as file:
                return file.read(size + 1)
    except (BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error, OSError):
        # encrypted, another method, cut short
        raise ReportFault("not a zip archive that can be read") from None


def read_report(xml: bytes, limits: ReadingLimits = _LIMITS) -> AggregateReport:
    """Read a report.

    Raises:
        ReportFault: It is none, or breaks a limit.
    """
    root, rows = _tree(xml, limits)
    if root.name != "feedback":
        raise ReportFault(f"<{root.name}> is not <feedback>")
    about, policy = root.one("report_metadata"), root.one("policy_published")
    span = about.one("date_range")
    return AggregateReport(
        organisation=about.value("org_name"),
        email=about.value("email"),
        report_id=about.value("report_id"),
        begin=span.number("begin"),
        end=span.number("end"),
        published=Published(
            domain=policy.value("domain"),
            policy=policy.value("p", "none"),
            for_subdomains=policy.value("sp", policy.value("p", "none")),
            dkim=policy.value("adkim", "r"),
            spf=policy.value("aspf", "r"),
            percent=policy.number("pct", 100),
            failure_options=policy.value("fo", "0"),
            for_missing=policy.value("np"),
        ),
        rows=rows,
        contact=about.value("extra_contact_info"),
        errors=tuple(one.text.strip() for one in about.every("error")),
    )


def _row(record: _Element) -> Row:
    row, names, found = record.one("row"), record.one("identifiers"), record.one("auth_results")
    decided = row.one("policy_evaluated")
    return Row(
        source=row.value("source_ip"),
        count=row.number("count", 1),
        disposition=decided.value("disposition", "none"),
        dkim=decided.value("dkim"),
        spf=decided.value("spf"),
        header_from=names.value("header_from"),
        envelope_from=names.value("envelope_from"),
        overrides=tuple(
            Override(one.value("type"), one.value("comment")) for one in decided.every("reason")
        ),
        signatures=tuple(
            SignatureResult(one.value("domain"), one.value("selector"), one.value("result"))
            for one in found.every("dkim")
        ),
        senders=tuple(
            SPFResult(one.value("domain"), one.value("scope", "mfrom"), one.value("result"))
            for one in found.every("spf")
        ),
    )


def _tree(xml: bytes, limits: ReadingLimits) -> tuple[_Element, tuple[Row, ...]]:
    """Parse XML of elements and text; of rows nothing is kept but what they say."""
    above = [_Element("")]
    rows: list[Row] = []
    elements = 0

    def begin(name: str, _: object) -> None:
        nonlocal elements
        elements += 1
        if len(above) > limits.depth:
            raise ReportFault(f"more than {limits.depth} elements within each other")
        if elements > limits.elements:
            raise ReportFault(f"more than {limits.elements} elements in one place")
        one = _Element(name.rpartition(":")[2])
        above[-1].inside.append(one)
        above.append(one)

    def end(_: object) -> None:
        nonlocal elements
        one = above.pop()
        if one.name == "record" and len(above) == 2:  # in the root, which is in nothing
            if len(rows) == limits.rows:
                raise ReportFault(f"more than {limits.rows} rows")
            rows.append(_row(one))
            above[-1].inside.pop()
            elements = 0

    def text(data: str) -> None:
        one = above[-1]
        if len(one.text) + len(data) > limits.value:
            raise ReportFault(f"a value of more than {limits.value} characters")
        if not data.isspace():
            one.text += data

    def refuse(*_: object) -> None:
        raise ReportFault("a document type is not taken")

    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml, True)
    except ReportFault:
        raise
    except ExpatError as error:
        raise ReportFault(f"not XML: line {error.lineno}") from None
    except (LookupError, ValueError):
        raise ReportFault("not XML in an encoding that is known") from None
    return above[0].inside[0], tuple(rows)
