"""Tests for `mailplat.message.auth.spf`: a table of our own, and pyspf beside it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
import spf as oracle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.auth.result import Result
from mailplat.message.auth.spf import Client, Limits, check
from mailplat.message.auth.spf_macros import Text, expand, macro_string
from mailplat.message.auth.spf_record import read_record, select_records
from mailplat.model.errors import Unavailable

DOMAIN = "d.example"
ZONE: dict[tuple[str, str], Any] = {
    ("A", DOMAIN): ["192.0.2.1"],
    ("AAAA", DOMAIN): ["2001:db8::1"],
    ("MX", DOMAIN): ["mx1.d.example", "mx2.d.example"],
    ("A", "mx2.d.example"): ["192.0.2.7", "192.0.2.2"],
    ("A", "mx1.d.example"): ["192.0.2.9"],
    ("AAAA", "mx2.d.example"): ["2001:db8::2"],
    ("AAAA", "mx1.d.example"): ["2001:db8::9"],
    ("A", "a.other.example"): ["198.51.100.1"],
    ("A", "1.2.0.192.list.example"): ["127.0.0.2"],
    ("A", "alice.list.example"): ["127.0.0.2"],
    ("TXT", "pass.example"): [b"v=spf1 +all"],
    ("TXT", "fail.example"): [b"v=spf1 exp=why.other.example -all"],
    ("TXT", "soft.example"): [b"v=spf1 ~all"],
    ("TXT", "broken.example"): [b"v=spf1 hello:world -all"],
    ("TXT", "empty.example"): [b"v=spf1"],
    ("TXT", "why.example"): [b"%{i} may not%_send for %{d} at %{t}, says %{r} of %{c}"],
    ("TXT", "why.other.example"): [b"no"],
    ("TXT", "two.example"): [b"one", b"two"],
    ("TXT", "bytes.example"): [b"\xff"],
    ("TXT", "away.example"): None,
    ("A", "away.example"): None,
    ("TXT", "loop.example"): [b"v=spf1 include:loop.example -all"],
    ("PTR", "192.0.2.1"): ["x.other.example", "mail.d.example", "d.example"],
    ("PTR", "192.0.2.5"): None,
    ("PTR", "192.0.2.6"): ["away.example"],
    ("A", "mail.d.example"): ["192.0.2.1"],
    ("A", "x.other.example"): ["192.0.2.77"],
    ("MX", "many.example"): [f"m{n}.many.example" for n in range(11)],
}


class DNS:
    """Answers from a table, and counts the questions."""

    def __init__(self, zone: dict[tuple[str, str], Any]) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str]] = []

    def _answer(self, kind: str, name: str) -> Any:
        self.asked.append((kind, name))
        found = self.zone.get((kind, name), ())
        if found is None:
            raise Unavailable(name)
        return found

    async def txt(self, name: str) -> Sequence[bytes]:
        """See `Lookups`."""
        answer: Sequence[bytes] = self._answer("TXT", name)
        return answer

    async def addresses(self, name: str, version: int) -> Sequence[str]:
        """See `Lookups`."""
        answer: Sequence[str] = self._answer("A" if version == 4 else "AAAA", name)
        return answer

    async def mx(self, name: str) -> Sequence[str]:
        """See `Lookups`."""
        answer: Sequence[str] = self._answer("MX", name)
        return answer

    async def ptr(self, address: str) -> Sequence[str]:
        """See `Lookups`."""
        answer: Sequence[str] = self._answer("PTR", address)
        return answer


def dns(record: bytes) -> DNS:
    """Publish a record for the domain."""
    return DNS({**ZONE, ("TXT", DOMAIN): [record]})


def client(address: str = "192.0.2.1", sender: str = f"alice@{DOMAIN}") -> Client:
    """Who sends."""
    return Client(address, "helo.d.example", sender, "mx.here.example", 1_767_268_800)


V4, V6 = "192.0.2.1", "2001:db8::1"
PASS, FAIL, SOFT, NEUTRAL = Result.PASS, Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL
PERM, TEMP, NONE = Result.PERMERROR, Result.TEMPERROR, Result.NONE


@pytest.mark.parametrize(
    ("record", "address", "result"),
    [
        # qualifiers and the default
        ("v=spf1 all", V4, PASS),
        ("v=spf1 ?all", V4, NEUTRAL),
        ("V=SPF1 ~ALL", V4, SOFT),
        ("v=spf1  -all ", V4, FAIL),
        ("v=spf1", V4, NEUTRAL),
        ("v=spf10 -all", V4, NONE),
        ("hello", V4, NONE),
        # networks
        ("v=spf1 ip4:192.0.2.0/24 -all", V4, PASS),
        ("v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1", PASS),
        ("v=spf1 ip4:192.0.2.0/24 -all", V6, FAIL),
        ("v=spf1 ip6:2001:db8::/32 -all", V6, PASS),
        ("v=spf1 ip6:2001:db8::2 -all", V6, FAIL),
        ("v=spf1 ip4:192.0.2.1/33 all", V4, PERM),
        ("v=spf1 ip4:192.0.2.1/024 all", V4, PERM),
        ("v=spf1 ip4:192.0.2 all", V4, PERM),
        ("v=spf1 ip4 all", V4, PERM),
        ("v=spf1 ip6:2001:db8:: all", V4, PASS),
        ("v=spf1 ip6:::1::/64 all", V4, PERM),
        # a and mx
        ("v=spf1 a -all", V4, PASS),
        ("v=spf1 a -all", V6, PASS),
        ("v=spf1 a:mx2.d.example -all", V4, FAIL),
        ("v=spf1 a:mx2.d.example/24 -all", V4, PASS),
        ("v=spf1 a:mx2.d.example//64 -all", V6, PASS),
        ("v=spf1 a/0//0 -all", "203.0.113.1", PASS),
        ("v=spf1 a:mx2.d.example/33 -all", V4, PERM),
        ("v=spf1 a:d.example/ -all", V4, PERM),
        ("v=spf1 a: -all", V4, PERM),
        ("v=spf1 a:localhost -all", V4, PERM),
        ("v=spf1 a:1.2.3.4 -all", V4, PERM),
        ("v=spf1 a:away.example -all", V4, TEMP),
        ("v=spf1 mx -all", "192.0.2.2", PASS),
        ("v=spf1 mx/30 -all", V4, PASS),
        ("v=spf1 mx -all", V4, FAIL),
        ("v=spf1 mx:many.example -all", V4, PERM),
        # include and redirect
        ("v=spf1 include:pass.example -all", V4, PASS),
        ("v=spf1 -include:pass.example", V4, FAIL),
        ("v=spf1 include:fail.example ?all", V4, NEUTRAL),
        ("v=spf1 include:soft.example all", V4, PASS),
        ("v=spf1 include:empty.example all", V4, PASS),
        ("v=spf1 include:broken.example all", V4, PERM),
        ("v=spf1 include:nothing.example all", V4, PERM),
        ("v=spf1 include:away.example all", V4, TEMP),
        ("v=spf1 include all", V4, PERM),
        ("v=spf1 redirect=soft.example", V4, SOFT),
        ("v=spf1 redirect=soft.example ?all", V4, NEUTRAL),
        ("v=spf1 redirect=nothing.example", V4, PERM),
        ("v=spf1 redirect=soft.example redirect=pass.example", V4, PERM),
        ("v=spf1 include:loop.example all", V4, PERM),
        # exists and ptr
        ("v=spf1 exists:%{ir}.list.example -all", V4, PASS),
        ("v=spf1 exists:%{ir}.list.example -all", "192.0.2.2", FAIL),
        ("v=spf1 exists:%{l}.list.example -all", V6, PASS),
        ("v=spf1 exists -all", V4, PERM),
        ("v=spf1 ptr -all", V4, PASS),
        ("v=spf1 ptr:other.example -all", V4, FAIL),
        ("v=spf1 ptr -all", "192.0.2.3", FAIL),
        ("v=spf1 exists:%{p}.list.example a:%{p} -all", V4, PASS),
        ("v=spf1 ptr all", "192.0.2.5", PASS),
        ("v=spf1 -ptr ?all", "192.0.2.5", NEUTRAL),  # no answer is no match (RFC 7208 §5.5)
        ("v=spf1 -ptr ?all", "192.0.2.6", NEUTRAL),
        # names that the DNS cannot have
        ("v=spf1 a:%{l}..d.example -all", V4, FAIL),
        ("v=spf1 include:%{l}..d.example all", V4, PERM),
        ("v=spf1 redirect=%{l}..d.example", V4, PERM),
        # errors of syntax spoil all of a record
        ("v=spf1 all hello", V4, PERM),
        ("v=spf1 all moo=%{x}", V4, PERM),
        ("v=spf1 all moo=%{d0}", V4, PERM),
        ("v=spf1 all moo=%{d99999999999}.%{LR}.%%%_%-", V4, PASS),
        ("v=spf1 all moo=%{t}", V4, PERM),
        ("v=spf1 all:x", V4, PERM),
        ("v=spf1 all exp=", V4, PERM),
        ("v=spf1 \u00e4ll", V4, PERM),
    ],
)
def test_records(record: str, address: str, result: Result, run: Any) -> None:
    """Each record gives its result."""
    assert run(check(client(address), dns(record.encode()))).result is result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"why.example", "192.0.2.1 may not send for d.example at 1767268800, says "
         "mx.here.example of 192.0.2.1"),
        (b"two.example", ""),
        (b"bytes.example", ""),
        (b"away.example", ""),
        (b"nothing.example", ""),
        (b"%{h}.x..example", ""),
    ],
)  # fmt: skip
def test_explanation(text: bytes, expected: str, run: Any) -> None:
    """Those who fail are told why, if the domain can say it."""
    found = run(check(client(), dns(b"v=spf1 -all exp=" + text)))
    assert (found.result, found.explanation) == (FAIL, expected)


def test_whose_explanation(run: Any) -> None:
    """A redirected record explains itself; an included one does not explain for others."""
    redirected = run(check(client(), dns(b"v=spf1 redirect=fail.example exp=why.example")))
    assert redirected.explanation == "no"
    included = run(check(client(), dns(b"v=spf1 include:fail.example -all")))
    assert (included.result, included.explanation) == (FAIL, "")
    assert run(check(client(), dns(b"v=spf1 ?all exp=why.example"))).explanation == ""


def test_limit_of_terms(run: Any) -> None:
    """Ten terms may ask, the eleventh is an error; all records count together."""
    ten = b" ".join([b"a:a.other.example"] * 10)
    assert run(check(client(), dns(b"v=spf1 " + ten + b" -all"))).result is FAIL
    assert run(check(client(), dns(b"v=spf1 " + ten + b" mx -all"))).result is PERM
    assert run(check(client(), dns(b"v=spf1 " + ten + b" redirect=pass.example"))).result is PERM
    looping = dns(b"v=spf1 include:loop.example -all")
    assert run(check(client(), looping)).result is PERM
    assert len(looping.asked) == 11
    few = Limits(terms=2)
    assert (
        run(
            check(client(), dns(b"v=spf1 a:a.other.example exists:%{d}.x.example a -all"), few)
        ).result
        is PERM
    )


def test_limit_of_size(run: Any) -> None:
    """A record, a name or a text that is too long takes no time."""
    long = b"v=spf1 exists:" + b"%{s}." * 1500 + b"d.example -all"
    asked = dns(long)
    assert run(check(client(sender=f"{'a.' * 30}b@{DOMAIN}"), asked)).result is FAIL
    assert len(asked.asked[-1][1]) <= 253
    assert run(check(client(), dns(long + b" a" * 1000))).result is PERM
    asked = dns(b"v=spf1 -all exp=long.example")
    asked.zone["TXT", "long.example"] = [b"x" * 9000]
    assert run(check(client(), asked)).explanation == ""
    assert ascii_domain("\u00e4" * 100_000) is None


def test_limit_of_empty_answers(run: Any) -> None:
    """Two answers may be empty, the third is an error."""
    void = [b"a:n%d.example" % n for n in range(3)]
    assert run(check(client(), dns(b"v=spf1 " + b" ".join(void[:2]) + b" -all"))).result is FAIL
    assert run(check(client(), dns(b"v=spf1 " + b" ".join(void) + b" -all"))).result is PERM


def test_two_records(run: Any) -> None:
    """A domain has one record, or an error."""
    asked = DNS({("TXT", DOMAIN): [b"v=spf1 all", b"other", b"v=spf1 -all"]})
    found = run(check(client(), asked))
    assert (found.result, found.reason) == (PERM, "more than one SPF record")
    assert found.finding.properties == (("smtp.mailfrom", f"alice@{DOMAIN}"),)


def test_null_sender(run: Any) -> None:
    """The null sender is asked for by the client's own name."""
    zone = DNS({("TXT", "helo.d.example"): [b"v=spf1 exists:%{l}.%{o}.list.example -all"]})
    found = run(check(client(sender=""), zone))
    assert (found.result, found.identity, found.domain) == (FAIL, "helo", "helo.d.example")
    assert zone.asked[1] == ("A", "postmaster.helo.d.example.list.example")
    assert found.finding.properties == (("smtp.helo", "helo.d.example"),)
    address = Client(V4, "[192.0.2.1]", "")
    assert run(check(address, zone)).result is NONE


def test_macros() -> None:
    """The examples of RFC 7208 §7.4 come out as they should."""
    values = {
        "s": "strong-bad@email.example.com",
        "o": "email.example.com",
        "d": "email.example.com",
        "l": "strong-bad",
        "i": "192.0.2.3",
        "v": "in-addr",
    }

    def filled(text: str) -> str:
        parsed: Text = macro_string(text)
        return expand(parsed, values)

    assert filled("%{s}") == "strong-bad@email.example.com"
    assert filled("%{d4}") == "email.example.com"
    assert filled("%{d2}") == "example.com"
    assert filled("%{d1}") == "com"
    assert filled("%{dr}") == "com.example.email"
    assert filled("%{d2r}") == "example.email"
    assert filled("%{l-}") == "strong.bad"
    assert filled("%{lr-}") == "bad.strong"
    assert filled("%{l1r-}") == "strong"
    assert filled("%{ir}.%{v}._spf.%{d2}") == "3.2.0.192.in-addr._spf.example.com"
    assert filled("%{S}") == "strong-bad%40email.example.com"


def test_long_names_lose_labels(run: Any) -> None:
    """A name of more than 253 characters is cut from the left (RFC 7208 §7.3)."""
    asked = dns(b"v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l}.list.example -all")
    run(check(client(sender=f"{'x' * 60}@{DOMAIN}"), asked))
    assert asked.asked[-1] == ("A", ".".join(["x" * 60] * 3) + ".list.example")


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("Example.ORG.", "example.org"),
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example"),
        ("localhost", None),
        ("a..b", None),
        ("x" * 64 + ".example", None),
        ("\u00e4" * 70 + ".example", None),
        ("", None),
    ],
)
def test_domains(domain: str, expected: str | None) -> None:
    """Mail domains are spelled as the DNS spells them, or refused."""
    assert ascii_domain(domain) == expected


@given(st.binary(max_size=60))
def test_any_record(text: bytes) -> None:
    """Whatever is published is a record or an error."""
    for record in select_records([b"v=spf1 " + text]):
        try:
            read_record(record)
        except ValueError:
            continue


TERMS = st.lists(
    st.tuples(
        st.sampled_from(["", "-", "~", "?"]),
        st.sampled_from(
            [
                "a", "mx", "a/24", "mx//64", "ip4:192.0.2.0/28", "ip6:2001:db8::/64", "ptr",
                "a:mx2.d.example/31", "include:pass.example", "include:soft.example",
                "include:empty.example", "exists:%{ir}.list.example", "exists:%{l}.list.example",
                "a:nothing.example", "mx:nothing.example", "ip4:1.2.3", "a:away.example",
            ]
        ),
    ).map("".join),
    max_size=5,
)  # fmt: skip
CLIENTS = st.sampled_from([V4, V6, "192.0.2.2", "192.0.2.8", "198.51.100.1", "2001:db8::2"])


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TERMS, CLIENTS, st.sampled_from(["", " -all", " redirect=soft.example"]))
def test_like_pyspf(run: Any, terms: list[str], address: str, end: str) -> None:
    """Any record made of these terms gives what pyspf gives."""
    record = "v=spf1 " + " ".join(terms) + end
    answers = dns(record.encode())

    def lookup(name: str, kind: str, *_: Any, **__: Any) -> list[Any]:
        name = name.lower().rstrip(".")
        key = (kind, name)
        if kind == "PTR":
            key = next(
                (one for one in answers.zone if one[0] == "PTR"
                 and ip_address(one[1]).reverse_pointer == name),
                key,
            )  # fmt: skip
        found = answers.zone.get(key, ())
        if found is None:
            raise oracle.TempError("DNS")
        if kind == "MX":
            return [((name, kind), (10, one)) for one in found]
        if kind == "TXT":
            return [((name, kind), (one,)) for one in found]
        if kind == "AAAA":
            return [((name, kind), ip_address(one).packed) for one in found]
        return [((name, kind), one) for one in found]

    before = oracle.DNSLookup
    oracle.DNSLookup = lookup
    try:
        query = oracle.query(address, f"alice@{DOMAIN}", "helo.d.example", strict=1)
        wanted = query.check()[0]
    finally:
        oracle.DNSLookup = before
    assert run(check(client(address), answers)).result == wanted
