"""SPF: whether a host may send for a domain (RFC 7208).

Invariants:

- One check asks the DNS in ten terms at most, and gets two empty answers at most (RFC 7208
  §4.6.4); each term asks for ten names at most.
- It never raises for what a domain published, or for a DNS that does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from mailplat.message.auth.lookups import Lookups, ascii_domain
from mailplat.message.auth.result import Finding, Result
from mailplat.message.auth.spf_macros import Text, expand, expand_domain, macro_string, wants
from mailplat.message.auth.spf_record import Directive, Record, read_record, select_records
from mailplat.model.errors import Unavailable

__all__ = ["Checked", "Client", "Limits", "check"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a domain may make us ask (RFC 7208 §4.6.4).

    Attributes:
        terms: That ask the DNS.
        empty_answers: More are an error of the domain's.
        names: Of an MX or a PTR answer.
        explanation: Characters of the text for those who are refused.
        record: Bytes of a record; a longer one is an error (RFC 7208 §3.4 advises 450).
    """

    terms: int = 10
    empty_answers: int = 2
    names: int = 10
    explanation: int = 400
    record: int = 8192


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends, and to whom.

    Attributes:
        address: The client's IP address.
        helo: What it called itself.
        sender: The reverse path's address; ``""`` is the null sender.
        receiver: Our host's name.
        now: Seconds since 1970 UTC.
    """

    address: str
    helo: str
    sender: str
    receiver: str = "unknown"
    now: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        result: The result (RFC 7208 §2.6).
        identity: ``mailfrom``, or ``helo`` for the null sender (RFC 7208 §2.4).
        domain: The domain that was asked.
        subject: The identity itself.
        reason: Why, if it is an error.
        explanation: What the domain has to say to those who fail: foreign words.
    """

    result: Result
    identity: str
    domain: str
    subject: str
    reason: str = ""
    explanation: str = ""

    @property
    def finding(self) -> Finding:
        """What Authentication-Results says of it (RFC 8601 §2.7.2)."""
        return Finding("spf", self.result, ((f"smtp.{self.identity}", self.subject),), self.reason)


class _Fault(Exception):
    """The domain's records are in error (RFC 7208 §2.6.7)."""


async def check(client: Client, lookups: Lookups, limits: Limits = Limits()) -> Checked:
    """Ask whether the client may send for the sender's domain.

    The null sender stands for ``postmaster`` at what the client called itself.
    """
    identity = "mailfrom" if client.sender else "helo"
    sender = client.sender or f"postmaster@{client.helo}"
    local, _, domain = sender.rpartition("@")
    found = await _checked(client, f"{local or 'postmaster'}@{domain}", lookups, limits)
    result, reason, explanation = found
    return Checked(result, identity, domain, client.sender or client.helo, reason, explanation)


async def _checked(
    client: Client, sender: str, lookups: Lookups, limits: Limits
) -> tuple[Result, str, str]:
    domain = ascii_domain(sender.rpartition("@")[2])
    if domain is None:
        return Result.NONE, "not a domain of the DNS", ""
    one = _Check(client, sender, lookups, limits)
    try:
        result = await one.check_host(domain)
        explanation = await one.explanation() if result is Result.FAIL else ""
        return result, "", explanation
    except _Fault as fault:
        return Result.PERMERROR, str(fault), ""
    except Unavailable:
        return Result.TEMPERROR, "the DNS does not answer", ""


class _Check:
    """One check, with all the records that it comes by."""

    def __init__(self, client: Client, sender: str, lookups: Lookups, limits: Limits) -> None:
        address = ip_address(client.address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # RFC 7208 §5
        self._address: IPv4Address | IPv6Address = address
        self._client = client
        self._sender = sender
        self._lookups = lookups
        self._limits = limits
        self._terms = self._empty = 0
        self._explains: tuple[Text, str] | None = None  # of the record that refused

    async def check_host(self, domain: str) -> Result:
        """Evaluate a domain's record (RFC 7208 §4).

        Raises:
            _Fault: It is in error.
            Unavailable: The DNS does not answer.
        """
        found = select_records(await self._lookups.txt(domain))
        if not found:
            return Result.NONE
        if len(found) > 1:
            raise _Fault("more than one SPF record")
        if len(found[0]) > self._limits.record:
            raise _Fault("SPF record is too long")
        try:
            record = read_record(found[0])
        except ValueError:
            raise _Fault("SPF record cannot be read") from None
        for directive in record.directives:
            if await self._matches(directive, domain):
                self._explain(record, directive.result, domain)
                return directive.result
        if record.redirect is None:
            return Result.NEUTRAL
        self._count_term()
        other = ascii_domain(await self._expanded(record.redirect, domain))
        result = Result.NONE if other is None else await self.check_host(other)
        if result is Result.NONE:
            raise _Fault("redirect to a domain without SPF record")  # RFC 7208 §6.1
        return result

    def _explain(self, record: Record, result: Result, domain: str) -> None:
        """Keep where the explanation is; an included record's is not used (RFC 7208 §6.2)."""
        self._explains = None
        if result is Result.FAIL and record.explanation is not None:
            self._explains = (record.explanation, domain)

    async def explanation(self) -> str:
        """Ask what the domain says to those who fail; nothing if anything is wrong with it."""
        if self._explains is None:
            return ""
        where, domain = self._explains
        try:
            name = ascii_domain(await self._expanded(where, domain))
            found = await self._lookups.txt(name) if name is not None else ()
            if len(found) != 1 or len(found[0]) > self._limits.record:
                return ""
            text = macro_string(found[0].decode("ascii"), explanation=True)
            return (await self._filled(text, domain))[: self._limits.explanation]
        except (ValueError, Unavailable, _Fault):
            return ""

    async def _matches(self, directive: Directive, domain: str) -> bool:
        match directive.mechanism:
            case "all":
                return True
            case "ip4" | "ip6":
                return directive.network is not None and self._address in directive.network
        self._count_term()
        wanted = domain
        if directive.domain is not None:
            named = ascii_domain(await self._expanded(directive.domain, domain))
            if named is None:
                return self._names_nothing(directive)
            wanted = named
        match directive.mechanism:
            case "include":
                return await self._included(wanted)
            case "a":
                return await self._within([wanted], directive)
            case "mx":
                hosts = self._counted(await self._lookups.mx(wanted))
                if len(hosts) > self._limits.names:
                    raise _Fault("too many MX hosts")
                return await self._within(hosts, directive)
            case "exists":
                return bool(self._counted(await self._lookups.addresses(wanted, 4)))
        return any(_under(name, wanted) for name in await self._validated_names())  # ptr

    def _names_nothing(self, directive: Directive) -> bool:
        """A name that the DNS cannot have matches nothing; a record it cannot have is an error."""
        if directive.mechanism == "include":
            raise _Fault("include of a domain without SPF record")
        return False

    async def _included(self, domain: str) -> bool:
        """Evaluate another record as a mechanism (RFC 7208 §5.2)."""
        result = await self.check_host(domain)
        if result is Result.NONE:
            raise _Fault("include of a domain without SPF record")
        return result is Result.PASS

    async def _within(self, names: Sequence[str], directive: Directive) -> bool:
        """Tell whether the client has one of the addresses of these names, as far as they count."""
        version = self._address.version
        prefix = directive.prefixes[version == 6]
        for name in names:
            for found in self._counted(await self._lookups.addresses(name, version)):
                if self._address in ip_network(f"{found}/{prefix}", strict=False):
                    return True
        return False

    async def _validated_names(self) -> list[str]:
        """Give the client's names that lead back to its address (RFC 7208 §5.5)."""
        validated: list[str] = []
        try:
            names = self._counted(await self._lookups.ptr(str(self._address)))
        except Unavailable:
            return validated
        for name in names[: self._limits.names]:
            try:
                found = await self._lookups.addresses(name, self._address.version)
            except Unavailable:
                continue
            if any(ip_address(one) == self._address for one in self._counted(found)):
                validated.append(name.removesuffix(".").lower())
        return validated

    def _count_term(self) -> None:
        self._terms += 1
        if self._terms > self._limits.terms:
            raise _Fault("too many terms that ask the DNS")

    def _counted(self, found: Sequence[str]) -> Sequence[str]:
        self._empty += not found
        if self._empty > self._limits.empty_answers:
            raise _Fault("too many empty answers of the DNS")
        return found

    async def _expanded(self, text: Text, domain: str) -> str:
        return expand_domain(text, await self._values(text, domain))

    async def _filled(self, text: Text, domain: str) -> str:
        return expand(text, await self._values(text, domain))

    async def _values(self, text: Text, domain: str) -> dict[str, str]:
        """Give what the macros stand for (RFC 7208 §7.2)."""
        if all(isinstance(piece, str) for piece in text):
            return {}
        local, _, sender_domain = self._sender.rpartition("@")
        address = self._address
        values = {
            "s": self._sender,
            "l": local,
            "o": sender_domain,
            "d": domain,
            "i": ".".join(address.exploded.replace(":", "")) if address.version == 6 else "",
            "h": self._client.helo,
            "v": "ip6" if address.version == 6 else "in-addr",
            "c": str(address),
            "r": self._client.receiver,
            "t": str(self._client.now),
            "p": "unknown",
        }
        values["i"] = values["i"] or str(address)
        if wants(text, "p"):
            names = sorted(
                await self._validated_names(),
                key=lambda name: (name != domain, not _under(name, domain)),
            )
            values["p"] = names[0] if names else "unknown"
        return values


def _under(name: str, domain: str) -> bool:
    """Tell whether a name is a domain's or below it."""
    domain = domain.lower()
    return name == domain or name.endswith("." + domain)
