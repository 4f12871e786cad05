"""Changes that filters ask for, made to a message's bytes.

Only header fields and the body as a whole change; every byte of a field that nobody touches stays
as it is.  A filter's words never break out of their field (`message.headers.field`).
"""

from __future__ import annotations

from collections.abc import Iterable

from mailplat.message import headers
from mailplat.model.verdict import (
    AddHeader,
    Change,
    ChangeHeader,
    InsertHeader,
    RemoveHeader,
    ReplaceBody,
)

__all__ = ["edit_body", "edit_header"]


def edit_header(header: bytes, changes: Iterable[Change]) -> bytes:
    """Apply the changes of header fields, in order, to a header with its empty line.

    A name or a value that no field can have (RFC 5322 §2.2) is passed over.
    """
    for change in changes:
        match change:
            case AddHeader() | InsertHeader() | ChangeHeader():
                try:
                    header = _with_field(header, change)
                except ValueError:
                    continue
            case RemoveHeader(name, value):
                header = headers.without(header, [name.encode("ascii", "replace")], value)
    return header


def edit_body(changes: Iterable[Change]) -> bytes | None:
    """Give the bytes that replace the message's body; None if it stays."""
    body = None
    for change in changes:
        if isinstance(change, ReplaceBody):
            body = change.body
    return body


def _with_field(header: bytes, change: AddHeader | InsertHeader | ChangeHeader) -> bytes:
    """Put a new field into a header, or in place of another.

    Raises:
        ValueError: There can be no such field.
    """
    match change:
        case AddHeader(name, value, on_top):
            field = headers.field(name, value)
            return field + header if on_top else _at_the_bottom(header, field)
        case InsertHeader(name, exact, index):
            field, places = headers.exact_field(name, exact), headers.spans(header)
            if index is None or index >= len(places):
                return _at_the_bottom(header, field)
            at = places[index][0]
            return header[:at] + field + header[at:]
        case ChangeHeader(name, index, exact):
            field = headers.exact_field(name, exact) if exact else b""
            places = headers.spans(header, name.encode("ascii", "replace"))
            if not 1 <= index <= len(places):
                return _at_the_bottom(header, field) if field else header
            start, end = places[index - 1]
            return header[:start] + field + header[end:]


def _at_the_bottom(header: bytes, field: bytes) -> bytes:
    end = headers.empty_line(header)
    fields = header.removesuffix(end)
    if fields and not fields.endswith(b"\n"):
        fields += b"\r\n"
    return fields + field + end
