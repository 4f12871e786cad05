r"""The header that a proxy sends before the client's first byte: PROXY protocol, versions 1 and 2.

HAProxy's ``proxy-protocol.txt`` (§2.1, §2.2).  Bytes in, values out; nothing waits here::

    PROXY TCP4 192.0.2.9 192.0.2.1 51000 25\r\n

Invariant: nothing behind the header is looked at, and what is no header is never guessed at.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

__all__ = ["LONGEST_LINE", "ProxyFault", "ProxyHeader", "parse_proxy_header"]

LONGEST_LINE = 107
"""Bytes of a header of version 1 (§2.1)."""

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_WORDS = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]+) ([0-9]+)")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")


class ProxyFault(Exception):
    """What came is no header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Who is connected to what, as the proxy sees it.

    Attributes:
        client: The client's address and port; None where the proxy speaks for itself, or does not
            know: then the connection's own ends count.
        server: The address and port that the client connected to; None likewise.
    """

    client: tuple[str, int] | None = None
    server: tuple[str, int] | None = None


def parse_proxy_header(data: bytes, limit: int) -> tuple[ProxyHeader, int] | None:
    """Read a header out of the first bytes of a connection.

    Args:
        data: What came so far.
        limit: Bytes that a header of version 2 may have.

    Returns:
        The header and its length in bytes; None until all of it is there.

    Raises:
        ProxyFault: There is none.
    """
    if data[:12] == _SIGNATURE[: len(data)]:
        return _binary(data, limit)
    if data[:6] == b"PROXY "[: len(data)]:
        return _text(data)
    raise ProxyFault("it does not begin with a PROXY header")


def _text(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyFault("its PROXY line is too long")
        return None
    line = data[:end]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(), end + 2
    match = _WORDS.fullmatch(line)
    if match is None:
        raise ProxyFault("its PROXY line cannot be read")
    kind = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        here, there = (str(kind(match[n].decode())) for n in (2, 3))
    except AddressValueError:
        raise ProxyFault("its PROXY line has no address of its kind") from None
    ports = [int(match[n]) if _PORT.fullmatch(match[n]) else 65536 for n in (4, 5)]
    if max(ports) > 65535:
        raise ProxyFault("its PROXY line has no port")
    return ProxyHeader((here, ports[0]), (there, ports[1])), end + 2


def _binary(data: bytes, limit: int) -> tuple[ProxyHeader, int] | None:
    if len(data) < 16:
        return None
    what, family, length = struct.unpack_from("!BBH", data, 12)
    if what not in (0x20, 0x21):
        raise ProxyFault("its PROXY header has another version, or an unknown command")
    if 16 + length > limit:
        raise ProxyFault(f"its PROXY header has {16 + length} bytes, and {limit} are allowed")
    if len(data) < 16 + length:
        return None
    size = 16 + length
    if what == 0x20 or family not in (0x11, 0x21):  # LOCAL, or no TCP: its own ends count
        return ProxyHeader(), size
    width = 4 if family == 0x11 else 16
    if length < 2 * width + 4:
        raise ProxyFault("its PROXY header is too short for its addresses")
    ends = [_address(data[16 + n * width : 16 + (n + 1) * width]) for n in (0, 1)]
    ports = struct.unpack_from("!HH", data, 16 + 2 * width)
    return ProxyHeader((ends[0], ports[0]), (ends[1], ports[1])), size


def _address(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))
