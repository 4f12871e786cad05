"""What mailplat asks of DNS.

One question, one answer: aliases (CNAME) are followed, and a name that is not there is an answer
and no error.  Only where nobody could be asked, `Unavailable` is raised: the same question may be
answered later.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, TypeVar

from zope.interface import Interface

__all__ = ["MX", "TLSA", "Answer", "IResolver"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class MX:
    """A mail exchanger (RFC 5321 §5.1).

    Attributes:
        preference: Lower ones are tried first.
        host: Its name in lower case without a final dot; ``""`` is the null MX (RFC 7505).
    """

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class TLSA:
    """What a server's certificate has to be (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """What DNS says to a question.

    Attributes:
        records: The answers, in the order they came; empty if there are none of this type.
        exists: Whether the name is there at all; false is NXDOMAIN.
        authentic: A name server that the configuration trusts vouches for the answer by DNSSEC,
            aliases included (the AD bit, RFC 4035 §3.2.3).
        name: The name that has the records, behind all aliases; in lower case.
        ttl: Seconds that the answer may be kept.
    """

    records: tuple[R, ...]
    exists: bool = True
    authentic: bool = False
    name: str = ""
    ttl: float = 0.0


class IResolver(Interface):
    """Asks DNS.

    Names are given in ASCII, without regard to case; a final dot makes no difference.  A name
    that DNS cannot have does not exist.

    Raises:
        Unavailable: From every method: no server answered, or none could.
    """

    def mx(domain: str) -> Awaitable[Answer[MX]]:
        """Find a domain's mail exchangers, unsorted."""

    def addresses(host: str) -> Awaitable[Answer[str]]:
        """Find a host's addresses of both kinds, those of IPv6 first.

        Where only one of the two questions could be answered, and that with addresses, its
        answer counts.
        """

    def a(host: str) -> Awaitable[Answer[str]]:
        """Find a host's IPv4 addresses."""

    def aaaa(host: str) -> Awaitable[Answer[str]]:
        """Find a host's IPv6 addresses."""

    def txt(name: str) -> Awaitable[Answer[bytes]]:
        """Find texts; the strings of each are joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""

    def tlsa(name: str) -> Awaitable[Answer[TLSA]]:
        """Find what is demanded of a certificate; the name has port and protocol in it."""

    def cname(name: str) -> Awaitable[Answer[str]]:
        """Find the name that this one is an alias of, one step; it is not followed."""

    def ptr(address: str) -> Awaitable[Answer[str]]:
        """Find the names of an IP address, in lower case."""
