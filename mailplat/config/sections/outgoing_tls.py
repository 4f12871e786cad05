"""TLS with other servers: ``[[tls_policy]]``, ``[mta_sts]`` and ``[tls_reports]``."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option, required
from mailplat.config.values import Duration, duration

__all__ = ["DomainTLS", "MtaStsOptions", "TLSPolicyOptions", "TLSReportOptions"]


class DomainTLS(StrEnum):
    """What is asked of TLS with one domain's servers."""

    NEVER = "never"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"
    DANE = "dane"
    DANE_ONLY = "dane-only"
    MTA_STS = "mta-sts"


@attrs.frozen(kw_only=True)
class TLSPolicyOptions:
    """What is asked of TLS with the servers of some domains: the last word on these."""

    domain: str = required(
        meaning="The domain of recipients, or the name of a smarthost; `*.example.net` is all "
        "below. The nearest one counts.",
        precedent="Postfix smtp_tls_policy_maps",
        example="example.net",
    )
    tls: DomainTLS = required(
        meaning="As `relay.tls`, whatever the domain publishes; or `dane`: what DNS demands, and "
        "opportunistic where that is nothing; `dane-only`: DNS has to demand something; "
        "`mta-sts`: the domain has to have a policy, which is enforced.",
        precedent="Postfix: none, may, encrypt, secure, dane, dane-only",
        example="verified",
    )
    names: tuple[str, ...] = option(
        (),
        meaning="With `verified`: the names of which one has to be in the certificate. Without "
        "any, the server's own.",
        precedent="Postfix smtp_tls_policy_maps, match=",
        example=("mx.example.net",),
    )


@attrs.frozen(kw_only=True)
class MtaStsOptions:
    """Policies that domains publish on web servers (MTA-STS)."""

    enabled: bool = option(
        True,
        meaning="Whether they are heeded: mail to a domain whose policy says so goes only to the "
        "servers that it names, and only with certificates of known authorities.",
        precedent="RFC 8461",
    )
    timeout: Duration = option(
        duration("30s"),
        least=1,
        most=600,
        meaning="How long the first mail to a domain waits for its policy.",
        precedent="RFC 8461 §3.3 (1 min)",
    )
    refresh: Duration = option(
        duration("1d"),
        least=60,
        meaning="After which a policy in use is fetched anew, before it expires.",
        precedent="RFC 8461 §10.2 (daily)",
    )
    failure_time: Duration = option(
        duration("5m"),
        meaning="How long a fetch that failed is not repeated.",
        precedent="RFC 8461 §3.3 (5 min)",
    )
    max_policies: int = option(
        10_000,
        unit="domains",
        least=1,
        meaning="How many domains' policies are kept; those that expire first make room.",
    )


@attrs.frozen(kw_only=True)
class TLSReportOptions:
    """Reports to other domains on what came of TLS with their servers (TLSRPT)."""

    enabled: bool = option(
        False,
        meaning="Whether sessions are counted, and each day's counts sent to the domains that "
        "publish in DNS that they want them. They tell others who you write to, by domain.",
        precedent="RFC 8460; Postfix smtp_tlsrpt_enable (no)",
    )
    sender: str = option(
        "",
        meaning="The address that sends them, and that can be asked. Empty is `postmaster` at the "
        "first of `server.domains`. The mails are signed if `dkim_sign` has a key of its domain.",
        precedent="RFC 8460 §5.3",
        example="tls-reports@example.org",
    )
    organization: str = option(
        "", meaning="Who you are. Empty is the sender's domain.", example="Example Ltd."
    )
    within: Duration = option(
        duration("4h"),
        least=60,
        meaning="The time after the end of a day (UTC) in which its reports go, at random.",
        precedent="RFC 8460 §4.1 (4 h)",
    )
    max_counters: int = option(
        100_000,
        unit="counters",
        least=100,
        meaning="How many different results are counted, of all domains together.",
    )
