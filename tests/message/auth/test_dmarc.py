"""Tests for `mailplat.message.auth.dmarc`."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.message.auth.dkim import Verified
from mailplat.message.auth.dmarc import Evaluated, Policy, Record, author_domains, evaluate
from mailplat.message.auth.dmarc import read_record as read
from mailplat.message.auth.organisations import organisation
from mailplat.message.auth.result import Result
from mailplat.message.auth.spf import Checked

FROM = b"From: Alice <alice@mail.example.org>\r\n\r\n"
REJECT = b"v=DMARC1; p=reject"
PASS, FAIL, NONE, TEMP, PERM = (
    Result.PASS,
    Result.FAIL,
    Result.NONE,
    Result.TEMPERROR,
    Result.PERMERROR,
)


def dkim(domain: str, result: Result = PASS) -> Verified:
    """A signature."""
    return Verified(result, domain)


def spf(domain: str, result: Result = PASS) -> Checked:
    """A sender."""
    return Checked(result, "mailfrom", domain, f"x@{domain}")


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ([REJECT], Record(Policy.REJECT, Policy.REJECT)),
        ([b"v=DMARC1;p=none;sp=Quarantine"], Record(Policy.NONE, Policy.QUARANTINE)),
        (
            [b"v=DMARC1; p=quarantine; adkim=s; aspf=s; pct=20; x-new=1;"],
            Record(Policy.QUARANTINE, Policy.QUARANTINE, True, True, 20),
        ),
        (
            [b"v=DMARC1; p=what; rua=mailto:a@b"],
            Record(Policy.NONE, Policy.NONE, reports_to="mailto:a@b"),
        ),
        (
            [b"v=DMARC1; p=none; np=reject; fo=1:d"],
            Record(Policy.NONE, Policy.NONE, for_missing=Policy.REJECT, failure_options="1:d"),
        ),
        ([b"v=DMARC1; p=reject; pct=x"], Record(Policy.REJECT, Policy.REJECT)),
        ([b"v=DMARC1; p=reject; pct=999"], Record(Policy.REJECT, Policy.REJECT)),
        ([b"other", REJECT], Record(Policy.REJECT, Policy.REJECT)),
        ([b"v=DMARC1; p=what"], None),
        ([b"v=DMARC1"], None),
        ([b"v=DMARC12; p=reject"], None),
        ([b"p=reject; v=DMARC1"], None),
        ([b"v=DMARC1; what; p=reject; p=none"], Record(Policy.REJECT, Policy.REJECT)),
        ([REJECT, REJECT], None),
        ([], None),
    ],
)
def test_records(text: list[bytes], record: Record | None) -> None:
    """One record counts, and what it says wrongly counts as not said."""
    assert read(text) == record


@pytest.mark.parametrize(
    ("header", "domains"),
    [
        (FROM, ["mail.example.org"]),
        (b'From: "x@y.example" <a@B.Example>\r\n\r\n', ["b.example"]),
        (b"From: a@b.example, c@d.example\r\nfrom: e@f.example\r\n", ["b.example", "d.example",
                                                                      "f.example"]),
        (b"From: a@b.example, c@b.example\r\n", ["b.example"]),
        (b"From: a@m\xc3\xbcnchen.example\r\n", ["xn--mnchen-3ya.example"]),
        (b"From: nobody, a@x..example, a@b.example\r\n", ["b.example"]),
        (b"From:\r\n", []),
        (b"To: a@b.example\r\n", []),
    ],
)  # fmt: skip
def test_author_domains(header: bytes, domains: list[str]) -> None:
    """All domains of all From fields count."""
    assert author_domains(header) == domains


@pytest.mark.parametrize(
    ("zone", "signatures", "sender", "result", "policy"),
    [
        ({}, [], None, NONE, Policy.NONE),
        ({"example.org": REJECT}, [], None, FAIL, Policy.REJECT),
        ({"example.org": REJECT + b"; sp=none"}, [], None, FAIL, Policy.NONE),
        ({"mail.example.org": b"v=DMARC1; p=quarantine; sp=none"}, [], None, FAIL,
         Policy.QUARANTINE),
        ({"example.org": REJECT}, [dkim("example.org")], None, PASS, Policy.NONE),
        ({"example.org": REJECT}, [dkim("other.example.org")], None, PASS, Policy.NONE),
        ({"example.org": REJECT}, [dkim("example.org", FAIL)], None, FAIL, Policy.REJECT),
        ({"example.org": REJECT}, [dkim("example.com")], None, FAIL, Policy.REJECT),
        ({"example.org": REJECT + b"; adkim=s"}, [dkim("example.org")], None, FAIL, Policy.REJECT),
        ({"example.org": REJECT + b"; adkim=s"}, [dkim("mail.example.org")], None, PASS,
         Policy.NONE),
        ({"example.org": REJECT}, [], spf("Bounce.example.org"), PASS, Policy.NONE),
        ({"example.org": REJECT}, [], spf("org"), FAIL, Policy.REJECT),
        ({"example.org": REJECT + b"; aspf=s"}, [], spf("example.org"), FAIL, Policy.REJECT),
        ({"example.org": REJECT}, [], spf("example.org", TEMP), TEMP, Policy.NONE),
        ({"example.org": REJECT}, [dkim("example.org", TEMP)], spf("x.example"), TEMP,
         Policy.NONE),
        ({"example.org": None}, [dkim("example.org")], None, TEMP, Policy.NONE),
        ({"example.org": REJECT + b"; pct=10"}, [], None, FAIL, Policy.QUARANTINE),
    ],
)  # fmt: skip
def test_evaluates(
    zone: dict[str, Any],
    signatures: list[Verified],
    sender: Checked | None,
    result: Result,
    policy: Policy,
    run: Any,
    texts: Any,
) -> None:
    """Alignment makes a message pass; the policy says what is wanted otherwise."""
    asked = texts({f"_dmarc.{name}": text for name, text in zone.items()})
    found = run(evaluate(FROM, signatures, sender, asked, organisation, 50.0))
    assert isinstance(found, Evaluated)
    assert (found.result, found.policy) == (result, policy)
    assert found.finding.properties == (("header.from", "mail.example.org"),)


def test_a_second_from_does_not_help(run: Any, texts: Any) -> None:
    """Of several domains the one that is not vouched for decides."""
    asked = texts({"_dmarc.bank.example": REJECT, "_dmarc.eve.example": REJECT})
    vouched = [dkim("eve.example")]
    for header in (
        b"From: a@bank.example\r\nFrom: a@eve.example\r\n",
        b"From: a@eve.example, a@bank.example\r\n",
        b"From: nobody, a@bank.example\r\n",
    ):
        found = run(evaluate(header, vouched, None, asked, organisation))
        assert (found.result, found.domain, found.policy) == (FAIL, "bank.example", Policy.REJECT)
    many = b"From: " + b", ".join(b"a@d%d.example" % n for n in range(6)) + b"\r\n"
    large = b"X: " + b"x" * 1_100_000 + b"\r\nFrom: a@eve.example\r\n"
    for header, policy in (
        (many, Policy.QUARANTINE),
        (large, Policy.QUARANTINE),
        (b"Subject: x\r\n", Policy.NONE),
        (b"From: a\r\n", Policy.NONE),
    ):
        found = run(evaluate(header, vouched, None, asked, organisation))
        assert (found.result, found.policy) == (PERM, policy)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.org", "example.org"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("x.unheard-of", "x.unheard-of"),
    ],
)
def test_organisations(domain: str, expected: str) -> None:
    """The public suffix list says where registration ends."""
    assert organisation(domain) == expected


@pytest.mark.parametrize(
    ("record", "there", "policy"),
    [
        (b"v=DMARC1; p=none; np=reject", False, Policy.REJECT),
        (b"v=DMARC1; p=none; np=reject", True, Policy.NONE),
        (b"v=DMARC1; p=none; sp=quarantine; np=reject", True, Policy.QUARANTINE),
        (b"v=DMARC1; p=reject; sp=none; np=quarantine", False, Policy.QUARANTINE),
        (b"v=DMARC1; p=none; sp=quarantine", False, Policy.QUARANTINE),
    ],
)
def test_domains_that_do_not_exist(
    record: bytes, there: bool, policy: Policy, run: Any, texts: Any
) -> None:
    """A domain that does not exist below another may have a policy of its own (RFC 9091)."""

    async def exists(domain: str) -> bool:
        assert domain == "mail.example.org"
        return there

    asked = texts({"_dmarc.example.org": record})
    found = run(evaluate(FROM, [], None, asked, organisation, exists=exists))
    assert (found.result, found.policy, found.record_domain) == (FAIL, policy, "example.org")


def test_what_reports_tell(run: Any, texts: Any) -> None:
    """Alignment of both methods is told apart, and whether the policy was not wanted."""
    asked = texts({"_dmarc.example.org": REJECT + b"; pct=10"})
    found = run(evaluate(FROM, [dkim("example.org")], spf("example.com"), asked, organisation))
    assert (found.dkim_aligned, found.spf_aligned, found.sampled_out) == (True, False, False)
    found = run(evaluate(FROM, [dkim("x.example")], spf("example.org"), asked, organisation, 50.0))
    assert (found.dkim_aligned, found.spf_aligned, found.sampled_out) == (False, True, False)
    found = run(evaluate(FROM, [], None, asked, organisation, 50.0))
    assert (found.dkim_aligned, found.spf_aligned, found.sampled_out) == (False, False, True)
