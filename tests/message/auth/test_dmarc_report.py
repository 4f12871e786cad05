"""Tests for what writes and reads aggregate reports in `mailplat.message.auth`."""

from __future__ import annotations

import gzip
from dataclasses import replace
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message.auth.dmarc_destinations import ReportAddress, confirmed, report_addresses
from mailplat.message.auth.dmarc_report import (
    AggregateReport,
    Override,
    Published,
    Row,
    SignatureResult,
    SPFResult,
    file_name,
    packed,
    written,
)
from mailplat.message.auth.dmarc_report_reading import (
    ReadingLimits,
    ReportFault,
    read_report,
    unpacked,
)
from mailplat.message.auth.organisations import organisation
from mailplat.model.errors import Unavailable

ROW = Row(
    "192.0.2.1",
    3,
    "none",
    "pass",
    "fail",
    "example.org",
    "bounce.example.com",
    (Override("sampled_out"), Override("local_policy", "arc=pass")),
    (SignatureResult("example.org", "s", "pass"),),
    (SPFResult("example.com", "mfrom", "softfail"),),
)
REPORT = AggregateReport(
    "mx.example.net",
    "postmaster@example.net",
    "1767225600.example.org@mx.example.net",
    1_767_225_600,
    1_767_311_999,
    Published("example.org", "reject", "quarantine", "s", "r", 50, "1:d", "reject"),
    (ROW, replace(ROW, source="2001:db8::1", overrides=(), signatures=())),
    "https://example.net/",
    ("late",),
)


def test_round_trip() -> None:
    """What we write we read."""
    assert read_report(unpacked(packed(REPORT))) == REPORT
    assert file_name("mx.example.net", REPORT) == (
        "mx.example.net!example.org!1767225600!1767311999.xml.gz"
    )


TEXT = st.text(max_size=20).map(lambda text: text.strip())


@settings(max_examples=60)
@given(TEXT, TEXT, TEXT)
def test_foreign_words(name: str, selector: str, comment: str) -> None:
    """No word of a domain breaks out of its element."""
    row = replace(
        ROW,
        header_from=name,
        overrides=(Override("other", comment),),
        signatures=(SignatureResult(name, selector, "fail"),),
    )
    (found,) = read_report(written(replace(REPORT, rows=(row,)))).rows
    assert len(found.header_from) <= len(name) + 1
    assert found.signatures[0].result == "fail"
    assert found.overrides[0].kind == "other"


def test_other_dialects() -> None:
    """Namespaces, what is missing, and elements that nobody knows yet do no harm."""
    xml = b"""<?xml version="1.0"?>
    <d:feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-2.0"><d:version>2.0</d:version>
    <d:report_metadata><d:org_name>o</d:org_name><d:new><d:a/></d:new>
    <d:date_range><d:begin>1.0</d:begin><d:end> 2 </d:end></d:date_range></d:report_metadata>
    <d:policy_published><d:domain>example.org</d:domain><d:p>reject</d:p></d:policy_published>
    <d:record><d:row><d:source_ip>::1</d:source_ip></d:row></d:record></d:feedback>"""
    found = read_report(xml)
    assert (found.begin, found.end, found.published.for_subdomains) == (1, 2, "reject")
    assert found.rows == (Row("::1", 1, "none", "", "", ""),)


def zipped(*files: bytes) -> bytes:
    """Make an archive."""
    data = BytesIO()
    with ZipFile(data, "w", ZIP_DEFLATED) as archive:
        for number, file in enumerate(files):
            archive.writestr(f"{number}.xml", file)
    return data.getvalue()


def test_containers() -> None:
    """Reports come by gzip, by zip, and as they are."""
    xml = written(REPORT)
    assert unpacked(xml) == unpacked(gzip.compress(xml)) == unpacked(zipped(xml)) == xml


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(bytes(5000)), "more than 1000 bytes"),
        (zipped(bytes(5000)), "more than 1000 bytes"),
        (bytes(5000), "more than 1000 bytes"),
        (gzip.compress(b"x")[:-3], "gzip"),
        (b"\x1f\x8bxxxx", "gzip"),
        (zipped(b"x", b"y"), "not one file"),
        (zipped(b"x" * 50)[:60], "zip"),
    ],
)
def test_bad_containers(data: bytes, reason: str) -> None:
    """What would grow too large, or is cut short, is refused."""
    with pytest.raises(ReportFault, match=reason):
        unpacked(data, ReadingLimits(size=1000))


NUMBERS = (
    b"<report_metadata><date_range><begin>1</begin><end>2</end></date_range></report_metadata>"
)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "not XML"),
        (b"hello", "not XML"),
        (b"<feedback>", "not XML"),
        (b"<other/>", "<other> is not <feedback>"),
        (b"<feedback/>", "<begin> is not a number"),
        (NUMBERS.join((b"<feedback>", b"</feedback>")).replace(b"1", b"-1"), "not a number"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><feedback>&b;</feedback>', "document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><feedback/>', "document type"),
        (b"<a>" * 20, "more than 16 elements"),
        (b"<feedback>" + b"<record/>" * 11, "more than 10 rows"),
        (b"<feedback>" + b"<a/>" * 101, "more than 100 elements"),
        (b"<feedback><a>" + b"x" * 5000 + b"</a>", "more than 4096 characters"),
        (b'<?xml version="1.0" encoding="nonsense"?><feedback/>', "XML"),
        (b"<feedback>\xff</feedback>", "not XML"),
    ],
)
def test_bad_xml(xml: bytes, reason: str) -> None:
    """What is no report, or breaks a limit, is refused in words of ours."""
    with pytest.raises(ReportFault, match=reason):
        read_report(xml, ReadingLimits(rows=10, elements=100))


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 1200))
def test_any_bytes(noise: bytes, at: int) -> None:
    """Whatever comes, it is read or refused."""
    xml = written(REPORT)
    for data in (noise, xml[:at] + noise + xml[at:], packed(REPORT)[:at] + noise):
        try:
            read_report(unpacked(data))
        except ReportFault:
            continue


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mailto:a@example.org", [ReportAddress("a", "example.org")]),
        (
            "MAILTO:a@Example.org!10m , mailto:b@m\u00fcnchen.example!50K",
            [
                ReportAddress("a", "example.org", 10 << 20),
                ReportAddress("b", "xn--mnchen-3ya.example", 50 << 10),
            ],
        ),
        ("mailto:a%2Bb@example.org?subject=x", [ReportAddress("a+b", "example.org")]),
        ("mailto:a@example.org,mailto:a@example.org!5", [ReportAddress("a", "example.org")]),
        ("https://example.org/,mailto:@example.org,mailto:a,mailto:a@b@c.d", []),
        ("mailto:a%0d%0ab@example.org,mailto:a b@example.org", []),
        ("mailto:a@example.org!x", []),
        ("", []),
    ],
)
def test_addresses(text: str, found: list[ReportAddress]) -> None:
    """What cannot be an address gets nothing."""
    assert list(report_addresses(text)) == found


def test_not_too_many_addresses() -> None:
    """The first ones count."""
    text = ",".join(f"mailto:a{n}@example.org" for n in range(1000))
    assert len(report_addresses(text)) == 5


@pytest.mark.parametrize(
    ("zone", "found"),
    [
        ({}, ["a@r.example.org"]),
        (
            {"example.org._report._dmarc.other.example": b"v=DMARC1;"},
            ["a@r.example.org", "b@other.example"],
        ),
        ({"example.org._report._dmarc.other.example": b"v=spf1 -all"}, ["a@r.example.org"]),
        (
            {
                "example.org._report._dmarc.other.example": [
                    b"x", b"v=DMARC1; rua=mailto:c@other.example",
                ]
            },
            ["a@r.example.org", "c@other.example"],
        ),
        (
            {"example.org._report._dmarc.other.example": b"v=DMARC1; rua=mailto:c@bad.example"},
            ["a@r.example.org", "b@other.example"],
        ),
    ],
)  # fmt: skip
def test_strangers_are_asked(zone: dict[str, Any], found: list[str], run: Any, texts: Any) -> None:
    """A destination of another organisation has to say that it wants reports."""
    wanted = report_addresses("mailto:a@r.example.org,mailto:b@other.example")
    told = run(confirmed("example.org", wanted, texts(zone), organisation))
    assert [f"{one.local}@{one.domain}" for one in told] == found


def test_a_stranger_who_cannot_be_asked(run: Any, texts: Any) -> None:
    """Then nobody knows yet."""
    wanted = report_addresses("mailto:b@other.example")
    zone = texts({"example.org._report._dmarc.other.example": None})
    with pytest.raises(Unavailable):
        run(confirmed("example.org", wanted, zone, organisation))
