"""What is asked of TLS with each host of a domain: by our own word, by DANE, by MTA-STS.

An entry of the operator's table is the last word on a domain.  Without one, what is asked of all is
the least, and what the domain publishes raises it: DANE (RFC 7672) goes before MTA-STS
(RFC 8461 §2).

Invariants:

- Nothing that a domain publishes is taken for less because it cannot be found out now: then the
  host is not used.
- Mail that has to be protected on its whole way (RFC 8689 §4.2.1) goes only to hosts that DNSSEC or
  a policy of MTA-STS names, and that prove to be these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mailplat.agents.dane_lookup import TLSARecords, find_tlsa
from mailplat.agents.exchangers import NO_DNS, Exchangers
from mailplat.agents.sts_policies import Found, StsPolicies
from mailplat.agents.tls_notes import Applied, PolicyKind, TLSNotes
from mailplat.interfaces.resolver import TLSA, IResolver
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.net.dane import DANE
from mailplat.proto.mta_sts import Mode
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["CLEAR", "NO_TLS_PATH", "Demand", "DomainTLS", "TLSDemands", "TLSEntry", "TLSPolicy"]

NO_TLS_PATH = Reply.of(550, "Encryption needed: no server of the domain can be trusted", "5.7.10")
NO_DANE = Reply.of(451, "DANE is asked for, and DNS has no usable record for the server", "4.7.5")
NO_POLICY = Reply.of(451, "MTA-STS is asked for, and the domain has no policy", "4.7.5")
NOT_IN_POLICY = Reply.of(451, "The server is none of those that the domain's policy names", "4.7.5")


class TLSPolicy(Enum):
    """What is asked of TLS."""

    NEVER = "never"
    OPPORTUNISTIC = "opportunistic"  # where it is offered; in clear where it fails (RFC 7435)
    REQUIRED = "required"  # encrypted, whoever it is
    VERIFIED = "verified"  # encrypted, and by the server's name (RFC 9525)
    DANE = "dane"  # what DNS demands (RFC 7672); opportunistic where it demands nothing
    DANE_ONLY = "dane-only"  # what DNS demands, and it has to demand something
    MTA_STS = "mta-sts"  # what the domain's policy demands (RFC 8461), and it has to have one

    @property
    def mandatory(self) -> bool:
        """Whether nothing goes out in clear."""
        return self not in (TLSPolicy.NEVER, TLSPolicy.OPPORTUNISTIC, TLSPolicy.DANE)


@dataclass(frozen=True, slots=True)
class TLSEntry:
    """What the operator asks for one domain.

    Attributes:
        tls: What.
        names: With `TLSPolicy.VERIFIED`: of which one has to be in the certificate; none is the
            host's own.
    """

    tls: TLSPolicy
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of TLS on a connection; equal demands may share one.

    Attributes:
        tls: One of the first four.
        names: Of which one has to be in the certificate; none is the host's own.
        observed: Whether to look, with opportunistic TLS, what the certificate proves.
        dane: What it has to prove by DANE, with `TLSPolicy.REQUIRED`.
        server: What the server is called in TLS; ``""`` is the host's own name.
        applied: Which published policy is behind it, for reports.
        misnamed: Whether that policy does not name the host.
    """

    tls: TLSPolicy
    names: tuple[str, ...] = ()
    observed: bool = False
    dane: DANE | None = None
    server: str = ""
    applied: Applied | None = field(default=None, compare=False)
    misnamed: bool = False

    @property
    def mandatory(self) -> bool:
        """Whether nothing goes out in clear."""
        return self.tls.mandatory


CLEAR = Demand(TLSPolicy.NEVER)


class TLSDemands:
    """Knows what is asked of each domain.

    Args:
        resolver: Asks DNS.
        least: What is asked of all: one of the first four.
        entries: The operator's table, by domain in lower case; ``*.example.org`` is all below.
        dane: Whether what DNS demands is heeded without an entry.
        policies: Policies of MTA-STS; None for none.
        notes: Takes note of what came of it, for reports.
    """

    def __init__(
        self,
        resolver: IResolver,
        least: TLSPolicy,
        *,
        entries: Mapping[str, TLSEntry] | None = None,
        dane: bool = True,
        policies: StsPolicies | None = None,
        notes: TLSNotes | None = None,
    ) -> None:
        self.resolver = resolver
        self.least = least
        self.dane = dane
        self.policies = policies
        self.notes = notes
        self._entries = dict(entries or {})

    def entry(self, domain: str) -> TLSEntry | None:
        """Find what the operator says of a domain: of itself, or of the nearest one above it."""
        name = ascii_domain(domain) or domain
        found = self._entries.get(name)
        while found is None and (dot := name.find(".")) >= 0:
            name = name[dot + 1 :]
            found = self._entries.get(f"*.{name}")
        return found

    def domain(
        self,
        name: str,
        hosts: Exchangers,
        port: int,
        *,
        published: bool = True,
        needs_tls: bool = False,
        optional: bool = False,
    ) -> DomainTLS:
        """Say what is asked for one mail to a domain.

        Args:
            name: The domain, or the smarthost.
            hosts: Its hosts.
            port: Where they take mail.
            published: Whether what the domain publishes counts.
            needs_tls: The mail has to be protected on its whole way (REQUIRETLS).
            optional: The mail's sender would rather have it arrive (``TLS-Required: No``).
        """
        return DomainTLS(self, name, hosts, port, published, needs_tls, optional)


class DomainTLS:
    """What is asked for one mail to one domain; see `TLSDemands.domain`."""

    def __init__(
        self,
        demands: TLSDemands,
        name: str,
        hosts: Exchangers,
        port: int,
        published: bool,
        needs_tls: bool,
        optional: bool,
    ) -> None:
        entry = demands.entry(name)
        tls = demands.least if entry is None else entry.tls
        heeded = entry is None and published and tls is not TLSPolicy.NEVER
        self._all = demands
        self._name = name
        self._hosts = hosts
        self._port = port
        self._tls = tls
        self._names = () if entry is None else entry.names
        self._needs_tls = needs_tls
        self._optional = optional and not needs_tls  # RFC 8689 §4.2.2
        self._by_dane = (
            (heeded and demands.dane)
            or tls in (TLSPolicy.DANE, TLSPolicy.DANE_ONLY)
            or (needs_tls and published)
        ) and hosts.authentic
        self._by_sts = heeded or tls is TLSPolicy.MTA_STS or (needs_tls and published)
        self._found: Found | None = None

    async def demand(self, host: str) -> Demand | Reply:
        """Say what is asked of a host; a reply says why it may not be used."""
        if self._optional:
            return Demand(TLSPolicy.OPPORTUNISTIC)
        if self._by_dane:
            try:
                records = await find_tlsa(self._all.resolver, host, self._port)
            except Unavailable:
                self._note(Applied(PolicyKind.TLSA, self._name), "dnssec-invalid", host)
                return NO_DNS
            if records is not None and (records.records or not self._needs_tls):
                return self._dane(host, records)
        if self._tls is TLSPolicy.DANE_ONLY:
            self._note(Applied(PolicyKind.TLSA, self._name), "dane-required", host)
            return NO_DANE
        return await self._without_dane(host)

    def _dane(self, host: str, found: TLSARecords) -> Demand | Reply:
        applied = Applied(PolicyKind.TLSA, self._name, tuple(map(_spelled, found.records)))
        if not found.records:
            self._note(applied, "tlsa-invalid", host)
            if self._tls is TLSPolicy.DANE_ONLY:
                return NO_DANE
            return self._least(TLSPolicy.REQUIRED, applied)
        names: tuple[str, ...] = ()
        if any(one.usage == 2 for one in found.records):
            domain = ascii_domain(self._name) or self._name
            names = tuple(dict.fromkeys((found.base, host, domain)))
        return Demand(
            TLSPolicy.REQUIRED,
            dane=DANE(found.records, names),
            server=found.base,
            applied=applied,
        )

    async def _without_dane(self, host: str) -> Demand | Reply:
        found = await self._policy()
        policy = found.policy
        applied = Applied(PolicyKind.NONE, self._name)
        if policy is not None:
            applied = Applied(PolicyKind.STS, self._name, policy.lines(), policy.hosts)
        if found.fault:
            self._note(Applied(PolicyKind.STS, self._name), found.fault, host, found.why)
        named = policy is not None and policy.allows(host)
        if self._needs_tls and not (self._hosts.authentic or named):
            return NO_TLS_PATH  # anybody could have named this host
        if self._needs_tls:
            return Demand(TLSPolicy.VERIFIED, applied=applied)
        strict = self._tls is TLSPolicy.MTA_STS
        if policy is None:
            return NO_POLICY if strict else self._least(self._tls, applied)
        if policy.mode is Mode.ENFORCE or strict:
            if not named:
                self._note(applied, "validation-failure", host, "not in the policy")
                return NOT_IN_POLICY
            return Demand(TLSPolicy.VERIFIED, applied=applied)
        least = self._least(self._tls, applied)
        if least.tls is not TLSPolicy.OPPORTUNISTIC:
            return least
        return Demand(least.tls, observed=True, applied=applied, misnamed=not named)

    async def _policy(self) -> Found:
        if self._found is None:
            policies = self._all.policies if self._by_sts else None
            self._found = Found() if policies is None else await policies.find(self._name)
        return self._found

    def _least(self, tls: TLSPolicy, applied: Applied) -> Demand:
        if tls is TLSPolicy.DANE:
            tls = TLSPolicy.OPPORTUNISTIC
        if self._tls is TLSPolicy.VERIFIED or tls is TLSPolicy.VERIFIED:
            return Demand(TLSPolicy.VERIFIED, self._names, applied=applied)
        return Demand(tls, applied=applied)

    def _note(self, applied: Applied, result: str, host: str, why: str = "") -> None:
        if self._all.notes is not None:
            self._all.notes.note(applied, result, host=host, why=why)


def _spelled(record: TLSA) -> str:
    """Spell a record as reports want it (RFC 8460 §4.4)."""
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()}"
