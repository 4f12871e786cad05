"""Mail made by code for tests: the pieces that messages are put together from."""

from __future__ import annotations

import base64

__all__ = ["HTML", "INNER", "MIME", "PLAIN", "TOP", "base64_lines", "mail", "multipart", "of"]

TOP = (
    b"From: Alice Example <alice@example.org>\r\n"
    b"To: Bob <bob@example.net>\r\n"
    b"Subject: %b\r\n"
    b"Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
    b"Message-ID: <%b@example.org>\r\n"
)


def mail(name: str, body: bytes, *fields: bytes, top: bytes = TOP) -> bytes:
    """Make a message: the usual fields, more fields, an empty line and a body."""
    word = name.encode("ascii")
    head = top % (word.replace(b"-", b" "), word) if top is TOP else top
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def multipart(boundary: bytes, *parts: bytes, end: bool = True) -> bytes:
    """Make the body of a multipart out of whole parts, each with its own header."""
    text = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return text + (b"--" + boundary + b"--\r\n" if end else b"")


def of(subtype: bytes, boundary: bytes) -> bytes:
    """Make the Content-Type field of a multipart."""
    return b'Content-Type: multipart/%b; boundary="%b"' % (subtype, boundary)


def base64_lines(data: bytes) -> bytes:
    """Encode bytes in lines of 76 characters."""
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


MIME = b"MIME-Version: 1.0"
PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nplain\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>gr\xc3\xbc\xc3\x9fe</p>\r\n"
INNER = (
    b"From: inner@example.org\r\nSubject: inner\r\nDate: Fri, 2 Jan 2026 00:00:00 +0100\r\n\r\n"
    b"inner text\r\n"
)
