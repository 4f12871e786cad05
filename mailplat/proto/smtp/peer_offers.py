"""What a server offers, as a client reads it out of the answer to EHLO (RFC 5321 §4.1.1.1).

A keyword that cannot be read is one that is not offered; nothing here fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.model.reply import Reply

__all__ = ["PeerOffers", "parse_offers"]

_OLD_AUTH = re.compile(r"AUTH=", re.IGNORECASE)  # as servers spelled it before RFC 2554


@dataclass(frozen=True, slots=True)
class PeerOffers:
    """The extensions of a server.

    Attributes:
        name: What the server calls itself; ``""`` if it does not say.
        extended: It answered EHLO or LHLO, not HELO alone.
        pipelining: RFC 2920.
        size: The largest message it takes, in bytes; None if it does not say, or has no bound
            (RFC 1870 §4).
        sized: SIZE is offered at all.
        eight_bit: 8BITMIME (RFC 6152).
        smtputf8: SMTPUTF8 (RFC 6531).
        dsn: DSN (RFC 3461).
        chunking: CHUNKING (RFC 3030).
        binary: BINARYMIME (RFC 3030), with CHUNKING.
        starttls: STARTTLS (RFC 3207).
        require_tls: REQUIRETLS (RFC 8689).
        mechanisms: Those of AUTH, in capitals (RFC 4954).
        recipients: LIMITS' RCPTMAX; None if it does not say (RFC 9422 §4).
        messages: LIMITS' MAILMAX; None if it does not say.
        domains: LIMITS' RCPTDOMAINMAX, of one connection; None if it does not say.
        deliver_by: DELIVERBY is offered (RFC 2852).
        least_by: The least seconds that DELIVERBY takes with mode R.
        priority: MT-PRIORITY is offered (RFC 6710).
    """

    name: str = ""
    extended: bool = False
    pipelining: bool = False
    size: int | None = None
    sized: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    chunking: bool = False
    binary: bool = False
    starttls: bool = False
    require_tls: bool = False
    mechanisms: frozenset[str] = frozenset()
    recipients: int | None = None
    messages: int | None = None
    domains: int | None = None
    deliver_by: bool = False
    least_by: int = 0
    priority: bool = False


def parse_offers(reply: Reply, *, extended: bool) -> PeerOffers:
    """Read the answer to EHLO, LHLO or HELO.

    Args:
        reply: The answer, a 2xx.
        extended: Whether it answers EHLO or LHLO.
    """
    name = (reply.lines[0].split() or [""])[0]
    if not extended:
        return PeerOffers(name)
    given: dict[str, list[str]] = {}
    for line in reply.lines[1:]:
        keyword, *values = _OLD_AUTH.sub("AUTH ", line, count=1).upper().split() or [""]
        given.setdefault(keyword, []).extend(values)
    limits = dict(value.partition("=")[::2] for value in given.get("LIMITS", ()))
    return PeerOffers(
        name,
        extended=True,
        pipelining="PIPELINING" in given,
        size=_number(given.get("SIZE", [""])[:1]),
        sized="SIZE" in given,
        eight_bit="8BITMIME" in given,
        smtputf8="SMTPUTF8" in given,
        dsn="DSN" in given,
        chunking="CHUNKING" in given,
        binary="BINARYMIME" in given and "CHUNKING" in given,
        starttls="STARTTLS" in given,
        require_tls="REQUIRETLS" in given,
        mechanisms=frozenset(given.get("AUTH", ())),
        recipients=_number([limits.get("RCPTMAX", "")]),
        messages=_number([limits.get("MAILMAX", "")]),
        domains=_number([limits.get("RCPTDOMAINMAX", "")]),
        deliver_by="DELIVERBY" in given,
        least_by=_number(",".join(given.get("DELIVERBY", ())).split(",")[:1]) or 0,
        priority="MT-PRIORITY" in given,
    )


def _number(words: list[str]) -> int | None:
    """Read a bound; None where there is none: 0 is none too (RFC 1870 §4)."""
    word = words[0] if words else ""
    if not word.isascii() or not word.isdigit() or len(word) > 20:
        return None
    return int(word) or None
