"""Tests of DANE in the relay: real TLS, and a name server that validates (RFC 7672)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import pytest_twisted

from mailplat.agents.tls_demands import TLSEntry, TLSPolicy
from mailplat.interfaces.resolver import TLSA
from mailplat.model.address import Address
from mailplat.model.envelope import Sender
from mailplat.net.tls import TLSContexts
from mailplat.testing.authority import MadeAuthority
from mailplat.testing.scripted_server import STALL

TLSA_NAME = "_25._tcp.mx.dest.example"
DELIVERED = ("Delivered", "")
UNTRUSTED, NO_TLS, NO_DNS = ("Deferred", "4.7.5"), ("Deferred", "4.7.4"), ("Deferred", "4.4.3")
JUNK = TLSA(3, 1, 1, b"x" * 32)
UNUSABLE = TLSA(1, 1, 1, b"x" * 32)


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest_twisted.ensureDeferred
async def test_the_right_certificate(relayed: Any, matching: int) -> None:
    """A certificate that DNS names is believed, whatever its name and date; one connection."""
    old = relayed.authority.issue("other.example", lifetime=timedelta(days=-1))
    server = await relayed.server(old)
    relayed.names.tlsa(TLSA_NAME, JUNK, old.tlsa(1, matching))
    agent = relayed.relay()
    for _ in range(2):
        assert await relayed.send(agent=agent) == DELIVERED
    assert (server.connections, server.commands.count("EHLO me.example")) == (1, 2)
    assert relayed.notes.taken == [("tlsa", "", "mx.dest.example")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mx.dest.example", DELIVERED),
        ("dest.example", DELIVERED),
        ("other.example", UNTRUSTED),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_authority(relayed: Any, name: str, expected: tuple[str, str]) -> None:
    """An authority that DNS names vouches for the exchanger's name or the domain's."""
    await relayed.server(relayed.authority.issue(name))
    relayed.names.tlsa(TLSA_NAME, relayed.authority.tlsa())
    assert await relayed.send() == expected


@pytest_twisted.ensureDeferred
async def test_the_wrong_certificate(relayed: Any) -> None:
    """Nothing is sent to who cannot prove to be the exchanger; the next one may."""
    good = relayed.authority.issue("mx.dest.example")  # trusted, but not by DNS
    server = await relayed.server(good)
    relayed.names.tlsa(TLSA_NAME, JUNK)
    assert await relayed.send() == UNTRUSTED
    assert server.commands == ["EHLO me.example", "STARTTLS"]
    assert relayed.notes.taken == [("tlsa", "validation-failure", "mx.dest.example")]
    assert relayed.notes.sources == ["127.0.0.1"]
    relayed.names.mx("dest.example", "mx.dest.example", "b.dest.example")
    relayed.names.a("b.dest.example", "192.0.2.2")
    relayed.names.sign("b.dest.example", "_25._tcp.b.dest.example")
    relayed.names.tlsa("_25._tcp.b.dest.example", good.tlsa())
    second = await relayed.server(good, address="192.0.2.2")
    assert await relayed.send() == DELIVERED
    assert (len(server.messages), len(second.messages)) == (0, 1)


@pytest_twisted.ensureDeferred
async def test_no_tls(relayed: Any) -> None:
    """A server that does not offer TLS, refuses it or hangs in it gets nothing in clear."""
    server = await relayed.server(None)
    relayed.names.tlsa(TLSA_NAME, JUNK)
    assert await relayed.send() == NO_TLS
    server.offers = ("STARTTLS",)
    server.script["STARTTLS"] = ["454 4.7.0 not now"]
    assert await relayed.send() == NO_TLS
    server.script["STARTTLS"] = [STALL]
    assert await relayed.send() == ("Deferred", "4.4.2")
    assert not server.messages
    assert not any(one.startswith("MAIL") for one in server.commands)
    assert {result for _, result, _ in relayed.notes.taken} == {"starttls-not-supported"}


@pytest.mark.parametrize(
    "broken",
    [f"TLSA {TLSA_NAME}", "MX dest.example"],
)
@pytest_twisted.ensureDeferred
async def test_bogus(relayed: Any, broken: str) -> None:
    """Where DNS fails, as for a signature that is wrong, mail waits (RFC 7672 §2.1.2)."""
    server = await relayed.server(relayed.authority.issue("mx.dest.example"))
    relayed.names.broken.add(broken)
    assert await relayed.send() == NO_DNS
    relayed.names.broken.clear()
    relayed.names.silent = True
    assert await relayed.send() == NO_DNS
    assert server.connections == 0
    if broken.startswith("TLSA"):
        assert relayed.notes.taken == [("tlsa", "dnssec-invalid", "mx.dest.example")]


@pytest_twisted.ensureDeferred
async def test_what_is_not_signed(relayed: Any) -> None:
    """Records count only where exchangers, addresses and they themselves are signed."""
    await relayed.server(relayed.authority.issue("mx.dest.example"))
    relayed.names.tlsa(TLSA_NAME, JUNK)
    for name in ("dest.example", "mx.dest.example", TLSA_NAME):
        relayed.names.signed.discard(name)
        assert await relayed.send() == DELIVERED
        relayed.names.signed.add(name)
    assert await relayed.send() == UNTRUSTED
    assert await relayed.send(dane=False) == DELIVERED


@pytest_twisted.ensureDeferred
async def test_unusable_records(relayed: Any) -> None:
    """Records that SMTP has no use for still ask for TLS (RFC 7672 §2.2)."""
    server = await relayed.server(relayed.authority.issue("mx.dest.example"))
    relayed.names.tlsa(TLSA_NAME, UNUSABLE)
    assert await relayed.send() == DELIVERED
    assert relayed.notes.taken[0] == ("tlsa", "tlsa-invalid", "mx.dest.example")
    server.offers = ("PIPELINING",)
    assert await relayed.send() == NO_TLS


@pytest.mark.parametrize(
    ("signed", "tlsa", "asked", "expected"),
    [
        (("mx.dest.example", "real.example"), "real.example", ["real.example"], UNTRUSTED),
        # nothing under the last name: the first one counts
        (
            ("mx.dest.example", "real.example"),
            "mx.dest.example",
            ["real.example", "mx.dest.example"],
            UNTRUSTED,
        ),
        # out of what is signed: the alias itself is, and its name counts
        (("mx.dest.example",), "mx.dest.example", ["mx.dest.example"], UNTRUSTED),
        ((), "mx.dest.example", [], DELIVERED),
    ],
)
@pytest_twisted.ensureDeferred
async def test_aliases(
    relayed: Any,
    signed: tuple[str, ...],
    tlsa: str,
    asked: list[str],
    expected: tuple[str, str],
) -> None:
    """An exchanger may be an alias: the name behind it goes before its own (RFC 7672 §2.2.2)."""
    relayed.names.drop(["mx.dest.example"])
    relayed.names.cname("mx.dest.example", "real.example")
    relayed.names.a("real.example", "192.0.2.1")
    relayed.names.signed = {"dest.example", *signed}
    relayed.names.tlsa(f"_25._tcp.{tlsa}", JUNK)
    relayed.names.sign(f"_25._tcp.{tlsa}")
    await relayed.server(relayed.authority.issue("mx.dest.example"))
    assert await relayed.send() == expected
    found = [one for one in relayed.names.asked if one.startswith("TLSA")]
    assert found == [f"TLSA _25._tcp.{one}" for one in asked]


@pytest_twisted.ensureDeferred
async def test_the_name_in_tls(relayed: Any, authority: MadeAuthority) -> None:
    """SNI is the TLSA base domain (RFC 7672 §3.2.1, §2.2.3)."""
    relayed.names.drop(["mx.dest.example"])
    relayed.names.cname("mx.dest.example", "real.example")
    relayed.names.a("real.example", "192.0.2.1")
    relayed.names.sign("real.example", "_25._tcp.real.example")
    issued = authority.issue("real.example")
    relayed.names.tlsa("_25._tcp.real.example", issued.tlsa())
    server = await relayed.server(issued)
    # shown to who asks for another name, or for none
    server.tls = TLSContexts([authority.issue("mx.dest.example").files, issued.files])
    assert await relayed.send() == DELIVERED


@pytest.mark.parametrize(
    ("entry", "records", "expected"),
    [
        (TLSPolicy.NEVER, [JUNK], DELIVERED),
        (TLSPolicy.OPPORTUNISTIC, [JUNK], DELIVERED),  # the operator's word is the last
        (TLSPolicy.DANE, [JUNK], UNTRUSTED),
        (TLSPolicy.DANE, [], DELIVERED),
        (TLSPolicy.DANE_ONLY, [], UNTRUSTED),
        (TLSPolicy.DANE_ONLY, [UNUSABLE], UNTRUSTED),
        (TLSPolicy.DANE_ONLY, None, DELIVERED),
        (TLSPolicy.VERIFIED, [JUNK], DELIVERED),
        (TLSPolicy.MTA_STS, [], UNTRUSTED),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_table(
    relayed: Any, entry: TLSPolicy, records: list[TLSA] | None, expected: tuple[str, str]
) -> None:
    """What the operator says of a domain is what is asked there."""
    issued = relayed.authority.issue("mx.dest.example")
    await relayed.server(issued)
    relayed.names.tlsa(TLSA_NAME, *([issued.tlsa()] if records is None else records))
    for domain in ("dest.example", "*.example"):
        assert await relayed.send(dane=False, tls_entries={domain: TLSEntry(entry)}) == expected
    other = {"other.example": TLSEntry(TLSPolicy.NEVER), "*.dest.example": TLSEntry(entry)}
    assert await relayed.send(dane=False, tls_entries=other) == DELIVERED


@pytest_twisted.ensureDeferred
async def test_names_of_the_table(relayed: Any) -> None:
    """The operator may say which name a certificate has to have."""
    await relayed.server(relayed.authority.issue("farm.example"))
    for names, expected in ((("x.example", "farm.example"), DELIVERED), ((), UNTRUSTED)):
        entry = TLSEntry(TLSPolicy.VERIFIED, names)
        assert await relayed.send(tls_entries={"dest.example": entry}) == expected


@pytest_twisted.ensureDeferred
async def test_the_next_host_may_offer_requiretls(relayed: Any) -> None:
    """A host that does not offer REQUIRETLS is passed over; without any the mail bounces."""
    issued = relayed.authority.issue("mx.dest.example", "b.dest.example")
    relayed.names.mx("dest.example", "mx.dest.example", "b.dest.example")
    relayed.names.a("b.dest.example", "192.0.2.2")
    relayed.names.sign("b.dest.example", "_25._tcp.b.dest.example")
    first = await relayed.server(issued)
    second = await relayed.server(issued, address="192.0.2.2")
    first.offers = ("STARTTLS",)
    strict = Sender(Address("me", "example.net"), require_tls=True)
    assert await relayed.send(sender=strict) == DELIVERED
    assert (len(first.messages), len(second.messages)) == (0, 1)
    second.offers = ("STARTTLS",)
    assert await relayed.send(sender=strict) == ("Bounced", "5.7.30")
    second.script["GREETING"] = ["421 4.3.2 not now"]
    assert await relayed.send(sender=strict) == ("Deferred", "4.3.2")


@pytest_twisted.ensureDeferred
async def test_mail_that_has_to_be_protected(relayed: Any) -> None:
    """REQUIRETLS takes DANE for proof, and a sender may do without any (RFC 8689 §4.2)."""
    issued = relayed.authority.issue("other.example")
    server = await relayed.server(issued)
    relayed.names.tlsa(TLSA_NAME, issued.tlsa())
    strict = Sender(Address("me", "example.net"), require_tls=True)
    assert await relayed.send(sender=strict, dane=False) == DELIVERED
    assert any("REQUIRETLS" in one for one in server.commands if one.startswith("MAIL"))
    relayed.names.tlsa(TLSA_NAME, JUNK)
    assert await relayed.send(sender=strict) == ("Bounced", "5.7.10")
    optional = b"TLS-Required: No\r\n\r\nplease look at your TLSA records\r\n"
    assert await relayed.send(body=optional) == DELIVERED
    assert await relayed.send(body=optional, sender=strict) == ("Bounced", "5.7.10")
    relayed.names.signed.clear()
    assert await relayed.send(sender=strict) == ("Bounced", "5.7.10")
