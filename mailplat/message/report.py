"""Delivery reports: what became of a mail, for people and for programs (RFC 3464, RFC 6522).

Three parts: a text, one block of fields a recipient (`message/delivery-status`), and the mail or
its header.  What a remote host said, and all that stands in addresses, is cleaned before it goes
in: nothing can break out of its field.  Addresses beyond ASCII make it an international report
(RFC 6533).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailplat.message.dates import rfc5322_date
from mailplat.message.headers import field, first
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.reply import Reply

__all__ = ["Action", "Fate", "Report", "delivery_report"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 900
"""Characters of one value (RFC 5322 §2.1.1 allows 998 bytes a line)."""


class Action(StrEnum):
    """What became of a recipient's copy (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient's copy.

    Attributes:
        recipient: Whose.
        action: In one word.
        reply: What a remote host or this server said of it.
        remote: The remote host's name; ``""`` if it was this server.
        attempted: When, seconds since 1970 UTC.
        until: Until when it will be tried; for delays.
    """

    recipient: Recipient
    action: Action
    reply: Reply | None
    remote: str = ""
    attempted: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report tells.

    Attributes:
        hostname: This server.
        queue_id: The mail's name here.
        sender: Whose mail it was, and who gets the report.
        arrived: When the mail came, seconds since 1970 UTC.
        fates: Its recipients'; at least one.
        header: The mail's header; ``b""`` if it cannot be read.
        body: The rest of the mail, or None to return the header alone.
    """

    hostname: str
    queue_id: str
    sender: Sender
    arrived: int
    fates: Sequence[Fate]
    header: bytes
    body: bytes | None = None

    @property
    def international(self) -> bool:
        """Whether it holds more than ASCII can say, and so needs SMTPUTF8 (RFC 6533 §4)."""
        addresses = [self.sender.address, *(one.recipient.address for one in self.fates)]
        return self.sender.smtputf8 or not all(one is None or one.ascii_only for one in addresses)


def delivery_report(report: Report, report_id: str, now: int) -> bytes:
    """Write a report as a message.

    Args:
        report: What to tell.
        report_id: A name that nothing else has, for Message-ID and boundary.
        now: Seconds since 1970 UTC.
    """
    returned = _returned(report)
    boundary = f"=_{report_id}"
    whole = b"".join([report.header, report.body or b""])
    while boundary.encode() in whole:
        boundary += "_"
    parts = [_text(report), _status(report), *returned]
    body = b"".join(
        b"--" + boundary.encode() + b"\r\n" + part + (b"" if part.endswith(b"\n") else b"\r\n")
        for part in parts
    )
    return (
        _header(report, report_id, boundary, now, eight_bit=not body.isascii())
        + b"\r\nThis is a delivery report in MIME format.\r\n\r\n"
        + body
        + f"--{boundary}--\r\n".encode()
    )


def _header(report: Report, report_id: str, boundary: str, now: int, *, eight_bit: bool) -> bytes:
    to = f"<{_clean(str(report.sender.address))}>"
    lines = [
        f"Date: {rfc5322_date(now)}\r\n".encode(),
        f"From: Mail Delivery System <MAILER-DAEMON@{_clean(report.hostname)}>\r\n".encode(),
        f"To: {to}\r\n".encode(),
        field("Subject", _SUBJECTS[_gravest(report)]),
        f"Message-ID: <{report_id}@{_clean(report.hostname)}>\r\n".encode(),
        b"Auto-Submitted: auto-replied\r\n",  # RFC 3834 §5
    ]
    original = _clean((first(report.header, b"message-id") or b"").decode("utf-8", "replace"))
    if original.startswith("<") and original.endswith(">"):
        lines += [f"In-Reply-To: {original}\r\nReferences: {original}\r\n".encode()]
    lines += [
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n"
        + f'\tboundary="{boundary}"\r\n'.encode(),
    ]
    if eight_bit:
        lines.append(b"Content-Transfer-Encoding: 8bit\r\n")
    return b"".join(lines)


_SUBJECTS = {
    Action.FAILED: "Your mail could not be delivered",
    Action.DELAYED: "Your mail is delayed",
    Action.DELIVERED: "Your mail was delivered",
    Action.RELAYED: "Your mail was passed on",
    Action.EXPANDED: "Your mail was passed on",
}

_SENTENCES = {
    Action.FAILED: "It could not be delivered to:",
    Action.DELAYED: "It could not be delivered yet to:",
    Action.DELIVERED: "It was delivered to:",
    Action.RELAYED: "It was passed on to a server that sends no delivery reports, for:",
    Action.EXPANDED: "It was passed on to those whom this address stands for:",
}


def _gravest(report: Report) -> Action:
    told = {fate.action for fate in report.fates}
    return next(action for action in Action if action in told)


def _text(report: Report) -> bytes:
    """Tell people."""
    subject = _clean((first(report.header, b"subject") or b"").decode("utf-8", "replace"))
    lines = [f"This is the mail server {_clean(report.hostname)}.", ""]
    lines += ["This is about the mail that you sent on " + rfc5322_date(report.arrived)]
    lines += [f'with the subject "{subject}".' if subject else "without a subject.", ""]
    for action, sentence in _SENTENCES.items():
        fates = [fate for fate in report.fates if fate.action is action]
        if not fates:
            continue
        lines += [sentence, ""]
        for fate in fates:
            lines.append(f"  <{_clean(str(fate.recipient.address))}>")
            if fate.reply is not None and action in (Action.FAILED, Action.DELAYED):
                said = f"{fate.reply.code} {fate.reply.status} {fate.reply.text}"
                who = f"{_clean(fate.remote)} said" if fate.remote else "The reason"
                lines.append(f"    {who}: {_clean(said)}")
        lines.append("")
        until = max((fate.until for fate in fates if fate.until is not None), default=None)
        if until is not None:
            lines += [
                "You need not do anything: the server will try again until",
                f"{rfc5322_date(until)}.",
                "",
            ]
    text = "\r\n".join(lines).encode("utf-8", "replace")
    if text.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text
    return (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
    )


def _status(report: Report) -> bytes:
    """Tell programs (RFC 3464 §2)."""
    wide = report.international
    blocks = [
        [
            ("Original-Envelope-Id", report.sender.envid),  # RFC 3461 §6.3 a
            ("Reporting-MTA", f"dns; {report.hostname}"),
            ("X-Mailplat-Queue-ID", report.queue_id),
            ("Arrival-Date", rfc5322_date(report.arrived)),
        ]
    ]
    for fate in report.fates:
        recipient, reply = fate.recipient, fate.reply
        kind = "rfc822" if recipient.address.ascii_only else "utf-8"  # RFC 6533 §3
        diagnostic = ""
        if reply is not None and fate.action is not Action.DELIVERED:
            said = " ".join(filter(None, [str(reply.code), reply.status, reply.text]))
            diagnostic = f"smtp; {said}" if fate.remote else f"x-mailplat; {said}"
        blocks.append(
            [
                ("Original-Recipient", recipient.original.replace(";", "; ", 1)),
                ("Final-Recipient", f"{kind}; {recipient.address}"),
                ("Action", fate.action.value),
                ("Status", _code(fate)),
                ("Remote-MTA", f"dns; {fate.remote}" if fate.remote else ""),
                ("Diagnostic-Code", diagnostic),
                ("Last-Attempt-Date", rfc5322_date(fate.attempted) if fate.attempted else ""),
                ("Will-Retry-Until", rfc5322_date(fate.until) if fate.until else ""),
            ]
        )
    kind = "global-delivery-status" if wide else "delivery-status"
    text = "\r\n".join(
        "".join(f"{name}: {_spelled(value, wide)}\r\n" for name, value in block if value)
        for block in blocks
    )
    data = text.encode("utf-8", "replace")
    encoding = b"" if data.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: message/{kind}\r\n".encode() + encoding + b"\r\n" + data


def _code(fate: Fate) -> str:
    """Give the status code (RFC 3463); of the class that fits the action where there is none."""
    if fate.reply is not None and re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", fate.reply.status):
        found = fate.reply.status
        good = fate.action not in (Action.FAILED, Action.DELAYED)
        if (found[0] == "2") is good:
            return found
    return {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0"}.get(fate.action, "2.0.0")


def _returned(report: Report) -> list[bytes]:
    """Give the mail back, or its header (RFC 6522 §3, RFC 6533 §5)."""
    if not report.header:
        return []
    if report.body is not None:
        kind = b"message/global" if report.international else b"message/rfc822"
        data = report.header + report.body
    else:
        kind = b"message/global-headers" if report.international else b"text/rfc822-headers"
        data = report.header
    encoding = b"" if data.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return [b"Content-Type: " + kind + b"\r\n" + encoding + b"\r\n" + data]


def _clean(text: str) -> str:
    return _CONTROLS.sub(" ", text)[:_LONGEST].strip()


def _spelled(value: str, wide: bool) -> str:
    cleaned = _clean(value)
    return cleaned if wide else cleaned.encode("ascii", "replace").decode()
