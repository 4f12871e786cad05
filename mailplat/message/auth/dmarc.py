"""DMARC: whether a message is from the domain that readers see in From (RFC 7489).

Invariants:

- A message passes only if every domain that its From names is vouched for; otherwise the
  strictest policy of those that are not counts.  So no second From gets around a policy.
- Nor does a From that names more domains than anyone would check, or a header that is too large.
- An answer that the DNS owes makes a message neither pass nor fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mailplat.message import addresses, headers
from mailplat.message.auth.dkim import Texts, Verified
from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.auth.result import Finding, Result
from mailplat.message.auth.spf import Checked
from mailplat.model.errors import Unavailable

__all__ = ["Evaluated", "Policy", "Record", "author_domains", "evaluate", "read_record"]

_LARGEST_HEADER = 1024 * 1024
"""Bytes of a header that is looked through for From."""

_MOST_DOMAINS = 5
"""Domains of From that are asked for; who names more gets no answer but an error."""


class Policy(IntEnum):
    """What a domain wants done with mail that is not its own, mildest first."""

    NONE = 0
    QUARANTINE = 1
    REJECT = 2


@dataclass(frozen=True, slots=True)
class Record:
    """A domain's policy (RFC 7489 §6.3).

    Attributes:
        policy: For the domain.
        for_subdomains: For domains below it.
        strict_dkim: Whether DKIM must be of the very domain.
        strict_spf: Whether SPF must be.
        percent: Of how many messages in a hundred the policy is wanted for.
    """

    policy: Policy
    for_subdomains: Policy
    strict_dkim: bool = False
    strict_spf: bool = False
    percent: int = 100


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of a message.

    Attributes:
        result: NONE where no policy is published, PERMERROR where From names no domain.
        domain: The domain of From that it is about; ``""`` if there is none.
        policy: What is wanted for this message, if the result is FAIL; and if it is PERMERROR
            because From is made to be more than anyone would check.
        published: What the domain says.
        reason: Why.
    """

    result: Result
    domain: str = ""
    policy: Policy = Policy.NONE
    published: Policy = Policy.NONE
    reason: str = ""

    @property
    def finding(self) -> Finding:
        """What Authentication-Results says of it (RFC 7489 §11.1)."""
        properties = (("header.from", self.domain),) if self.domain else ()
        return Finding("dmarc", self.result, properties, self.reason)


def author_domains(header: bytes) -> list[str]:
    """Give the domains of all addresses in all From fields, each once, as the DNS spells them.

    Those that the DNS cannot have are left out.
    """
    hosts = [
        mailbox.host.decode("utf-8", "replace")
        for value in headers.every(header, b"from")
        for mailbox in addresses.parse(value)
        if mailbox.host is not None
    ]
    return list(dict.fromkeys(filter(None, map(ascii_domain, hosts))))


def read_record(found: Sequence[bytes]) -> Record | None:
    """Choose and read a policy among texts; None if there is none (RFC 7489 §6.6.3)."""
    records = [text for text in found if text.startswith(b"v=DMARC1")]
    if len(records) != 1:
        return None
    tags: dict[str, str] = {}
    for part in records[0].decode("utf-8", "replace").split(";"):
        name, _, value = part.partition("=")  # what cannot be read is left out
        tags.setdefault(name.strip().lower(), value.strip())
    if tags.get("v") != "DMARC1":
        return None
    policy = _policy(tags.get("p"))
    if policy is None:
        if "rua" not in tags:
            return None
        policy = Policy.NONE  # it wants reports at least (RFC 7489 §6.6.3)
    below = _policy(tags.get("sp"))
    percent = tags.get("pct", "100")
    return Record(
        policy,
        policy if below is None else below,
        tags.get("adkim", "r").lower() == "s",
        tags.get("aspf", "r").lower() == "s",
        min(100, int(percent)) if percent.isascii() and percent.isdigit() else 100,
    )


def _policy(word: str | None) -> Policy | None:
    name = (word or "").upper()
    return Policy[name] if name in Policy.__members__ else None


async def evaluate(
    header: bytes,
    dkim: Iterable[Verified],
    spf: Checked | None,
    texts: Texts,
    organisation: Callable[[str], str],
    draw: float = 0.0,
) -> Evaluated:
    """Hold a message against the policies of the domains in its From.

    Args:
        header: The message's header.
        dkim: What became of its signatures.
        spf: What became of its envelope's sender.
        texts: Asks the DNS.
        organisation: Gives the organisational domain of a domain.
        draw: A number from 0 up to 100, by chance: which messages policies for a percentage
            are wanted for (RFC 7489 §6.6.4).
    """
    domains = author_domains(header) if len(header) <= _LARGEST_HEADER else None
    if domains is None or len(domains) > _MOST_DOMAINS:
        reason = "too many domains in From" if domains else "header is too large"
        return Evaluated(Result.PERMERROR, policy=Policy.QUARANTINE, reason=reason)
    if not domains:
        return Evaluated(Result.PERMERROR, reason="no domain in From")
    signatures = list(dkim)
    found = [
        await _evaluated(domain, signatures, spf, texts, organisation, draw) for domain in domains
    ]
    return max(found, key=lambda one: (_WORST.index(one.result), one.policy))


_WORST = (Result.PASS, Result.NONE, Result.TEMPERROR, Result.FAIL)


async def _evaluated(
    domain: str,
    dkim: Sequence[Verified],
    spf: Checked | None,
    texts: Texts,
    organisation: Callable[[str], str],
    draw: float,
) -> Evaluated:
    above = organisation(domain)
    try:
        record = read_record(await texts(f"_dmarc.{domain}"))
        below = record is None and above != domain
        if below:
            record = read_record(await texts(f"_dmarc.{above}"))
    except Unavailable:
        return Evaluated(Result.TEMPERROR, domain, reason="policy cannot be asked for now")
    if record is None:
        return Evaluated(Result.NONE, domain)
    published = record.for_subdomains if below else record.policy

    def aligned(other: str, strict: bool) -> bool:
        return other == domain or (not strict and organisation(other) == above)

    results = {one.result for one in dkim if one.domain and aligned(one.domain, record.strict_dkim)}
    if spf is not None:
        sender = ascii_domain(spf.domain)
        if sender is not None and aligned(sender, record.strict_spf):
            results.add(spf.result)
    if Result.PASS in results:
        return Evaluated(Result.PASS, domain, published=published)
    if Result.TEMPERROR in results:
        return Evaluated(Result.TEMPERROR, domain, published=published, reason="undecided for now")
    wanted = published
    if wanted is not Policy.NONE and draw >= record.percent:
        wanted = Policy(wanted - 1)  # the next milder one (RFC 7489 §6.6.4)
    return Evaluated(Result.FAIL, domain, wanted, published, f"policy is {published.name.lower()}")
