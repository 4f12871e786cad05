"""Changes that filters ask for, made to a message's bytes.

Only header fields and the body as a whole change; every byte of a field that nobody touches stays
as it is.  A filter's words never break out of their field (`message.headers.field`).
"""

from __future__ import annotations

from collections.abc import Iterable

from mailplat.message import headers
from mailplat.model.verdict import AddHeader, Change, RemoveHeader, ReplaceBody

__all__ = ["edit_body", "edit_header"]


def edit_header(header: bytes, changes: Iterable[Change]) -> bytes:
    """Apply the changes of header fields, in order, to a header with its empty line.

    A name that no field can have (RFC 5322 §2.2) is passed over.
    """
    for change in changes:
        match change:
            case AddHeader(name, value, on_top):
                try:
                    field = headers.field(name, value)
                except ValueError:
                    continue
                header = field + header if on_top else _at_the_bottom(header, field)
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


def _at_the_bottom(header: bytes, field: bytes) -> bytes:
    end = headers.empty_line(header)
    fields = header.removesuffix(end)
    if fields and not fields.endswith(b"\n"):
        fields += b"\r\n"
    return fields + field + end
