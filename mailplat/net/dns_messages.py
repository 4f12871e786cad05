"""DNS messages: questions as bytes, answers as values (RFC 1035 §4, RFC 6891, RFC 2308).

twisted.names' codec does the reading; what it makes is checked here, and nothing of it leaves.

Invariants:

- An answer counts only if its id and its question are ours (RFC 5452 §4): whoever guesses neither
  cannot answer.
- Records count only if they belong to the name asked for, by way of its aliases: what else a
  server tells us is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.names import dns

from mailplat.interfaces.resolver import MX, TLSA, Answer

__all__ = ["Kind", "Question", "Response", "Said", "make_query", "read_response", "reverse_name"]

UDP_SIZE = 1232
"""Bytes of an answer that come by UDP: fits every path unfragmented (DNS flag day 2020)."""

_LONGEST_TTL = 86_400.0
_LONGEST_NEGATIVE = 3_600.0  # RFC 2308 §5 asks for one to three hours at most
_ALIASES = 12
_LABEL = re.compile(r"[!-~]{1,63}")


class Kind(Enum):
    """What is asked for, by its number (RFC 1035 §3.2.2, RFC 3596, RFC 6698)."""

    A = 1
    CNAME = 5
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    TLSA = 52


@dataclass(frozen=True, slots=True)
class Question:
    """A name in lower case without a final dot, and what is asked of it."""

    name: str
    kind: Kind

    @property
    def possible(self) -> bool:
        """Whether DNS could have such a name (RFC 1035 §2.3.4)."""
        labels = self.name.split(".")
        return len(self.name) <= 253 and all(map(_LABEL.fullmatch, labels))


class Said(Enum):
    """What a server's response came to."""

    ANSWER = "an answer"
    CUT = "the answer is too long for UDP"
    REFUSED = "the server cannot answer; another may"
    NO_EDNS = "the server does not know EDNS"
    NOT_OURS = "no answer to this question"


@dataclass(frozen=True, slots=True)
class Response:
    """A response, read.

    Attributes:
        said: What it came to.
        answer: With `Said.ANSWER`: it.
        alias: The answer stops at this alias, whose own records have to be asked for.
    """

    said: Said
    answer: Answer[Any] | None = None
    alias: str = ""


def make_query(question: Question, number: int, *, edns: bool = True) -> bytes:
    """Make a query.

    Args:
        question: A possible one.
        number: The id, not to be guessed.
        edns: Whether to allow answers above 512 bytes by UDP.
    """
    # AD asks that the answer says whether it was validated (RFC 6840 §5.7)
    message = dns.Message(id=number, recDes=1, authenticData=1)
    message.addQuery(question.name.encode("ascii"), question.kind.value)
    if edns:
        payload = dns.UnknownRecord(b"", ttl=0)
        message.additional.append(dns.RRHeader(b"", 41, UDP_SIZE, 0, payload))
    return bytes(message.toStr())


def read_response(data: bytes, question: Question, number: int) -> Response:
    """Read a response to a query."""
    message: Any = dns.Message()
    try:
        message.fromStr(data)
    except Exception:  # whatever the codec stumbles over, it is no answer
        return Response(Said.NOT_OURS)
    asked = [(_name(query.name), query.type, query.cls) for query in message.queries]
    ours = [(question.name, question.kind.value, dns.IN)]
    if message.id != number or not message.answer:
        return Response(Said.NOT_OURS)
    if message.rCode == dns.EFORMAT and asked in ([], ours):
        return Response(Said.NO_EDNS)
    if asked != ours:
        return Response(Said.NOT_OURS)
    if message.rCode == dns.ENOTIMP:
        return Response(Said.NO_EDNS)
    if message.rCode not in {dns.OK, dns.ENAME}:
        return Response(Said.REFUSED)
    if message.trunc:
        return Response(Said.CUT)
    return _read_answer(message, question)


def _read_answer(message: Any, question: Question) -> Response:
    name, ttl = question.name, _LONGEST_TTL
    for _ in range(_ALIASES):
        found = [
            one
            for one in message.answers
            if one.cls == dns.IN and one.type == question.kind.value and _name(one.name) == name
        ]
        alias = next(
            (
                one
                for one in message.answers
                if one.cls == dns.IN and one.type == dns.CNAME and _name(one.name) == name
            ),
            None,
        )
        if found or alias is None or question.kind is Kind.CNAME:
            break
        ttl = min(ttl, alias.ttl)
        name = _name(alias.payload.name)
    else:
        return Response(Said.REFUSED)  # aliases in a circle
    records = tuple(_value(question.kind, one.payload) for one in found)
    if found:
        ttl = min(ttl, *(one.ttl for one in found))
    elif name != question.name and message.rCode == dns.OK and not _has_soa(message):
        return Response(Said.ANSWER, alias=name)
    else:
        ttl = min(ttl, _negative_ttl(message.authority))
    exists = message.rCode == dns.OK
    authentic = bool(message.authenticData)
    return Response(Said.ANSWER, Answer(records, exists, authentic, name, max(0.0, float(ttl))))


def _has_soa(message: Any) -> bool:
    return any(one.type == dns.SOA for one in message.authority)


def _negative_ttl(authority: Sequence[Any]) -> float:
    """Tell how long there is nothing (RFC 2308 §5); without a SOA not to be kept."""
    for one in authority:
        if one.type == dns.SOA:
            return float(min(one.ttl, one.payload.minimum, _LONGEST_NEGATIVE))
    return 0.0


def _name(name: Any) -> str:
    """Spell a name; bytes beyond ASCII become what matches no question of ours."""
    return bytes(name.name).decode("ascii", "replace").rstrip(".").lower()


def _value(kind: Kind, payload: Any) -> Any:
    match kind:
        case Kind.A | Kind.AAAA:
            return payload.dottedQuad() if kind is Kind.A else _ipv6(payload.address)
        case Kind.MX:
            return MX(payload.preference, _name(payload.name))
        case Kind.TXT:
            return b"".join(payload.data)
        case Kind.CNAME | Kind.PTR:
            return _name(payload.name)
        case Kind.TLSA:
            data = bytes(payload.data)
            usage, selector, matching = data[:3].ljust(3, b"\xff")  # 255 fits no certificate
            return TLSA(usage, selector, matching, data[3:])


def _ipv6(packed: bytes) -> str:
    return str(IPv6Address(packed))


def reverse_name(address: str) -> str:
    """Give the name that an address's names are under (RFC 1035 §3.5, RFC 3596 §2.5).

    Raises:
        ValueError: It is no IP address.
    """
    return ip_address(address).reverse_pointer
