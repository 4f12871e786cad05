"""What may be written as the value of an option, and how a value is spelled again.

Each kind has a reader that takes what stood in the TOML file and gives the value or raises `Unfit`
with what was expected, and a spelling that the reader takes back to the same value.

==================  =================================================================
`Duration`          seconds: ``30``, ``"30s"``, ``"5m"``, ``"1h30m"``, ``"250ms"``
`Size`              bytes: ``1000``, ``"64KiB"``, ``"50MiB"``, ``"2GB"``
`IPAddress`         ``"192.0.2.1"``, ``"::1"``, ``"0.0.0.0"``, ``"::"``
`Network`           ``"192.0.2.0/24"``, ``"2001:db8::/32"``, ``"192.0.2.1"``
`Domain`            ``"example.org"``, in lower case
`EndpointText`      a server endpoint of Twisted's: ``"tcp:25:interface=192.0.2.1"``
`PartText`          a part: ``"maildir:/var/mail"``, a prefix and its argument
`PartOptions`       a table of a part's own options: ``{ timeout = "5s" }``
==================  =================================================================
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NewType

__all__ = [
    "Domain",
    "Duration",
    "EndpointText",
    "IPAddress",
    "Network",
    "PartOptions",
    "PartText",
    "Size",
    "Unfit",
    "duration",
    "read_address",
    "read_domain",
    "read_duration",
    "read_endpoint",
    "read_network",
    "read_part",
    "read_part_options",
    "read_size",
    "size",
    "spell_duration",
    "spell_size",
    "split_part",
]

Duration = NewType("Duration", float)
"""Seconds."""

Size = NewType("Size", int)
"""Bytes."""

IPAddress = NewType("IPAddress", str)
"""An IP address in its shortest spelling."""

Network = NewType("Network", str)
"""A network as an address and the length of its prefix; an address alone is a network of one."""

Domain = NewType("Domain", str)
"""A domain or host name in lower case, without a final dot."""

EndpointText = NewType("EndpointText", str)
"""The description of a server endpoint; ``""`` stands for the usual one."""

PartText = NewType("PartText", str)
"""A part of the server as a prefix, a colon and an argument."""


class Unfit(ValueError):
    """A value that an option does not take.

    Attributes:
        expected: What it takes, for people: ``a whole number``.
    """

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_DURATIONS = re.compile(rf"(?:{_DURATION.pattern}\s*)+")
_A_DURATION = 'a duration: "30s", "5m", "2h", "5d" (or a number of seconds)'

_BYTES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_SIZE = re.compile(r"(\d+) ?([A-Za-z]*)")
_A_SIZE = 'a size: "64KiB", "50MiB", "2GB" (or a number of bytes)'

_LABEL = r"(?!-)[a-z0-9_\-\u0080-\U0010ffff]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class PartOptions(dict[str, Any]):
    """What a file says of a plugin's own options; which there are, the plugin knows."""


def read_part_options(value: object) -> PartOptions:
    """Read the options of a part as they stand in the file."""
    if not isinstance(value, dict):
        raise Unfit("a table")
    return PartOptions(value)


def read_duration(value: object) -> Duration:
    """Read a duration from the file."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e10:
        return Duration(float(value))
    if isinstance(value, str) and _DURATIONS.fullmatch(value.strip()):
        parts = _DURATION.findall(value)
        return Duration(round(sum(float(count) * _SECONDS[unit] for count, unit in parts), 3))
    raise Unfit(_A_DURATION)


def read_size(value: object) -> Size:
    """Read a size from the file."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Size(value)
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found and found[2] in _BYTES:
            return Size(int(found[1]) * _BYTES[found[2]])
    raise Unfit(_A_SIZE)


def read_address(value: object) -> IPAddress:
    """Read an IP address from the file."""
    try:
        if isinstance(value, str):
            return IPAddress(str(ipaddress.ip_address(value.strip().strip("[]"))))
    except ValueError:
        pass
    raise Unfit('an IP address: "192.0.2.1", "::1", "0.0.0.0" for every address')


def read_network(value: object) -> Network:
    """Read a network from the file."""
    try:
        if isinstance(value, str):
            network = ipaddress.ip_network(value.strip())
            alone = network.prefixlen == network.max_prefixlen
            return Network(str(network.network_address if alone else network))
    except ValueError:
        pass
    raise Unfit('a network: "192.0.2.0/24", "2001:db8::/32", or one address')


def read_domain(value: object) -> Domain:
    """Read a domain from the file."""
    if isinstance(value, str):
        name = value.strip().removesuffix(".").lower()
        if len(name) <= 253 and _DOMAIN.fullmatch(name):
            return Domain(name)
    raise Unfit('a domain: "example.org"')


def read_endpoint(value: object) -> EndpointText:
    """Read the description of a server endpoint; its kind may be a plugin's own."""
    expected = 'an endpoint: "tcp:25", "tcp:25:interface=192.0.2.1", "unix:/run/mail.sock"'
    if not isinstance(value, str):
        raise Unfit(expected)
    if not value:
        return EndpointText("")
    kind, *rest = _fields(value)
    if not re.fullmatch(r"[a-z][a-z0-9]*", kind) or not any(rest):
        raise Unfit(expected)
    if kind in {"ssl", "tls"}:
        raise Unfit('an endpoint without TLS of its own, "tcp:993": the listener adds TLS')
    if kind in {"tcp", "tcp6"}:
        _check_tcp(kind, rest)
    return EndpointText(value)


def _check_tcp(kind: str, fields: list[str]) -> None:
    named = dict(field.split("=", 1) for field in fields if "=" in field)
    port = next((field for field in fields if "=" not in field), named.get("port", ""))
    if not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise Unfit(f'a port from 0 to 65535 in "{kind}:PORT"')
    version = 6 if kind == "tcp6" else 4
    interface = named.get("interface", "0.0.0.0" if version == 4 else "::")
    try:
        fits = ipaddress.ip_address(interface).version == version
    except ValueError:
        fits = False
    if not fits:
        raise Unfit(f'an IPv{version} address as the interface of "{kind}:"')


def _fields(description: str) -> list[str]:
    r"""Split at colons; a backslash takes the meaning from what follows it (``\:``)."""
    parts = re.findall(r"((?:\\.|[^\\:])*)(:|$)", description, re.DOTALL)
    ends = next(n for n, (_, end) in enumerate(parts) if not end) + 1
    return [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part, _ in parts[:ends]]


def read_part(value: object) -> PartText:
    """Read a part from the file; which prefixes there are, the plugins know."""
    if isinstance(value, str) and re.match(r"[a-z][a-z0-9_-]*:", value):
        return PartText(value)
    raise Unfit('a part: a prefix, a colon, an argument, as in "maildir:/var/mail"')


def split_part(part: PartText) -> tuple[str, str]:
    """Split a part into its prefix and its argument."""
    prefix, _, argument = part.partition(":")
    return prefix, argument


def duration(text: str) -> Duration:
    """Give the duration that a definition writes as text."""
    return read_duration(text)


def size(text: str) -> Size:
    """Give the size that a definition writes as text."""
    return read_size(text)


def spell_duration(value: Duration) -> str:
    """Spell a duration in its largest whole unit."""
    thousandths = round(value * 1000)
    for unit in ("d", "h", "m", "s"):
        whole = round(_SECONDS[unit] * 1000)
        if thousandths and thousandths % whole == 0:
            return f"{thousandths // whole}{unit}"
    return f"{thousandths}ms" if thousandths else "0s"


def spell_size(value: Size) -> str:
    """Spell a size in its largest whole binary unit."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"
