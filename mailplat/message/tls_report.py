"""Reports on TLS with a domain's servers: who wants them, what they say (RFC 8460).

A report is JSON (§4.4), compressed (§5.1), and goes by HTTPS (§5.4) or as a mail (§5.3).

Invariants:

- All sessions of a policy are counted, as good or as failed; a failure has one detail or none.
- What servers call themselves is data: in the mail it stands in the compressed part alone.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from mailplat.message.dates import rfc5322_date
from mailplat.message.headers import field
from mailplat.model.address import Address

__all__ = [
    "DAY",
    "FailedSessions",
    "PolicySessions",
    "TLSReport",
    "compressed",
    "mail_address",
    "report_mail",
    "report_uris",
]

DAY = 86_400
"""Seconds that a report is about (§4.1)."""

_URIS = 10
_RECORD = re.compile(rb"v=TLSRPTv1[ \t]*;.*", re.DOTALL)
_ADDRESS = re.compile(r"[!#$%&'*+/=?^_`{|}~0-9A-Za-z.-]{1,64}@[0-9A-Za-z.-]{1,253}")
_SAFE = re.compile(r"[^0-9A-Za-z.-]+")


@dataclass(frozen=True, slots=True)
class FailedSessions:
    """Sessions that failed in the same way (§4.4, failure-details).

    Attributes:
        result: Why, in a word of §4.3.
        host: The exchanger; ``""`` if it came not so far.
        address: Its address.
        source: Ours.
        why: More, for people.
        count: How many.
    """

    result: str
    host: str
    address: str
    source: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class PolicySessions:
    """What came of the sessions under one policy.

    Attributes:
        kind: ``tlsa``, ``sts`` or ``no-policy-found``.
        lines: What the policy says.
        hosts: The exchangers that it names.
        good: How many sessions succeeded.
        failed: Those that did not.
    """

    kind: str
    lines: tuple[str, ...]
    hosts: tuple[str, ...]
    good: int
    failed: tuple[FailedSessions, ...]


@dataclass(frozen=True, slots=True)
class TLSReport:
    """A report on one domain and one day.

    Attributes:
        domain: The domain that is reported on, in ASCII.
        begin: When the day began, seconds since 1970 UTC.
        organization: Who reports.
        contact: A mail address of who reports.
        submitter: The domain of who reports.
        policies: What came of each policy.
    """

    domain: str
    begin: int
    organization: str
    contact: str
    submitter: str
    policies: Sequence[PolicySessions]

    @property
    def report_id(self) -> str:
        """A name that is the same whenever this report is made: it is counted once (§4.4)."""
        day = datetime.fromtimestamp(self.begin, UTC).strftime("%Y-%m-%d")
        return f"{day}_{self.domain}@{self.submitter}"

    @property
    def file_name(self) -> str:
        """The name of the file (§5.1)."""
        end = self.begin + DAY - 1
        return f"{self.submitter}!{self.domain}!{self.begin}!{end}!001.json.gz"

    def json(self) -> bytes:
        """Write the report itself (§4.4)."""
        return json.dumps(
            {
                "organization-name": self.organization,
                "date-range": {
                    "start-datetime": _time(self.begin),
                    "end-datetime": _time(self.begin + DAY - 1),
                },
                "contact-info": self.contact,
                "report-id": self.report_id,
                "policies": [self._policy(one) for one in self.policies],
            },
            indent=1,
        ).encode("ascii")

    def _policy(self, one: PolicySessions) -> dict[str, Any]:
        policy: dict[str, Any] = {"policy-type": one.kind, "policy-domain": self.domain}
        if one.lines:
            policy["policy-string"] = list(one.lines)
        if one.hosts:
            policy["mx-host"] = list(one.hosts)
        found: dict[str, Any] = {
            "policy": policy,
            "summary": {
                "total-successful-session-count": one.good,
                "total-failure-session-count": sum(failed.count for failed in one.failed),
            },
        }
        if one.failed:
            found["failure-details"] = [_failed(failed) for failed in one.failed]
        return found


def _failed(one: FailedSessions) -> dict[str, Any]:
    told = {
        "result-type": one.result,
        "sending-mta-ip": one.source,
        "receiving-mx-hostname": one.host,
        "receiving-ip": one.address,
        "failure-reason-code": one.why,
    }
    return {
        **{key: value for key, value in told.items() if value},
        "failed-session-count": one.count,
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report_uris(texts: Iterable[bytes]) -> tuple[str, ...]:
    """Find who wants reports, in the texts of ``_smtp._tls.DOMAIN`` (§3).

    Returns:
        URIs of ``mailto:`` and ``https:``; none where there is not exactly one good record.
    """
    records = [text for text in texts if _RECORD.fullmatch(text)]
    if len(records) != 1 or not records[0].isascii():
        return ()
    for word in records[0].decode("ascii").split(";")[1:]:
        name, equals, value = word.strip(" \t").partition("=")
        if equals and name == "rua":
            found = [uri.strip(" \t") for uri in value.split(",")]
            return tuple(dict.fromkeys(uri for uri in found if _is_known(uri)))[:_URIS]
    return ()


def mail_address(uri: str) -> Address | None:
    """Read the address of a ``mailto:`` URI; None where it is none that we write to."""
    if not uri.lower().startswith("mailto:"):
        return None
    text = unquote(uri[7:].partition("?")[0])
    if not _ADDRESS.fullmatch(text):
        return None
    local, _, domain = text.rpartition("@")
    return Address(local, domain.lower())


def _is_known(uri: str) -> bool:
    if uri.lower().startswith("mailto:"):
        return mail_address(uri) is not None
    try:
        parts = urlsplit(uri)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def compressed(report: TLSReport) -> bytes:
    """Write and compress a report; the same report gives the same bytes."""
    return gzip.compress(report.json(), mtime=0)


def report_mail(report: TLSReport, sender: Address, to: Address, data: bytes, now: int) -> bytes:
    """Write the mail that brings a report (§5.3).

    Args:
        report: The report.
        sender: Who sends it.
        to: Who gets it.
        data: The report, compressed.
        now: Seconds since 1970 UTC.
    """
    good = sum(one.good for one in report.policies)
    failed = sum(each.count for one in report.policies for each in one.failed)
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    boundary = f"=_{_SAFE.sub('_', report.report_id)}"
    head = [
        f"Date: {rfc5322_date(now)}\r\n".encode(),
        f"From: <{sender}>\r\n".encode(),
        f"To: <{to}>\r\n".encode(),
        field(
            "Subject",
            f"Report Domain: {report.domain} Submitter: {report.submitter}"
            f" Report-ID: <{report.report_id}>",
        ),
        f"Message-ID: <{now}.{report.report_id}>\r\n".encode(),
        f"TLS-Report-Domain: {report.domain}\r\n".encode(),
        f"TLS-Report-Submitter: {report.submitter}\r\n".encode(),
        b"TLS-Required: No\r\n",  # §3: it arrives, whatever is wrong with TLS (RFC 8689 §3)
        b"Auto-Submitted: auto-generated\r\n",
        b"MIME-Version: 1.0\r\n",
        f'Content-Type: multipart/report; report-type="tlsrpt";\r\n\tboundary="{boundary}"\r\n'
        "\r\n".encode(),
        f"--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n".encode(),
        f"This is a report on TLS in mail from {report.submitter} to {report.domain}\r\n"
        f"on {_time(report.begin)[:10]} (UTC): {good} sessions went well, {failed} failed.\r\n"
        f"--{boundary}\r\n".encode(),
        b"Content-Type: application/tlsrpt+gzip\r\n"
        b"Content-Transfer-Encoding: base64\r\n"
        + f'Content-Disposition: attachment;\r\n\tfilename="{report.file_name}"\r\n\r\n'.encode(),
        encoded,
        f"--{boundary}--\r\n".encode(),
    ]
    return b"".join(head)
