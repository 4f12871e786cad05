"""``mailplatctl dmarc``: what others report of mail in the name of our domains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from mailplat.message.auth.dmarc_report import AggregateReport

__all__ = ["command"]

_LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read."""

_TYPES = ("gzip", "zip", "xml", "octet-stream")


@click.group(name="dmarc", short_help="Read reports on mail in the name of a domain.")
def command() -> None:
    """Read reports on mail in the name of a domain.

    \b
    Example:
      mailplatctl dmarc report report.xml.gz
    """  # noqa: D301 -- click wants the control character


@command.command(short_help="Print an aggregate report as a table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.argument("file", metavar="FILE", type=click.File("rb"))
def report(file: BinaryIO, as_json: bool) -> None:
    """Print the aggregate report in FILE, or of - for the standard input.

    It may be XML, compressed by gzip or zip, or the mail that brought it. Rows are sorted by how
    many messages they stand for; those that pass neither by DKIM nor by SPF begin with `!`.

    \b
    Examples:
      mailplatctl dmarc report google.com!example.org!1767225600!1767311999.zip
      mailplatctl dmarc report - <mail.eml
    """  # noqa: D301 -- click wants the control character
    from mailplat.message.auth.dmarc_report_reading import ReportFault, read_report, unpacked

    name = getattr(file, "name", "-")
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise click.ClickException(f"{name}: more than {_LARGEST} bytes are not read")
    try:
        found = read_report(unpacked(_attached(data)))
    except ReportFault as fault:
        raise click.ClickException(f"{name}: no aggregate report: {fault}") from None
    click.echo(json.dumps(asdict(found)) if as_json else "\n".join(_lines(found)))


def _attached(data: bytes) -> bytes:
    """Give the report that a mail brings; what is no mail is the report itself."""
    if data[:2] in (b"\x1f\x8b", b"PK") or data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return data
    from email import message_from_bytes

    for part in message_from_bytes(data).walk():
        kind, name = part.get_content_subtype(), (part.get_filename() or "").lower()
        if name.endswith((".gz", ".zip", ".xml")) or any(word in kind for word in _TYPES):
            content = part.get_payload(decode=True)
            if isinstance(content, bytes) and content:
                return content
    return data


def _lines(found: AggregateReport) -> Iterator[str]:
    published = found.published
    yield f"{_plain(published.domain)}, by {_plain(found.organisation)} <{_plain(found.email)}>"
    yield f"{_when(found.begin)} to {_when(found.end)} UTC, report {_plain(found.report_id)}"
    parts = [f"p={published.policy}", f"sp={published.for_subdomains}", f"pct={published.percent}"]
    parts += [f"adkim={published.dkim}", f"aspf={published.spf}"]
    yield f"policy: {' '.join(map(_plain, parts))}"
    yield from (f"error: {_plain(error)}" for error in found.errors)
    rows = sorted(found.rows, key=lambda row: -row.count)
    total = sum(row.count for row in rows)
    good = sum(row.count for row in rows if "pass" in (row.dkim, row.spf))
    yield f"{total} messages, {good} pass"
    yield ""
    table = [("", "count", "address", "from", "became", "dkim", "spf", "signed by", "sent by", "")]
    for row in rows:
        signed = ",".join(f"{one.domain}={one.result}" for one in row.signatures)
        sent = ",".join(f"{one.domain}={one.result}" for one in row.senders)
        why = ",".join(f"{one.kind}({one.comment})" for one in row.overrides)
        mark = " " if "pass" in (row.dkim, row.spf) else "!"
        table.append(
            (mark, str(row.count), row.source, row.header_from, row.disposition, row.dkim,
             row.spf, signed, sent, why)
        )  # fmt: skip
    table = [tuple(_plain(cell) for cell in row) for row in table]  # type: ignore[misc]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    for cells in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield line.rstrip()


def _plain(text: str) -> str:
    """Leave out what a terminal would take for a command."""
    return "".join(one if one.isprintable() else "?" for one in text[:200])


def _when(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
