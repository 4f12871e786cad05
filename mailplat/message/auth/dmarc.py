"""DMARC: whether a message is from the domain that readers see in From (RFC 7489, RFC 9091).

Invariants:

- A message passes only if every domain that its From names is vouched for; otherwise the
  strictest policy of those that are not counts.  So no second From gets around a policy.
- Nor does a From that names more domains than anyone would check, or a header that is too large.
- An answer that the DNS owes makes a message neither pass nor fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from mailplat.message import addresses, headers
from mailplat.message.auth.dkim import Texts, Verified
from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.auth.result import Finding, Result
from mailplat.message.auth.spf import Checked
from mailplat.model.errors import Unavailable

__all__ = ["Evaluated", "Policy", "Record", "author_domains", "evaluate", "read_record"]

Exists = Callable[[str], Awaitable[bool]]
"""Tells whether the DNS has addresses or mail exchangers of a name; may raise `Unavailable`."""

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
        for_missing: For domains below it that do not exist; None where nothing is said of them
            (RFC 9091 §3.2).
        reports_to: Where aggregate reports are wanted: URIs as they stand there (``rua``).
        failure_options: When reports of single failures are wanted (``fo``).
    """

    policy: Policy
    for_subdomains: Policy
    strict_dkim: bool = False
    strict_spf: bool = False
    percent: int = 100
    for_missing: Policy | None = None
    reports_to: str = ""
    failure_options: str = "0"


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
        record: The record that it comes from; None if there is none.
        record_domain: Whose record that is: the domain, or the one above that was registered.
        dkim_aligned: Whether DKIM vouches for the domain,
        spf_aligned: and whether SPF does.
    """

    result: Result
    domain: str = ""
    policy: Policy = Policy.NONE
    published: Policy = Policy.NONE
    reason: str = ""
    record: Record | None = None
    record_domain: str = ""
    dkim_aligned: bool = False
    spf_aligned: bool = False

    @property
    def sampled_out(self) -> bool:
        """Whether the message is one of those that the policy is not wanted for (``pct``)."""
        return self.result is Result.FAIL and self.policy is not self.published

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
        min(100, int(percent[:9])) if percent.isascii() and percent.isdigit() else 100,
        _policy(tags.get("np")),
        tags.get("rua", ""),
        tags.get("fo", "0"),
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
    exists: Exists | None = None,
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
        exists: Tells whether a domain has addresses or mail exchangers; without it all do.
    """
    domains = author_domains(header) if len(header) <= _LARGEST_HEADER else None
    if domains is None or len(domains) > _MOST_DOMAINS:
        reason = "too many domains in From" if domains else "header is too large"
        return Evaluated(Result.PERMERROR, policy=Policy.QUARANTINE, reason=reason)
    if not domains:
        return Evaluated(Result.PERMERROR, reason="no domain in From")
    signatures = list(dkim)
    found = [
        await _evaluated(domain, signatures, spf, texts, organisation, draw, exists)
        for domain in domains
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
    exists: Exists | None,
) -> Evaluated:
    above = organisation(domain)
    try:
        record = read_record(await texts(f"_dmarc.{domain}"))
        below = record is None and above != domain
        if below:
            record = read_record(await texts(f"_dmarc.{above}"))
        missing = (
            below
            and record is not None
            and record.for_missing is not None
            and exists is not None
            and not await exists(domain)
        )
    except Unavailable:
        return Evaluated(Result.TEMPERROR, domain, reason="policy cannot be asked for now")
    if record is None:
        return Evaluated(Result.NONE, domain)
    published = record.for_subdomains if below else record.policy
    if missing and record.for_missing is not None:
        published = record.for_missing

    def aligned(other: str, strict: bool) -> bool:
        return other == domain or (not strict and organisation(other) == above)

    by_dkim = {one.result for one in dkim if one.domain and aligned(one.domain, record.strict_dkim)}
    by_spf: set[Result] = set()
    if spf is not None:
        sender = ascii_domain(spf.domain)
        if sender is not None and aligned(sender, record.strict_spf):
            by_spf.add(spf.result)
    made = partial(
        Evaluated,
        domain=domain,
        published=published,
        record=record,
        record_domain=above if below else domain,
        dkim_aligned=Result.PASS in by_dkim,
        spf_aligned=Result.PASS in by_spf,
    )
    if Result.PASS in by_dkim | by_spf:
        return made(Result.PASS)
    if Result.TEMPERROR in by_dkim | by_spf:
        return made(Result.TEMPERROR, reason="undecided for now")
    wanted = published
    if wanted is not Policy.NONE and draw >= record.percent:
        wanted = Policy(wanted - 1)  # the next milder one (RFC 7489 §6.6.4)
    return made(Result.FAIL, policy=wanted, reason=f"policy is {published.name.lower()}")
