"""Tests for `mailplat.proto.proxy`: headers of both versions, cut anywhere, and what is none."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.proxy import ProxyFault, ProxyHeader, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(command: int, family: int, payload: bytes) -> bytes:
    """Make a header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(payload)) + payload


def ends(client: str, server: str, ports: tuple[int, int], more: bytes = b"") -> bytes:
    """Make a payload with addresses."""
    both = ip_address(client).packed + ip_address(server).packed
    return both + struct.pack("!HH", *ports) + more


GOOD = {
    b"PROXY TCP4 192.0.2.9 192.0.2.1 51000 25\r\n": (("192.0.2.9", 51000), ("192.0.2.1", 25)),
    b"PROXY TCP6 2001:DB8::9 2001:db8::1 1 65535\r\n": (("2001:db8::9", 1), ("2001:db8::1", 65535)),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN what ever 1 2\r\n": None,
    binary(0x21, 0x11, ends("192.0.2.9", "192.0.2.1", (5, 25))): (
        ("192.0.2.9", 5),
        ("192.0.2.1", 25),
    ),
    binary(0x21, 0x21, ends("2001:db8::9", "2001:db8::1", (5, 25), b"\x04\0\x03abc")): (
        ("2001:db8::9", 5),
        ("2001:db8::1", 25),
    ),
    binary(0x20, 0x00, b""): None,  # LOCAL
    binary(0x20, 0x11, ends("192.0.2.9", "192.0.2.1", (5, 25))): None,
    binary(0x21, 0x00, b"\x04\0\x01x"): None,  # UNSPEC
    binary(0x21, 0x31, b"\0" * 216): None,  # a local socket
}


@pytest.mark.parametrize("header", GOOD)
def test_headers_at_every_cut(header: bytes) -> None:
    """Nothing is told before the header is whole, and nothing behind it is read."""
    both = GOOD[header]
    expected = ProxyHeader(*both) if both else ProxyHeader()
    for cut in range(len(header)):
        assert parse_proxy_header(header[:cut], 4096) is None
    for rest in (b"", b"EHLO c\r\n", SIGNATURE):
        assert parse_proxy_header(header + rest, 4096) == (expected, len(header))


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO c\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 51000\r\n",
        b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.9 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 01 25\r\n",
        b"PROXY TCP4 192.0.2.9  192.0.2.1 1 25\r\n",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25\n\r\n",
        b"PROXY UDP4 192.0.2.9 192.0.2.1 1 25\r\n",
        b"proxy TCP4 192.0.2.9 192.0.2.1 1 25\r\n",
        b"PROXY " + b"x" * 101,
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        binary(0x11, 0x11, ends("192.0.2.9", "192.0.2.1", (5, 25))),
        binary(0x22, 0x11, ends("192.0.2.9", "192.0.2.1", (5, 25))),
        binary(0x21, 0x11, b"short"),
        binary(0x21, 0x11, b"\0" * 5000),
    ],
)
def test_no_headers(data: bytes) -> None:
    """What cannot be read is refused, never guessed."""
    with pytest.raises(ProxyFault):
        parse_proxy_header(data, 4096)


@settings(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]))
def test_whatever_comes(data: bytes, before: bytes) -> None:
    """Any bytes are a header, the beginning of one, or a fault."""
    try:
        found = parse_proxy_header(before + data, 300)
    except ProxyFault:
        return
    assert found is None or found[1] <= 300
