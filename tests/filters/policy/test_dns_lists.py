"""Tests for `mailplat.filters.dns_lists` and its names and codes."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.filters.dns_list_names import address_name, domain_name, points, read_code
from mailplat.interfaces.resolver import Answer
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import Action
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import started

BAD = "bl.example.net"
GOOD = "wl.example.net"
DOMAINS = "dbl.example.net"
POINTS = {
    f"2.0.0.127.{BAD}": ["127.0.0.2"],
    f"2.0.0.127.{GOOD}": ["127.0.0.2"],
    f"test.{DOMAINS}": ["127.0.1.2"],
}
LISTED = {
    **POINTS,
    f"1.2.0.192.{BAD}": ["127.0.0.2", "127.0.0.4"],
    f"3.2.0.192.{BAD}": ["127.0.0.2"],
    f"3.2.0.192.{GOOD}": ["127.0.0.3"],
    f"spam.example.{DOMAINS}": ["127.0.1.2"],
}


def lists(**more: Any) -> dict[str, Any]:
    """Options with a list of addresses that has codes, a good one, and one of domains."""
    return {
        "lists": [
            {"zone": BAD, "codes": ["127.0.0.2=3", "127.0.0.4-7=2.5"]},
            {"zone": GOOD, "score": -3.0},
            {"zone": DOMAINS, "score": 6.0, "subjects": ["helo", "sender", "reverse"]},
        ],
        **more,
    }


def test_names() -> None:
    """Addresses are turned round, IPv6 by nibbles; domains stand as they are (RFC 5782)."""
    assert address_name("192.0.2.99", BAD) == f"99.2.0.192.{BAD}"
    assert address_name("::ffff:192.0.2.99", BAD) == f"99.2.0.192.{BAD}"
    nibbles = "1." + "0." * 23 + "8.b.d.0.1.0.0.2."
    assert address_name("2001:db8::1", BAD) == nibbles + BAD
    assert domain_name("Spam.Example.", DOMAINS) == f"spam.example.{DOMAINS}"
    assert domain_name("b\u00fccher.example", DOMAINS) == f"xn--bcher-kva.example.{DOMAINS}"


@pytest.mark.parametrize("text", ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a..b", "-a.b"])
def test_no_domains(text: str) -> None:
    """What is no domain is not asked for."""
    assert domain_name(text, DOMAINS) == ""


@given(st.text(max_size=60))
@settings(max_examples=60)
def test_any_helo(text: str) -> None:
    """Whatever a client says, the name is one, or none."""
    name = domain_name(text, DOMAINS)
    assert name == "" or (name.isascii() and name.endswith(DOMAINS) and len(name) <= 253)


def test_codes() -> None:
    """Codes are added up, each answer once; without codes there is one score."""
    codes = [read_code("127.0.0.2=3"), read_code("127.0.0.4-7 = 2.5")]
    assert points(["127.0.0.2", "127.0.0.2", "127.0.0.5", "127.0.0.8"], codes, 9) == 5.5
    assert points(["127.0.0.8"], [], 9) == 9
    for wrong in ("127.0.0.2", "1.2.3.4=1", "127.0.0.9-3=1", "127.0.0.2=x", "127.0.0.2-300=1"):
        with pytest.raises(ValueError):
            read_code(wrong)


@pytest.mark.parametrize(
    ("address", "sender", "action", "scores", "tagged"),
    [
        ("192.0.2.1", "a@d.example", Action.REJECT, {BAD: 5.5}, True),
        ("192.0.2.2", "a@d.example", Action.CONTINUE, {}, False),
        ("192.0.2.3", "a@d.example", Action.CONTINUE, {BAD: 3, GOOD: -3}, False),
        ("192.0.2.2", "a@spam.example", Action.REJECT, {DOMAINS: 6}, True),
        ("2001:db8::1", "a@d.example", Action.CONTINUE, {}, False),
        ("192.0.2.1", "", Action.REJECT, {BAD: 5.5}, True),
        ("127.0.0.1", "a@spam.example", Action.CONTINUE, {}, False),  # trusted
    ],
)
@pytest_twisted.ensureDeferred
async def test_sums(
    server: Any, address: str, sender: str, action: Action, scores: Any, tagged: bool
) -> None:
    """The points of all lists decide together."""
    made = server("dns_lists:", lists(), names=KnownNames(hosts=LISTED))
    visit = made.connect(address)
    verdict = await visit.sender(sender)
    assert verdict.action is action
    assert visit.context.scores == scores
    assert ("dns-listed" in visit.context.tags) is tagged
    if action is Action.REJECT:
        assert (verdict.reply.code, verdict.reply.status) == (554, "5.7.1")


@pytest_twisted.ensureDeferred
async def test_who_logged_in(server: Any, contract: Any) -> None:
    """Who logged in comes from anywhere."""
    names = KnownNames(hosts=LISTED)
    made = server("dns_lists:", lists(), names=names)
    assert verifyObject(contract, made.filter)
    verdict = await made.connect("192.0.2.1", account="alice").sender()
    assert verdict.action is Action.CONTINUE
    assert names.asked == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({f"1.0.0.127.{BAD}": ["127.0.0.2"]}, "lists everything"),
        ({f"2.0.0.127.{BAD}": []}, "does not list"),
        ({f"1.2.0.192.{BAD}": ["127.255.255.254"]}, "no listing"),
        ({f"1.2.0.192.{BAD}": ["203.0.113.7"]}, "no listing"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_lists_not_to_believe(server: Any, more: Any, why: str) -> None:
    """A list that lists the world, or nothing, or that refuses us, gives no points."""
    made = server("dns_lists:", lists(), names=KnownNames(hosts={**LISTED, **more}))
    visit = made.connect("192.0.2.1")
    assert (await visit.sender()).action is Action.CONTINUE
    assert visit.context.scores == {}
    assert made.filter.lists[0].failures == 1, why


@pytest_twisted.ensureDeferred
async def test_a_list_that_is_down(server: Any) -> None:
    """It is ignored, left alone after some failures, and asked again after its rest."""
    names = KnownNames(hosts=LISTED, broken=[f"2.0.0.127.{BAD}"])
    made = server("dns_lists:", lists(max_failures=2, rest="1m"), names=names)
    for _ in range(5):
        assert (await made.connect("192.0.2.1").sender("a@spam.example")).action is Action.REJECT
    assert made.filter.lists[0].failures == 2
    asked = len([one for one in names.asked if one.endswith(f".{BAD}")])
    made.time += 61
    await made.connect("192.0.2.1").sender()
    assert len([one for one in names.asked if one.endswith(f".{BAD}")]) == asked + 1


class Hanging(KnownNames):
    """DNS in which one zone never answers."""

    async def a(self, host: str) -> Answer[str]:
        """See `IResolver.a`."""
        if host.endswith(f".{BAD}"):
            await Deferred()
        return await super().a(host)


@pytest_twisted.ensureDeferred
async def test_a_list_that_hangs(server: Any) -> None:
    """Nobody waits beyond the deadline; what the others said counts."""
    made = server("dns_lists:", lists(time="5s"), names=Hanging(hosts=LISTED))
    verdict = started(made.connect("192.0.2.1").sender("a@spam.example"))
    made.clock.advance(4.9)
    assert not verdict.called
    made.clock.advance(0.2)
    assert (await verdict).action is Action.REJECT
    assert made.filter.lists[0].failures == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves(server: Any) -> None:
    """Clients that do not wait are no failure of a list."""
    made = server("dns_lists:", lists(max_failures=1), names=Hanging(hosts=LISTED))
    for _ in range(3):
        asked = started(made.filter.verdict(*_of(made)))
        asked.addErrback(lambda failure: None)
        asked.cancel()
    assert made.filter.lists[0].failures == 0


def _of(made: Any) -> Any:
    from mailplat.model.envelope import Sender

    return made.connect("192.0.2.1").context, Sender(None)


def test_codes_are_checked(server: Any) -> None:
    """A code that cannot be read is told when the filter is made."""
    with pytest.raises(ConfigurationFault, match="no code"):
        server("dns_lists:", {"lists": [{"zone": BAD, "codes": ["127.0.0.2"]}]})
