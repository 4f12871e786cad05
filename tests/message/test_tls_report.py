"""Tests for `mailplat.message.tls_report`."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message.tls_report import (
    FailedSessions,
    PolicySessions,
    TLSReport,
    compressed,
    mail_address,
    report_mail,
    report_uris,
)
from mailplat.model.address import Address

DAY = 1_459_468_800  # 2016-04-01
REPORT = TLSReport(
    "company-y.example",
    DAY,
    "Company-X",
    "sts-reporting@company-x.example",
    "company-x.example",
    [
        PolicySessions(
            "sts",
            ("version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"),
            ("*.mail.company-y.example",),
            5326,
            (
                FailedSessions(
                    "certificate-expired",
                    "mx1.mail.company-y.example",
                    "192.0.2.1",
                    "192.0.2.9",
                    "",
                    100,
                ),
                FailedSessions(
                    "starttls-not-supported", "mx2.example", "2001:db8::1", "", "x\r\ny", 200
                ),
            ),
        ),
        PolicySessions("no-policy-found", (), (), 3, ()),
    ],
)


def test_report() -> None:
    """It says what RFC 8460 §4.4 and appendix B show, and every time the same."""
    told = json.loads(gzip.decompress(compressed(REPORT)))
    assert told["organization-name"] == "Company-X"
    assert told["date-range"] == {
        "start-datetime": "2016-04-01T00:00:00Z",
        "end-datetime": "2016-04-01T23:59:59Z",
    }
    assert told["contact-info"] == "sts-reporting@company-x.example"
    assert told["report-id"] == "2016-04-01_company-y.example@company-x.example"
    first, second = told["policies"]
    assert first["policy"] == {
        "policy-type": "sts",
        "policy-domain": "company-y.example",
        "policy-string": [
            "version: STSv1",
            "mode: testing",
            "mx: *.mail.company-y.example",
            "max_age: 86400",
        ],
        "mx-host": ["*.mail.company-y.example"],
    }
    assert first["summary"] == {
        "total-successful-session-count": 5326,
        "total-failure-session-count": 300,
    }
    assert first["failure-details"][0] == {
        "result-type": "certificate-expired",
        "sending-mta-ip": "192.0.2.9",
        "receiving-mx-hostname": "mx1.mail.company-y.example",
        "receiving-ip": "192.0.2.1",
        "failed-session-count": 100,
    }
    assert second == {
        "policy": {"policy-type": "no-policy-found", "policy-domain": "company-y.example"},
        "summary": {"total-successful-session-count": 3, "total-failure-session-count": 0},
    }
    assert compressed(REPORT) == compressed(REPORT)


def test_mail() -> None:
    """A mail of two parts, for people and for programs, that needs no TLS (RFC 8460 §5.3)."""
    data = compressed(REPORT)
    sender, to = Address("sts-reporting", "company-x.example"), Address("tls", "company-y.example")
    raw = report_mail(REPORT, sender, to, data, DAY + 90_000)
    assert raw.isascii()
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.count(b"\n") == raw.count(b"\r\n")
    mail: Any = email.message_from_bytes(raw, policy=email.policy.default)
    assert not mail.defects
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert mail["TLS-Report-Domain"] == "company-y.example"
    assert mail["TLS-Report-Submitter"] == "company-x.example"
    assert mail["TLS-Required"] == "No"
    assert mail["Subject"].startswith(
        "Report Domain: company-y.example Submitter: company-x.example Report-ID: <2016-04-01_"
    )
    text, report = mail.iter_parts()
    assert "5329 sessions went well, 300 failed" in text.get_content()
    assert report.get_content_type() == "application/tlsrpt+gzip"
    begin = f"company-x.example!company-y.example!{DAY}!{DAY + 86399}!001.json.gz"
    assert report.get_filename() == begin
    assert report.get_content() == data


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([b"v=TLSRPTv1;rua=mailto:reports@example.com"], ["mailto:reports@example.com"]),
        (
            [b"x", b"v=TLSRPTv1; rua=https://r.example/v1/tlsrpt , mailto:a@b.example ; x=y"],
            ["https://r.example/v1/tlsrpt", "mailto:a@b.example"],
        ),
        ([b"v=TLSRPTv1; rua=http://r.example/"], []),
        ([b"v=TLSRPTv1; rua=https:///x,https://x:99999/,mailto:"], []),
        ([b"v=TLSRPTv1; rua=mailto:a@b\r\nBcc: c@d"], []),
        ([b"v=TLSRPTv1; rua=mailto:a%0d%0a@b.example"], []),
        ([b"v=TLSRPTv1; rua=mailto:a@b.example\xff"], []),
        ([b"v=TLSRPTv1; rua=mailto:a@b", b"v=TLSRPTv1; rua=mailto:c@d"], []),
        ([b"v=TLSRPTv1;"], []),
        ([b"v=TLSRPTv2; rua=mailto:a@b"], []),
        ([], []),
    ],
)
def test_who_wants_reports(texts: list[bytes], expected: list[str]) -> None:
    """One record, of addresses that can be written to."""
    assert list(report_uris(texts)) == expected


def test_addresses() -> None:
    """What stands behind mailto: is one address."""
    assert mail_address("MAILTO:Tls%2Dr@Example.com?subject=x") == Address("Tls-r", "example.com")
    assert mail_address("https://a@b.example") is None


@given(st.binary(max_size=60))
@settings(max_examples=50)
def test_any_text(data: bytes) -> None:
    """Whatever stands in DNS, only addresses come out of it."""
    for uri in report_uris([b"v=TLSRPTv1; rua=" + data]):
        assert uri.isascii()
        assert not set(uri) & set("\r\n;, ")
