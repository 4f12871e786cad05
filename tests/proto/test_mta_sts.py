"""Tests for `mailplat.proto.mta_sts`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.mta_sts import (
    BadPolicy,
    Mode,
    StsPolicy,
    policy_url,
    read_policy,
    record_id,
)

GOOD = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.net\r\n"
    b"max_age: 604800\r\n"
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([b"v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=spf1 -all", b"v=STSv1 ; new=x=y; id=a; id=b"], None),
        ([b"v=STSv1 ; new=x; id=a; id=b"], "a"),
        ([b"v=STSv1; id=1", b"v=STSv1; id=2"], None),
        ([b"v=STSv1; id=" + b"1" * 33], None),
        ([b"v=STSv1; id="], None),
        ([b"v=STSv1;"], None),
        ([b"v=STSv2; id=1"], None),
        ([b"v=STSv1; id=\xff"], None),
        ([], None),
    ],
)
def test_record(texts: list[bytes], expected: str | None) -> None:
    """One record with an id, or there is no policy."""
    assert record_id(texts) == expected


def test_policy() -> None:
    """A policy is read, and spelled again; what is new in it is passed over."""
    policy = read_policy(GOOD + b"future-thing: yes\r\nmode: none\r\n")
    assert policy == StsPolicy(Mode.ENFORCE, 604800, ("mail.example.com", "*.example.net"))
    assert read_policy("\n".join(policy.lines()).encode()) == policy
    assert read_policy(b"version: STSv1\nmode: none\nmax_age: 0") == StsPolicy(Mode.NONE, 0)
    assert policy_url("example.com") == "https://mta-sts.example.com/.well-known/mta-sts.txt"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("x.example.net", True),
        ("a.x.example.net", False),
        ("example.net", False),
        ("mail.example.com.evil.example", False),
    ],
)
def test_exchangers(host: str, allowed: bool) -> None:
    """A star is one label, no more and no fewer."""
    assert read_policy(GOOD).allows(host) is allowed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"\xff",
        GOOD.replace(b"STSv1", b"STSv2"),
        GOOD.replace(b"enforce", b"force"),
        GOOD.replace(b"604800", b"-1"),
        GOOD.replace(b"604800", b"31557601"),
        GOOD.replace(b"604800", "٣".encode()),
        GOOD.replace(b"mx: mail", b"mx: *.*.mail"),
        GOOD.replace(b"mail.example.com", b"mail example"),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        GOOD + b"mx: a.example\n" * 1000,
    ],
)
def test_no_policy(data: bytes) -> None:
    """What breaks the grammar is no policy at all."""
    with pytest.raises(BadPolicy):
        read_policy(data)


@given(st.data())
@settings(max_examples=60)
def test_any_bytes(data: st.DataObject) -> None:
    """Whatever a server sends is a policy or none."""
    place = data.draw(st.integers(0, len(GOOD)))
    junk = data.draw(st.binary(max_size=8))
    with suppress(BadPolicy):
        assert read_policy(GOOD[:place] + junk + GOOD[place:]).max_age >= 0
    record_id([data.draw(st.binary())])
