"""Where a domain's aggregate reports go: read, and confirmed by whoever gets them (RFC 7489 §7.1).

Only ``mailto:`` is known.  A destination of another organisation gets nothing unless its own DNS
says that it wants reports on that domain: or anyone could have strangers flooded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from mailplat.message.auth.dkim import Texts
from mailplat.message.auth.lookups import ascii_domain

__all__ = ["ReportAddress", "confirmed", "report_addresses"]

_LIMIT = re.compile(r"([0-9]{1,12})([kmgt]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LOCAL = re.compile(r"[^\x00-\x20\x7f<>()\[\]:;@\\,\"]{1,64}")


@dataclass(frozen=True, slots=True)
class ReportAddress:
    """An address that wants reports.

    Attributes:
        local: The part before the @,
        domain: and the one behind it, as the DNS spells it.
        limit: Bytes of the largest report that it takes, compressed; None if it does not say.
    """

    local: str
    domain: str
    limit: int | None = None


def report_addresses(text: str, most: int = 5) -> tuple[ReportAddress, ...]:
    """Read a list of URIs, each perhaps with a size behind ``!`` (RFC 7489 §6.2).

    Args:
        text: The value of ``rua``.
        most: Addresses that are taken, the first ones.
    """
    found: dict[tuple[str, str], ReportAddress] = {}
    for word in text.split(",", 100)[:100]:
        uri, _, size = word.strip().partition("!")
        scheme, _, rest = uri.partition(":")
        local, at, host = unquote(rest.partition("?")[0]).rpartition("@")
        domain = ascii_domain(host)
        limit = _LIMIT.fullmatch(size.strip())
        if (
            scheme.lower() == "mailto"
            and at
            and domain is not None
            and local.isascii()
            and _LOCAL.fullmatch(local)
            and (limit is not None or not size.strip())
        ):
            most_bytes = int(limit[1]) * _UNITS[limit[2].lower()] if limit else None
            found.setdefault((local, domain), ReportAddress(local, domain, most_bytes))
    return tuple(found.values())[:most]


async def confirmed(
    domain: str,
    wanted: Sequence[ReportAddress],
    texts: Texts,
    organisation: Callable[[str], str],
) -> tuple[ReportAddress, ...]:
    """Leave out destinations that do not want reports on a domain.

    Args:
        domain: Whose policy it is.
        wanted: Where it wants reports.
        texts: Asks the DNS.
        organisation: Gives the organisational domain of a domain.

    Raises:
        Unavailable: The DNS does not answer.
    """
    found: dict[tuple[str, str], ReportAddress] = {}
    for one in wanted:
        said: Sequence[ReportAddress] = (one,)
        if organisation(one.domain) != organisation(domain):
            said = _accepting(one, await texts(f"{domain}._report._dmarc.{one.domain}"))
        for address in said:
            found.setdefault((address.local, address.domain), address)
    return tuple(found.values())


def _accepting(one: ReportAddress, records: Sequence[bytes]) -> Sequence[ReportAddress]:
    """Read what a destination says: whether it wants them, perhaps at another address of its."""
    for record in records:
        tags: dict[str, str] = {}
        for part in record.decode("utf-8", "replace").split(";"):
            name, _, value = part.partition("=")
            tags.setdefault(name.strip().lower(), value.strip())
        if record.startswith(b"v=DMARC1") and tags.get("v") == "DMARC1":
            others = [
                other for other in report_addresses(tags.get("rua", ""), 1)
                if other.domain == one.domain  # RFC 7489 §7.1 step 7
            ]  # fmt: skip
            return others or (one,)
    return ()
