"""Reports to the domains in whose name mail came: ``[dmarc]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size

__all__ = ["DMARCOptions"]


@attrs.frozen(kw_only=True)
class DMARCOptions:
    """Aggregate reports (RFC 7489 §7.2); reports of single failures are never sent."""

    reports: bool = option(
        False,
        meaning="Whether domains that ask for it are told, once an interval, what mail in their "
        "name came here, from which addresses, and what became of it. It takes the filter "
        "`authentication`. Off by default: who sends reports writes to strangers every day.",
        precedent="OpenDMARC and Rspamd: off",
    )
    interval: Duration = option(
        duration("1d"),
        least=3600,
        most=86_400,
        meaning="How much time one report covers. Spans begin at midnight UTC.",
        precedent="RFC 7489 §6.3, ri (86400)",
    )
    sender: str = option(
        "",
        meaning="The address that reports come from. Empty is postmaster of the first domain; "
        "a filter `dkim_sign` with a key for its domain signs them.",
        example="dmarc-reports@example.org",
    )
    organization: str = option(
        "",
        meaning="Who reports. Empty is the server's name.",
        example="Example Inc.",
    )
    contact: str = option(
        "",
        meaning="What else reports say of whom to ask: a URL, for example.",
        example="https://example.org/postmaster",
    )
    max_rows: int = option(
        100_000,
        unit="rows",
        least=1,
        meaning="How many different results are kept; each has an address, a domain and what was "
        "found. Above it, messages like those known are counted alone.",
    )
    max_addresses: int = option(
        5,
        unit="addresses",
        least=2,
        most=100,
        meaning="How many addresses of one domain get its report.",
        precedent="RFC 7489 §6.2: two at least",
    )
    max_size: Size = option(
        size("10MiB"),
        least=1024,
        meaning="How large a report may be, compressed; larger ones are not sent. A domain may "
        "ask for smaller ones.",
        precedent="RFC 7489 §6.2",
    )
