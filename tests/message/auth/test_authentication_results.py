"""Tests for `mailplat.message.auth.authentication_results`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.message.auth.authentication_results import (
    NAME,
    authentication_results,
    claims_to_be_from,
    read_results,
)
from mailplat.message.auth.result import Finding, Result

HOST = "mx.example.org"


def test_writes() -> None:
    """Tokens and addresses stand as they are, all else in quotes."""
    findings = [
        Finding("spf", Result.PASS, (("smtp.mailfrom", "alice@d.example"),)),
        Finding(
            "dkim",
            Result.FAIL,
            (("header.d", "d.example"), ("header.b", "ab/+cd==")),
            "body hash did not verify",
        ),
    ]
    assert authentication_results(HOST, findings) == (
        "mx.example.org; spf=pass smtp.mailfrom=alice@d.example; "
        'dkim=fail reason="body hash did not verify" header.d=d.example header.b="ab/+cd=="'
    )
    assert authentication_results(HOST, []) == "mx.example.org; none"


@given(st.text(max_size=400))
def test_foreign_words_stay_inside(text: str) -> None:
    """No words of a peer end their value."""
    value = authentication_results(HOST, [Finding("spf", Result.FAIL, (("smtp.helo", text),))])
    field = headers.field(NAME, value)
    prefix, words = f"{HOST}; spf=fail smtp.helo=", headers.unfold(field.partition(b":")[2])
    rest = words.decode("ascii")[len(prefix) :]
    assert (rest.startswith('"') and rest.find('"', 1) == len(rest) - 1) or not set(rest) & set(
        ' ;"'
    )


@pytest.mark.parametrize(
    ("value", "claims"),
    [
        (b" mx.example.org; spf=pass", True),
        (b" MX.Example.org. 1; spf=pass", True),
        (b"\r\n\tmx.example.org\r\n ;none", True),
        (b" (c (nested) \\) ) mx.example.org; none", True),
        (b' "mx.example.org"; none', True),
        (b' "mx.\\example.org"; none', True),
        (b" mx.example.org(comment); none", True),
        (b" mx.example.org/1; none", True),
        (b" (never closed mx.other.example; none", True),
        (b' "never closed', True),
        (b"", True),
        (b"(" * 1_000_000, True),
        (b"()" * 500_000 + b"mx.example.net; none", True),
        (b"(c)" * 100 + b"mx.example.net; none", False),
        (b" ; spf=pass", True),
        (b" mx.example.net; spf=pass", False),
        (b" a.mx.example.org; spf=pass", False),
        (b" mx.other.example; auth=pass (mx.example.org)", False),
    ],
)
def test_recognises(value: bytes, claims: bool) -> None:
    """Whatever could be read as ours is taken for a claim to be."""
    assert claims_to_be_from(value, HOST) is claims


@given(st.lists(st.sampled_from([b"(", b")", b"\\", b'"', b"a", b" ", b";"])).map(b"".join))
def test_any_value(value: bytes) -> None:
    """Nothing that is in a field raises or hangs."""
    claims_to_be_from(value, HOST)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" none", []),
        (b"", []),
        (
            b" spf=pass smtp.mailfrom=a@b.example;\r\n"
            b" dmarc = Pass (p=none; x) header.from=b.example",
            [
                Finding("spf", Result.PASS, (("smtp.mailfrom", "a@b.example"),)),
                Finding("dmarc", Result.PASS, (("header.from", "b.example"),)),
            ],
        ),
        (
            b'dkim/1=fail reason="a; b\\"" header.d=x.example',
            [Finding("dkim", Result.FAIL, (("reason", 'a; b"'), ("header.d", "x.example")))],
        ),
        (b"dmarc=pass header.from", []),
        (b"dmarc=unheard; =; dmarc; (dmarc=pass", []),
        (b'x="dmarc=pass"; dmarc=fail', [Finding("dmarc", Result.FAIL)]),
    ],
)
def test_reads(value: bytes, found: list[Finding]) -> None:
    """What others found is read, without comments; what cannot be read says nothing."""
    assert list(read_results(value)) == found


@given(st.binary(max_size=200))
def test_reads_anything(value: bytes) -> None:
    """Whatever comes, results are read or not."""
    for one in read_results(value):
        assert isinstance(one.result, Result)


def test_reads_what_it_writes() -> None:
    """What we write we read."""
    one = Finding("dmarc", Result.FAIL, (("header.from", "b.example"),), "policy is x; y")
    (found,) = read_results(authentication_results("mx", [one]).partition(";")[2].encode())
    assert found.properties == (("reason", "policy is x; y"), ("header.from", "b.example"))
