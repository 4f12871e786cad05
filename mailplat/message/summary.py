"""The summary of a message: everything that its index row holds, worked out once on arrival."""

from __future__ import annotations

from mailplat.message import dates, threads
from mailplat.message.envelope import envelope
from mailplat.message.headers import first
from mailplat.message.parts import pack
from mailplat.message.scan import ScanLimits, scan
from mailplat.message.structure import structure
from mailplat.message.text import preview
from mailplat.message.tree import Scan
from mailplat.model.summary import Summary

__all__ = ["summarize", "summary_of"]


def summarize(scanned: Scan) -> Summary:
    """Make the summary of a message that went through the scanner."""
    root = scanned.root
    header = root.header
    body, bodystructure = structure(root)
    date = first(header, b"date")
    moment = dates.parse(date) if date is not None else None
    message_id = first(header, b"message-id")
    return Summary(
        size=scanned.size,
        header_size=root.body_start,
        header=header if len(header) == root.body_start else b"",
        envelope=envelope(header),
        body=body,
        bodystructure=bodystructure,
        parts=pack(root),
        preview=preview(scanned.sample),
        sent=moment.seconds if moment is not None else None,
        message_id=next(iter(threads.message_ids(message_id or b"")), ""),
        references=threads.references(first(header, b"references"), first(header, b"in-reply-to")),
        base_subject=threads.base_subject(first(header, b"subject") or b"").base,
        eight_bit=scanned.eight_bit,
        nul=scanned.nul,
    )


def summary_of(message: bytes, limits: ScanLimits | None = None) -> Summary:
    """Make the summary of a message that is at hand as a whole."""
    return summarize(scan(message, limits if limits is not None else ScanLimits()))
