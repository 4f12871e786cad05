"""XCLIENT: a trusted proxy says whom it speaks for (Postfix's XCLIENT_README).

The attributes are text; what none of them can be raises `CommandFault`.  Who is trusted is for the
session to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from mailplat.proto.smtp.command_fault import fault

__all__ = ["ATTRIBUTES", "Introduction", "parse_xclient"]

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "DESTADDR", "DESTPORT", "LOGIN")
"""What EHLO says that XCLIENT takes."""

_WORD = re.compile(r"([A-Za-z]+)=([!-<>-~]{1,255})")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_CODED = re.compile(rb"\+([0-9A-F]{2})")
_UNKNOWN = frozenset(("[UNAVAILABLE]", "[TEMPUNAVAIL]"))
_NAME = re.compile(r"[A-Za-z0-9._\[\]:-]+")


@dataclass(frozen=True, slots=True)
class Introduction:
    """Whom a proxy speaks for; None is what it did not say, ``""`` or 0 what it does not know.

    Attributes:
        name: The client's host name.
        address: Its IP address.
        port: Its port.
        protocol: ``SMTP`` or ``ESMTP``: whether it said HELO or EHLO.
        helo: What it said there.
        login: Who it logged in as.
        local_address: The address it connected to.
        local_port: The port it connected to.
    """

    name: str | None = None
    address: str | None = None
    port: int | None = None
    protocol: str | None = None
    helo: str | None = None
    login: str | None = None
    local_address: str | None = None
    local_port: int | None = None


def parse_xclient(argument: bytes) -> Introduction:
    """Read what stands behind XCLIENT.

    Raises:
        CommandFault: It cannot be taken.
    """
    given: dict[str, str] = {}
    for word in argument.decode("latin-1").split():
        match = _WORD.fullmatch(word)
        name = match[1].upper() if match else ""
        if match is None or name not in ATTRIBUTES or name in given:
            raise fault(501, "5.5.4", "XCLIENT attribute cannot be read")
        given[name] = _text(match[2])
    if not given:
        raise fault(501, "5.5.4", "XCLIENT takes attributes")
    protocol = given.get("PROTO")
    if protocol is not None and protocol.upper() not in ("SMTP", "ESMTP", ""):
        raise fault(501, "5.5.4", "XCLIENT knows the protocols SMTP and ESMTP")
    name = given.get("NAME", "")
    if name and not _NAME.fullmatch(name):
        raise fault(501, "5.5.4", "XCLIENT takes a host name")
    return Introduction(
        given.get("NAME"),
        _address(given.get("ADDR")),
        _port(given.get("PORT")),
        None if protocol is None else protocol.upper(),
        given.get("HELO"),
        given.get("LOGIN"),
        _address(given.get("DESTADDR")),
        _port(given.get("DESTPORT")),
    )


def _text(value: str) -> str:
    if value.upper() in _UNKNOWN:
        return ""
    if not _XTEXT.fullmatch(value):
        raise fault(501, "5.5.4", "XCLIENT takes values as xtext")
    data = _CODED.sub(lambda match: bytes.fromhex(match[1].decode()), value.encode())
    text = data.decode("utf-8", "replace")
    if not text.isprintable():
        raise fault(501, "5.5.4", "XCLIENT takes values that can be printed")
    return text


def _address(value: str | None) -> str | None:
    if not value:
        return value
    try:
        return str(ip_address(value[5:] if value[:5].upper() == "IPV6:" else value))
    except ValueError:
        raise fault(501, "5.5.4", "XCLIENT takes an IP address, with IPV6: before IPv6") from None


def _port(value: str | None) -> int | None:
    if not value:
        return None if value is None else 0
    if not re.fullmatch("[0-9]{1,5}", value) or int(value) > 65535:
        raise fault(501, "5.5.4", "XCLIENT takes a port from 0 to 65535")
    return int(value)
