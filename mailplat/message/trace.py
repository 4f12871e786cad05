"""Trace fields: what a server puts on top of a message it takes (RFC 5321 §4.4).

Everything a peer said is cleaned before it goes in: no line end, no parenthesis and no other
character can leave its place, and no line passes 998 bytes.  The clock is an argument.
"""

from __future__ import annotations

import re

from mailplat.message.dates import rfc5322_date
from mailplat.message.headers import every

__all__ = [
    "delivered_to",
    "delivered_to_field",
    "protocol",
    "received",
    "received_count",
    "return_path",
]

_LONGEST_NAME = 255
"""Bytes of a host name (RFC 5321 §4.5.3.1.2)."""

_LONGEST_PATH = 512
"""Bytes of an address that go into a field (RFC 5321 §4.5.3.1.3 has 256)."""

_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._:\[\]\u00a1-\u2027\u202f-\U0010ffff-]")
_UNSAFE_IN_PATH = re.compile("[\x00-\x1f\x7f-\x9f<>\u2028\u2029]")
_UNSAFE_IN_COMMENT = re.compile(r"[^ -'*-\[\]-~]")
_UNSAFE_IN_ID = re.compile(r"[^A-Za-z0-9._@-]")


def protocol(
    *,
    extended: bool = True,
    lmtp: bool = False,
    tls: bool = False,
    authenticated: bool = False,
    utf8: bool = False,
) -> str:
    """Name the protocol of the WITH clause (RFC 3848 §1, RFC 6531 §4.3).

    Args:
        extended: The client said EHLO, not HELO.
        lmtp: The dialogue is LMTP.
        tls: It is encrypted.
        authenticated: AUTH succeeded.
        utf8: The transaction uses SMTPUTF8.
    """
    name = "LMTP" if lmtp else "SMTP"
    if utf8:
        name = f"UTF8{name}"
    elif not lmtp:
        if not extended:
            return name
        name = f"E{name}"
    return name + ("S" if tls else "") + ("A" if authenticated else "")


def _cut(text: str, size: int) -> str:
    """Cut text to a number of bytes in UTF-8; what UTF-8 cannot say becomes a question mark."""
    return text[:size].encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _name(text: str) -> str:
    return _UNSAFE_IN_NAME.sub("?", _cut(text, _LONGEST_NAME)) or "unknown"


def _literal(ip: str) -> str:
    if not ip:
        return "[unknown]"
    return f"[IPv6:{_name(ip)}]" if ":" in ip else f"[{_name(ip)}]"  # (RFC 5321 §4.1.3)


def _path(address: str) -> str:
    return f"<{_UNSAFE_IN_PATH.sub('?', _cut(address, _LONGEST_PATH))}>"


def received(
    *,
    helo: str,
    ip: str,
    host: str,
    protocol: str,
    queue_id: str,
    seconds: int,
    offset: int = 0,
    reverse: str = "",
    recipient: str = "",
    tls: str = "",
    priority: int = 0,
) -> bytes:
    """Make the Received field.

    Args:
        helo: What the client called itself.
        ip: Its address; ``""`` where there is none (a local socket).
        host: This server's name.
        protocol: What `protocol` gave.
        queue_id: Under which the message is found in this server's log.
        seconds: The time, since 1970 UTC.
        offset: Minutes that this server's clock is ahead of UTC.
        reverse: The verified name of the client's address; ``""`` if there is none.
        recipient: The one recipient, ``""`` for several: the FOR clause names no other
            (RFC 5321 §7.2).
        tls: Version and cipher, for a comment; ``""`` in clear.
        priority: For the PRIORITY clause; 0 is the usual one, and not told (RFC 6710 §7).
    """
    seen = f"{_name(reverse)} {_literal(ip)}" if reverse else _literal(ip)
    lines = [f"Received: from {_name(helo)} ({seen})"]
    if tls:
        lines.append(f"(using {_UNSAFE_IN_COMMENT.sub('?', tls[:200])})")
    lines.append(f"by {_name(host)} with {protocol} id {_UNSAFE_IN_ID.sub('?', queue_id[:200])}")
    if recipient:
        lines.append(f"for {_path(recipient)}")
    if priority:
        lines.append(f"priority {priority}")
    lines[-1] += ";"
    lines.append(rfc5322_date(seconds, offset))
    return "\r\n\t".join(lines).encode("utf-8") + b"\r\n"


def return_path(sender: str) -> bytes:
    """Make the Return-Path field; ``""`` is the null sender (RFC 5321 §4.4)."""
    return b"Return-Path: " + _path(sender).encode("utf-8") + b"\r\n"


def delivered_to_field(address: str) -> bytes:
    """Make the Delivered-To field, by which mail that comes round again is known."""
    return b"Delivered-To: " + _path(address)[1:-1].encode("utf-8") + b"\r\n"


def received_count(header: bytes) -> int:
    """Count the servers that a message went through (RFC 5321 §6.3)."""
    return len(every(header, b"received"))


def delivered_to(header: bytes) -> frozenset[str]:
    """Give the addresses that a message was delivered to already, in lower case."""
    return frozenset(
        value.decode("utf-8", "replace").lower() for value in every(header, b"delivered-to")
    )
