"""Changes that filters ask for, made to a message's bytes.

Only header fields and the body as a whole change; every byte of a field that nobody touches stays
as it is.  A filter's words never break out of their field: line ends become folds, and what
cannot stand in a header is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailplat.model.verdict import AddHeader, Change, RemoveHeader, ReplaceBody

__all__ = ["edit_body", "edit_header"]

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_ENDS = re.compile(r"\s*[\r\n]\s*")
_NAME = re.compile(r"[!-9;-~]{1,76}")


def edit_header(header: bytes, changes: Iterable[Change]) -> bytes:
    """Apply the changes of header fields, in order, to a header with its empty line.

    Fields whose name no header can have (RFC 5322 §2.2) are passed over.
    """
    for change in changes:
        match change:
            case AddHeader(name, value, on_top) if _NAME.fullmatch(name):
                field = name.encode("ascii") + b": " + _field_value(value) + b"\r\n"
                header = field + header if on_top else _before_the_end(header, field)
            case RemoveHeader(name) if _NAME.fullmatch(name):
                header = _field(name).sub(b"", header)
    return header


def edit_body(changes: Iterable[Change]) -> bytes | None:
    """Give the bytes that replace the message's body; None if it stays."""
    body = None
    for change in changes:
        if isinstance(change, ReplaceBody):
            body = change.body
    return body


def _field_value(value: str) -> bytes:
    folded = _LINE_ENDS.sub("\r\n\t", _FORBIDDEN.sub("", value).strip())
    return folded.encode("utf-8", "replace")


def _before_the_end(header: bytes, field: bytes) -> bytes:
    if header.endswith(b"\r\n\r\n"):
        return header[:-2] + field + b"\r\n"
    if header == b"\r\n":
        return field + header
    return header + (b"" if header.endswith(b"\n") or not header else b"\r\n") + field


def _field(name: str) -> re.Pattern[bytes]:
    return re.compile(
        rb"^" + re.escape(name.encode("ascii")) + rb"[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*",
        re.IGNORECASE | re.MULTILINE,
    )
