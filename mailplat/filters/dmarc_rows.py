"""From what the checks found to the row that a report on DMARC has of it (RFC 7489 §7.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.interfaces.filters import Context
from mailplat.message.auth.arc import Chain
from mailplat.message.auth.dkim import Verified
from mailplat.message.auth.dmarc import Evaluated, Policy
from mailplat.message.auth.dmarc_report import (
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
)
from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.auth.result import Result
from mailplat.message.auth.spf import Checked
from mailplat.model.envelope import Sender
from mailplat.model.verdict import Action

__all__ = ["noted"]

_MOST_SIGNATURES = 10

_DISPOSITIONS = {Action.QUARANTINE: Policy.QUARANTINE, Action.REJECT: Policy.REJECT}
"""What is done; mail that is held, deferred or discarded is as good as delivered in a report."""


def noted(
    results: IDmarcResults,
    at: float,
    context: Context,
    sender: Sender,
    evaluated: Evaluated,
    signatures: Sequence[Verified],
    spf: Checked | None,
    action: Action,
    vouched: Chain | None,
) -> None:
    """Count a message, if its domain wants reports and its result is one for them.

    Args:
        results: Gathers.
        at: When it came, seconds since 1970 UTC.
        context: Where it came from.
        sender: Its reverse path.
        evaluated: What DMARC found.
        signatures: What DKIM found.
        spf: What SPF found.
        action: What becomes of the message.
        vouched: The chain of sealers whose word counted more; None if none did.
    """
    record = evaluated.record
    wanted = record is not None and bool(record.reports_to)
    if record is None or not wanted or evaluated.result not in (Result.PASS, Result.FAIL):
        return
    published = Published(
        evaluated.record_domain,
        record.policy.name.lower(),
        record.for_subdomains.name.lower(),
        "s" if record.strict_dkim else "r",
        "s" if record.strict_spf else "r",
        record.percent,
        record.failure_options[:20],
        "" if record.for_missing is None else record.for_missing.name.lower(),
    )
    done = _DISPOSITIONS.get(action, Policy.NONE)
    row = Row(
        source=context.peer.address,
        count=1,
        disposition=done.name.lower(),
        dkim="pass" if evaluated.dkim_aligned else "fail",
        spf="pass" if evaluated.spf_aligned else "fail",
        header_from=evaluated.domain,
        envelope_from=_domain_of(sender),
        overrides=tuple(_overrides(evaluated, done, vouched)),
        signatures=tuple(
            SignatureResult(one.domain, one.selector, one.result)
            for one in signatures[:_MOST_SIGNATURES]
            if one.domain
        ),
        senders=() if spf is None else (_spf_result(spf),),
    )
    results.note(at, published, record.reports_to, row)


def _overrides(evaluated: Evaluated, done: Policy, vouched: Chain | None) -> Iterator[Override]:
    """Say why something else was done than the domain wants."""
    if evaluated.sampled_out:
        yield Override("sampled_out")
    if vouched is not None:
        # RFC 8617 §7.2.2
        sealers = " ".join(
            f"as[{number}].d={domain} as[{number}].s={selector}"
            for number, (domain, selector) in reversed([*enumerate(vouched.sealers, 1)])
        )
        yield Override("local_policy", f"arc=pass {sealers}")
    elif done is not evaluated.policy:
        yield Override("local_policy")


def _spf_result(spf: Checked) -> SPFResult:
    scope = "helo" if spf.identity == "helo" else "mfrom"
    result = spf.result if spf.result is not Result.POLICY else Result.NEUTRAL
    return SPFResult(ascii_domain(spf.domain) or spf.domain[:255], scope, result)


def _domain_of(sender: Sender) -> str:
    address = sender.address
    return "" if address is None else ascii_domain(address.domain) or address.domain[:255]
