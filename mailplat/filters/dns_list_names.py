"""DNS lists of addresses and domains, as names and codes (RFC 5782): pure.

An address or a domain is listed if the name made of it has an A record within 127.0.0.0/8, whose
last numbers say why (§2.1).  What lies outside is no answer of a list, and 127.255.255.x says that
the asker is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["Codes", "address_name", "domain_name", "is_code", "is_refusal", "points", "read_code"]

_REFUSED = "127.255.255."
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_CODE = re.compile(r"(127\.\d{1,3}\.\d{1,3}\.)(\d{1,3})(?:-(\d{1,3}))?=(-?\d{1,4}(?:\.\d{1,3})?)")


def address_name(address: str, zone: str) -> str:
    """Give the name to ask for an address (RFC 5782 §2.1, §2.4).

    Raises:
        ValueError: It is no address.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    suffix = ".in-addr.arpa" if isinstance(parsed, IPv4Address) else ".ip6.arpa"
    return f"{parsed.reverse_pointer.removesuffix(suffix)}.{zone}"


def domain_name(domain: str, zone: str) -> str:
    """Give the name to ask for a domain (RFC 5782 §3); ``""`` where it is none to ask for."""
    plain = domain.lower().removesuffix(".")
    if not plain.isascii():
        try:
            plain = plain.encode("idna").decode()
        except UnicodeError:
            return ""
    if not _DOMAIN.fullmatch(plain) or plain.rpartition(".")[2].isdigit():
        return ""  # a literal, or an address
    name = f"{plain}.{zone}"
    return name if len(name) <= 253 else ""


def is_code(answer: str) -> bool:
    """Tell whether an A record is an answer of a list (RFC 5782 §2.1)."""
    return answer.startswith("127.")


def is_refusal(answer: str) -> bool:
    """Tell whether a list says by it that it does not answer us."""
    return answer.startswith(_REFUSED)


@dataclass(frozen=True, slots=True)
class Codes:
    """What some codes are worth: ``127.0.0.4-7=3.5``.

    Attributes:
        prefix: The first three numbers, with the dot behind them.
        first: The lowest last number.
        last: The highest one.
        points: What each is worth; below 0 speaks for the client.
    """

    prefix: str
    first: int
    last: int
    points: float

    def fits(self, answer: str) -> bool:
        """Tell whether an answer is one of these."""
        number = answer.removeprefix(self.prefix)
        return number.isdigit() and self.first <= int(number) <= self.last


def read_code(text: str) -> Codes:
    """Read ``127.0.0.2=5`` or ``127.0.0.4-7=3.5``.

    Raises:
        ValueError: It cannot be read.
    """
    found = _CODE.fullmatch(text.replace(" ", ""))
    if not found:
        raise ValueError(text)
    first, last = int(found[2]), int(found[3] or found[2])
    if not first <= last <= 255:
        raise ValueError(text)
    return Codes(found[1], first, last, float(found[4]))


def points(answers: Iterable[str], codes: Iterable[Codes], otherwise: float) -> float:
    """Add up what answers are worth: by the codes, or all the same where there are none."""
    listed = list(codes)
    if not listed:
        return otherwise
    return sum(
        next((code.points for code in listed if code.fits(answer)), 0.0)
        for answer in dict.fromkeys(answers)
    )
