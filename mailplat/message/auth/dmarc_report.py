"""Aggregate reports: what a domain is told of the mail in its name (RFC 7489 §7.2, appendix C).

Values, and how they are written as XML; `dmarc_report_reading` reads what others wrote.  Foreign
words are escaped, and cleaned of what XML cannot have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from gzip import compress
from xml.sax.saxutils import escape

__all__ = [
    "AggregateReport",
    "Override",
    "Published",
    "Row",
    "SPFResult",
    "SignatureResult",
    "file_name",
    "packed",
    "written",
]

_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 1024
"""Characters of one value."""


@dataclass(frozen=True, slots=True)
class Published:
    """The policy that a domain published.

    Attributes:
        domain: Whose it is.
        policy: ``none``, ``quarantine`` or ``reject``.
        for_subdomains: For domains below it.
        dkim: ``r`` or ``s``: how near DKIM has to be,
        spf: and how near SPF.
        percent: Of how many messages in a hundred the policy is wanted for.
        failure_options: When reports of single failures are wanted.
        for_missing: For domains below it that do not exist (RFC 9091); ``""`` if not said.
    """

    domain: str
    policy: str = "none"
    for_subdomains: str = "none"
    dkim: str = "r"
    spf: str = "r"
    percent: int = 100
    failure_options: str = "0"
    for_missing: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """Why a policy was not followed.

    Attributes:
        kind: ``forwarded``, ``sampled_out``, ``trusted_forwarder``, ``mailing_list``,
            ``local_policy`` or ``other``.
        comment: More about it.
    """

    kind: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SignatureResult:
    """What became of a DKIM signature."""

    domain: str
    selector: str
    result: str


@dataclass(frozen=True, slots=True)
class SPFResult:
    """What SPF found.

    Attributes:
        domain: Which domain was asked.
        scope: ``mfrom`` or ``helo``.
        result: What it said.
    """

    domain: str
    scope: str
    result: str


@dataclass(frozen=True, slots=True)
class Row:
    """Messages that are alike.

    Attributes:
        source: The address that they came from.
        count: How many.
        disposition: What became of them: ``none``, ``quarantine`` or ``reject``.
        dkim: Whether DKIM vouched for the domain in From,
        spf: and whether SPF did: ``pass`` or ``fail``.
        header_from: The domain in From.
        envelope_from: The domain of the reverse path; ``""`` for the null sender.
        overrides: Why the policy was not followed.
        signatures: Their signatures, whoever signed.
        senders: What SPF found, whomever it is about.
    """

    source: str
    count: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str = ""
    overrides: tuple[Override, ...] = ()
    signatures: tuple[SignatureResult, ...] = ()
    senders: tuple[SPFResult, ...] = ()


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """A report on a domain's mail in a span of time.

    Attributes:
        organisation: Who reports.
        email: Whom to ask about it.
        report_id: Its name; the same for the same report.
        begin: Where the span begins, seconds since 1970 UTC,
        end: and where it ends.
        published: The domain's policy.
        rows: What came.
        contact: More about whom to ask.
        errors: What went wrong in gathering it.
    """

    organisation: str
    email: str
    report_id: str
    begin: int
    end: int
    published: Published
    rows: Sequence[Row]
    contact: str = ""
    errors: tuple[str, ...] = ()


def file_name(receiver: str, report: AggregateReport) -> str:
    """Name a report's file as RFC 7489 §7.2.1.1 wants it; it is compressed by gzip."""
    return f"{receiver}!{report.published.domain}!{report.begin}!{report.end}.xml.gz"


def packed(report: AggregateReport) -> bytes:
    """Write a report and compress it; takes a second for a hundred thousand rows."""
    return compress(written(report), mtime=0)


def written(report: AggregateReport) -> bytes:
    """Write a report as XML (RFC 7489 appendix C)."""
    return "".join(f"{line}\n" for line in _lines(report)).encode()


def _lines(report: AggregateReport) -> Iterator[str]:
    published = report.published
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield "<feedback>"
    yield _one("version", "1.0")
    yield "<report_metadata>"
    yield _one("org_name", report.organisation) + _one("email", report.email)
    if report.contact:
        yield _one("extra_contact_info", report.contact)
    yield _one("report_id", report.report_id)
    yield f"<date_range>{_one('begin', report.begin)}{_one('end', report.end)}</date_range>"
    yield from (_one("error", error) for error in report.errors)
    yield "</report_metadata>"
    yield "<policy_published>"
    yield _one("domain", published.domain)
    yield _one("adkim", published.dkim) + _one("aspf", published.spf)
    yield _one("p", published.policy) + _one("sp", published.for_subdomains)
    if published.for_missing:
        yield _one("np", published.for_missing)
    yield _one("pct", published.percent) + _one("fo", published.failure_options)
    yield "</policy_published>"
    for row in report.rows:
        yield from _row(row)
    yield "</feedback>"


def _row(row: Row) -> Iterator[str]:
    yield "<record><row>"
    yield _one("source_ip", row.source) + _one("count", row.count)
    yield "<policy_evaluated>"
    yield _one("disposition", row.disposition) + _one("dkim", row.dkim) + _one("spf", row.spf)
    for one in row.overrides:
        yield f"<reason>{_one('type', one.kind)}{_one('comment', one.comment)}</reason>"
    yield "</policy_evaluated></row>"
    from_ = _one("envelope_from", row.envelope_from) + _one("header_from", row.header_from)
    yield f"<identifiers>{from_}</identifiers>"
    yield "<auth_results>"
    for signature in row.signatures:
        inside = _one("domain", signature.domain) + _one("selector", signature.selector)
        yield f"<dkim>{inside}{_one('result', signature.result)}</dkim>"
    for sender in row.senders:
        inside = _one("domain", sender.domain) + _one("scope", sender.scope)
        yield f"<spf>{inside}{_one('result', sender.result)}</spf>"
    yield "</auth_results></record>"


def _one(name: str, value: object) -> str:
    return f"<{name}>{escape(_ILLEGAL.sub('?', str(value)[:_LONGEST]))}</{name}>"
