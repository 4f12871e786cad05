"""ENVELOPE, ready for the wire (RFC 9051 §7.5.2).

Made from a header block by one pass of one expression.  Of a field that may stand only once, the
first counts; several To, Cc or Bcc fields count as one list (RFC 5322 §4.5.3).
"""

from __future__ import annotations

import re

from mailplat.message import addresses
from mailplat.message.addresses import Mailbox
from mailplat.message.headers import unfold
from mailplat.message.nstring import NIL, nstring

__all__ = ["address_list", "envelope"]

_FIELDS = re.compile(
    rb"\n((?i:date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id))"
    rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
)
_LISTS = frozenset((b"to", b"cc", b"bcc"))


def envelope(header: bytes) -> bytes:
    """Make the envelope of a message from its header.

    Args:
        header: The header, whole or cut, with or without its empty line.
    """
    found: dict[bytes, bytes] = {}
    more: dict[bytes, list[bytes]] = {}
    for name, value in _FIELDS.findall(b"\n" + header):
        key = name.lower()
        if key not in found:
            found[key] = value
        elif key in _LISTS:
            more.setdefault(key, [found[key]]).append(value)
    for key, values in more.items():
        found[key] = b",".join(values)
    get = found.get
    author = address_list(get(b"from"))
    sender = address_list(get(b"sender"))
    reply_to = address_list(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        _text(get(b"subject")),
        author,
        author if sender is NIL else sender,
        author if reply_to is NIL else reply_to,
        address_list(get(b"to")),
        address_list(get(b"cc")),
        address_list(get(b"bcc")),
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


def _text(value: bytes | None) -> bytes:
    return NIL if value is None else nstring(unfold(value))


def address_list(value: bytes | None) -> bytes:
    """Spell a field's addresses as a parenthesized list, NIL if it has none."""
    if value is None:
        return NIL
    mailboxes = addresses.parse(value)
    return b"(" + b"".join(map(_address, mailboxes)) + b")" if mailboxes else NIL


def _address(mailbox: Mailbox) -> bytes:
    return b"(%b %b %b %b)" % tuple(map(nstring, mailbox))
