"""What the DNS should say of a domain whose mail is here, and whether it does.

The records are made of the configuration; looking is a question each.  A record that is there and
says something else is not a fault by itself: SPF is tried with the server's own addresses, and of
DMARC, MTA-STS and TLSRPT it counts that they can be read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailplat.config.listeners import STANDARD_PORTS, Listener
from mailplat.config.options import Configuration
from mailplat.config.sections.server import ListenerProtocol
from mailplat.filters.asking import ResolverLookups
from mailplat.filters.dkim_sign import read_signers
from mailplat.interfaces.resolver import IResolver
from mailplat.message.auth.dkim_signing import Signer
from mailplat.message.auth.dmarc import read_record
from mailplat.message.auth.keys import KeyFault, key_record, load_private_key
from mailplat.message.auth.result import Result
from mailplat.message.auth.spf import Client, check
from mailplat.message.auth.spf_record import select_records
from mailplat.model.errors import ConfigurationFault, Unavailable

__all__ = ["KEYS", "DomainRecord", "Found", "Seen", "check_key", "domain_records", "signers_of"]

_SERVICES = {
    ListenerProtocol.SUBMISSIONS: "submissions",
    ListenerProtocol.SUBMISSION: "submission",
    ListenerProtocol.IMAPS: "imaps",
    ListenerProtocol.IMAP: "imap",
    ListenerProtocol.POP3S: "pop3s",
    ListenerProtocol.POP3: "pop3",
}
"""The services that clients look for (RFC 6186 §3, RFC 8314 §5.1), the best first."""

KEYS = "dkim"
"""The folder of the data directory in which keys are made: ``DOMAIN.SELECTOR.pem``."""

_SIGNS = ("dkim_sign", "arc_seal")
_PORT = re.compile(r":(?:port=)?([0-9]+)")
_STRING = 250
"""Characters of one string of a TXT record; it may have 255 (RFC 1035 §3.3.14)."""


class Seen(StrEnum):
    """What came of looking for a record."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found."""

    seen: Seen
    detail: str = ""


Look = Callable[[], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A record that a domain should have.

    Attributes:
        name: Its name, without a final dot.
        kind: ``MX``, ``TXT`` or ``SRV``.
        value: What it says.
        why: What it is for.
        look: Looks whether it is there; None where nothing here can look.
    """

    name: str
    kind: str
    value: str
    why: str
    look: Look | None = None

    def __str__(self) -> str:
        """Write it as a zone file has it."""
        value = self.value
        if self.kind == "TXT":
            strings = [value[at : at + _STRING] for at in range(0, len(value), _STRING)]
            value = " ".join(f'"{one}"' for one in strings)
        return f"{self.name}. IN {self.kind} {value}"


def signers_of(configuration: Configuration, domain: str) -> Sequence[Signer]:
    """Find the keys of a domain: those of filters that sign or seal, and those in `KEYS`.

    Raises:
        ConfigurationFault: One cannot be read.
    """
    found: dict[str, Signer] = {}
    for one in configuration.filters:
        prefix, _, argument = one.use.partition(":")
        if prefix in _SIGNS:
            signers = read_signers(argument, str(configuration.server.data_directory), prefix)
            found.update({signer.selector: signer for signer in signers.get(domain, ())})
    folder = configuration.server.data_directory / KEYS
    for path in sorted(folder.glob(f"{domain}.*.pem")):  # made, and perhaps not in use yet
        selector = path.name.removeprefix(f"{domain}.").removesuffix(".pem")
        if "." not in selector and selector not in found:
            try:
                found[selector] = Signer(domain, selector, load_private_key(path.read_bytes()))
            except KeyFault as fault:
                raise ConfigurationFault(f"{path}: {fault}") from None
    return list(found.values())


def domain_records(
    configuration: Configuration,
    listeners: Sequence[Listener],
    hostname: str,
    domain: str,
    resolver: IResolver,
    now: int,
) -> Iterator[DomainRecord]:
    """List what a domain should have.

    Args:
        configuration: As read.
        listeners: The server's ports.
        hostname: The server's name.
        domain: In ASCII and lower case.
        resolver: What looking asks.
        now: Seconds since 1970 UTC; the policy of MTA-STS is named after it.

    Raises:
        ConfigurationFault: A key of the configuration cannot be read.
    """
    ask = _Asking(resolver, hostname, domain)
    postmaster = f"postmaster@{domain}"
    yield DomainRecord(domain, "MX", f"10 {hostname}.", "where mail for the domain goes", ask.mx)
    yield DomainRecord(domain, "TXT", "v=spf1 mx -all", "who sends mail in its name", ask.spf)
    for signer in signers_of(configuration, domain):
        yield DomainRecord(
            f"{signer.selector}._domainkey.{domain}",
            "TXT",
            signer.key.record,
            "the key that signatures are verified with",
            lambda signer=signer: check_key(resolver, signer),  # type: ignore[misc]
        )
    yield DomainRecord(
        f"_dmarc.{domain}",
        "TXT",
        f"v=DMARC1; p=none; rua=mailto:{postmaster}",
        "what becomes of mail that is not the domain's; p=quarantine or p=reject once the reports "
        "are quiet",
        ask.dmarc,
    )
    yield DomainRecord(
        f"_mta-sts.{domain}",
        "TXT",
        f"v=STSv1; id={now}",
        f"that others must use TLS; with https://mta-sts.{domain}/.well-known/mta-sts.txt, which "
        f"says: version: STSv1, mode: testing, mx: {hostname}, max_age: 604800 (a line each)",
        lambda: ask.tagged(f"_mta-sts.{domain}", b"v=STSv1;"),
    )
    yield DomainRecord(
        f"_smtp._tls.{domain}",
        "TXT",
        f"v=TLSRPTv1; rua=mailto:{postmaster}",
        "whom others tell how TLS with this server went",
        lambda: ask.tagged(f"_smtp._tls.{domain}", b"v=TLSRPTv1;"),
    )
    ports = {one.protocol: _port(one) for one in listeners}
    for rank, (protocol, service) in enumerate(_SERVICES.items()):
        if protocol in ports:
            yield DomainRecord(
                f"_{service}._tcp.{domain}",
                "SRV",
                f"{10 * (rank % 2)} 1 {ports[protocol]} {hostname}.",
                "where mail programs find the server",
            )
        else:
            yield DomainRecord(
                f"_{service}._tcp.{domain}", "SRV", "0 0 0 .", "that there is no such service"
            )


def _port(listener: Listener) -> int:
    found = _PORT.search(listener.endpoint)
    return int(found[1]) if found else STANDARD_PORTS[listener.protocol]


async def check_key(resolver: IResolver, signer: Signer) -> Found:
    """Look whether the DNS has the key that a signer signs with."""
    name = f"{signer.selector}._domainkey.{signer.domain}"
    try:
        found = (await resolver.txt(name)).records
    except Unavailable:
        return Found(Seen.UNKNOWN, "the DNS does not answer")
    if not found:
        return Found(Seen.MISSING)
    ours = key_record(signer.key.record.encode())
    reasons = []
    for text in found:
        try:
            record = key_record(text)
        except KeyFault as fault:
            reasons.append(str(fault))
            continue
        if record.key is None:
            reasons.append("the key was revoked")
        elif record.kind != ours.kind or _public(record.key) != _public(ours.key):
            reasons.append("the DNS has another key")
        elif not record.for_mail or (record.hashes and "sha256" not in record.hashes):
            reasons.append("its tags do not let it be used for mail")
        elif record.testing:
            return Found(Seen.OK, "says t=y: it is only tested")
        else:
            return Found(Seen.OK)
    return Found(Seen.WRONG, "; ".join(reasons))


def _public(key: object) -> object:
    numbers = getattr(key, "public_numbers", None) or getattr(key, "public_bytes_raw", None)
    return numbers() if numbers is not None else None


class _Asking:
    """Looks for the records of one domain."""

    def __init__(self, resolver: IResolver, hostname: str, domain: str) -> None:
        self._resolver = resolver
        self._hostname = hostname
        self._domain = domain

    async def mx(self) -> Found:
        """Look whether mail leads here."""
        try:
            hosts = [one.host for one in (await self._resolver.mx(self._domain)).records]
            own = (await self._resolver.addresses(self._hostname)).records
        except Unavailable:
            return Found(Seen.UNKNOWN, "the DNS does not answer")
        if not hosts:
            return Found(Seen.MISSING)
        if self._hostname.lower() not in hosts:
            return Found(Seen.WRONG, f"leads to {', '.join(hosts)}")
        if not own:
            return Found(Seen.WRONG, f"{self._hostname} has no address")
        return Found(Seen.OK)

    async def spf(self) -> Found:
        """Look whether each address of this server may send."""
        try:
            records = select_records((await self._resolver.txt(self._domain)).records)
            own = (await self._resolver.addresses(self._hostname)).records
        except Unavailable:
            return Found(Seen.UNKNOWN, "the DNS does not answer")
        if not records:
            return Found(Seen.MISSING)
        if not own:
            return Found(Seen.UNKNOWN, f"{self._hostname} has no address to try")
        lookups = ResolverLookups(self._resolver)
        for address in own:
            client = Client(address, self._hostname, f"postmaster@{self._domain}", self._hostname)
            checked = await check(client, lookups)
            if checked.result is not Result.PASS:
                why = f": {checked.reason}" if checked.reason else ""
                return Found(Seen.WRONG, f"{checked.result} for {address}{why}")
        return Found(Seen.OK)

    async def dmarc(self) -> Found:
        """Look whether there is a policy that can be read."""
        try:
            found = (await self._resolver.txt(f"_dmarc.{self._domain}")).records
        except Unavailable:
            return Found(Seen.UNKNOWN, "the DNS does not answer")
        record = read_record(found)
        if record is None:
            return Found(Seen.WRONG, "cannot be read") if found else Found(Seen.MISSING)
        return Found(Seen.OK, f"policy {record.policy.name.lower()}")

    async def tagged(self, name: str, begin: bytes) -> Found:
        """Look whether there is one record of a kind."""
        try:
            found = (await self._resolver.txt(name)).records
        except Unavailable:
            return Found(Seen.UNKNOWN, "the DNS does not answer")
        fitting = [one for one in found if one.replace(b" ", b"").startswith(begin)]
        if len(fitting) > 1:
            return Found(Seen.WRONG, "more than one")
        return Found(Seen.OK if fitting else Seen.MISSING)
