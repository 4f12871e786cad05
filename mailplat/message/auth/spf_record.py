"""SPF records read (RFC 7208 §4.5, §4.6.1, §12).

A record is read whole before any of it is used: an error anywhere spoils it (RFC 7208 §4.6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from mailplat.message.auth.result import Result
from mailplat.message.auth.spf_macros import Text, domain_spec, macro_string

__all__ = ["Directive", "Record", "read_record", "select_records"]

_TERM = re.compile(r"([-+?~]?)([a-z][a-z0-9_.-]*)([:=/].*)?", re.IGNORECASE | re.DOTALL)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_LENGTHS = re.compile(r"(.*?)(?:/(0|[1-9]\d{0,2}))?(?://(0|[1-9]\d{0,2}))?", re.DOTALL)
_QUALIFIERS = {
    "": Result.PASS,
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}
_IP4 = re.compile(r":(\d{1,3}(?:\.\d{1,3}){3})(?:/(0|[1-9]\d?))?")
_IP6 = re.compile(r":([0-9a-f:.]+)(?:/(0|[1-9]\d{0,2}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism, and what it means if it matches.

    Attributes:
        result: What the check gives then.
        mechanism: ``all``, ``include``, ``a``, ``mx``, ``ptr``, ``ip4``, ``ip6``, ``exists``.
        domain: The name that it asks for; None for the domain that is checked.
        prefixes: Bits that count of an IPv4 and of an IPv6 address.
        network: The network of ``ip4`` and ``ip6``.
    """

    result: Result
    mechanism: str
    domain: Text | None = None
    prefixes: tuple[int, int] = (32, 128)
    network: IPv4Network | IPv6Network | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record.

    Attributes:
        directives: In their order.
        redirect: The domain whose record counts if nothing matches.
        explanation: Where the text for those who are refused is.
    """

    directives: tuple[Directive, ...]
    redirect: Text | None = None
    explanation: Text | None = None


def select_records(found: Sequence[bytes]) -> list[bytes]:
    """Choose the texts that are SPF records (RFC 7208 §4.5)."""
    return [text for text in found if text[:6].lower() == b"v=spf1" and text[6:7] in (b"", b" ")]


@lru_cache(maxsize=256)
def read_record(text: bytes) -> Record:
    """Read a record.

    Raises:
        ValueError: It has an error.
    """
    directives: list[Directive] = []
    modifiers: dict[str, Text] = {}
    for term in text.decode("ascii")[6:].split(" "):
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            directives.append(_directive(term))
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name not in ("redirect", "exp"):
            macro_string(value)  # unknown, but it must be one (RFC 7208 §6)
        elif name in modifiers:
            raise ValueError("modifier twice")
        else:
            modifiers[name] = domain_spec(value)
    return Record(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


def _directive(term: str) -> Directive:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError("not a term")
    result, name, rest = _QUALIFIERS[found[1]], found[2].lower(), found[3] or ""
    match name:
        case "all" if not rest:
            return Directive(result, name)
        case "include" | "exists" if rest.startswith(":"):
            return Directive(result, name, domain_spec(rest[1:]))
        case "ptr" if not rest or rest.startswith(":"):
            return Directive(result, name, domain_spec(rest[1:]) if rest else None)
        case "a" | "mx":
            return _addresses(result, name, rest)
        case "ip4" if ip4 := _IP4.fullmatch(rest):
            network4 = IPv4Network(f"{ip4[1]}/{ip4[2] or 32}", strict=False)
            return Directive(result, name, network=network4)
        case "ip6" if ip6 := _IP6.fullmatch(rest):
            network6 = IPv6Network(f"{ip6[1]}/{ip6[2] or 128}", strict=False)
            return Directive(result, name, network=network6)
    raise ValueError("no such mechanism")


def _addresses(result: Result, name: str, rest: str) -> Directive:
    found = _LENGTHS.fullmatch(rest)
    assert found is not None  # everything is optional
    domain = found[1]
    if domain and not domain.startswith(":"):
        raise ValueError("not a domain")
    prefixes = int(found[2] or 32), int(found[3] or 128)
    if prefixes[0] > 32 or prefixes[1] > 128:
        raise ValueError("no such prefix")
    return Directive(result, name, domain_spec(domain[1:]) if domain else None, prefixes)
