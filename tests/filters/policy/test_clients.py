"""Tests for the filters that look at the client: HELO, early talkers, reverse names, rates."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from mailplat.filters.helo import fault_of
from mailplat.filters.rate_limits import By, Counted, RateOptions, take
from mailplat.model.verdict import Action
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import started

OURS = frozenset({"mx.example.org"})


@pytest.mark.parametrize(
    ("helo", "fault"),
    [
        ("mail.d.example", ""),
        ("mail.d.example.", ""),
        ("b\u00fccher.example", ""),
        ("[192.0.2.1]", ""),
        ("[IPv6:::ffff:192.0.2.1]", ""),
        ("192.0.2.1", "literal"),
        ("[192.0.2.2]", "literal"),
        ("[2001:db8::1]", "invalid"),
        ("[IPv6:192.0.2.1]", "invalid"),
        ("[nonsense]", "invalid"),
        ("-a-.example", "invalid"),
        ("a..b", "invalid"),
        ("a b", "invalid"),
        ("x" * 300, "invalid"),
        ("MX.example.org", "own_name"),
        ("[192.0.2.99]", "own_name"),
        ("192.0.2.99", "own_name"),
        ("localhost", "unqualified"),
    ],
)
def test_names_of_clients(helo: str, fault: str) -> None:
    """What is wrong with a name is known without the DNS."""
    assert fault_of(helo, "192.0.2.1", OURS, "192.0.2.99") == fault


@given(st.text(max_size=80))
@settings(max_examples=100)
def test_any_name(helo: str) -> None:
    """Whatever a client says, there is an answer."""
    known = {"", "invalid", "own_name", "literal", "unqualified"}
    assert fault_of(helo, "2001:db8::1", OURS, "::1") in known


@pytest_twisted.ensureDeferred
async def test_helo_in_a_chain(server: Any, contract: Any) -> None:
    """Each fault has an action of its own; who logged in is left alone."""
    names = KnownNames(hosts={"mail.d.example": ["192.0.2.1"]}, mx={"d.example": [(1, "x.d")]})
    made = server("helo:", {"unresolvable": "defer"}, names=names)
    assert verifyObject(contract, made.filter)
    assert (await made.connect().sender()).action is Action.CONTINUE
    assert (await made.connect(helo="d.example").sender()).action is Action.CONTINUE
    assert (await made.connect(helo="no.example").sender()).action is Action.DEFER
    refused = await made.connect(helo="mx.example.org").sender()
    assert (refused.action, refused.reply.status) == (Action.REJECT, "5.5.2")
    assert (await made.connect(helo="x y", account="alice").sender()).action is Action.CONTINUE
    visit = made.connect(helo="laptop")
    assert (await visit.sender()).action is Action.CONTINUE
    assert visit.context.tags == {"helo-unqualified"}


@pytest_twisted.ensureDeferred
async def test_waits_before_the_greeting(server: Any, contract: Any) -> None:
    """Who is silent is greeted after the pause; who speaks is refused as soon as he does."""
    made = server("early_talker:", {"pause": "5s"})
    assert verifyObject(contract, made.filter)
    spoke = False
    patient = made.connect()
    patient.context.spoke_early = lambda: spoke
    waiting = started(patient.connect())
    made.clock.pump([0.5] * 9)
    assert not waiting.called
    made.clock.advance(0.6)
    assert (await waiting).action is Action.CONTINUE
    hasty = made.connect()
    hasty.context.spoke_early = lambda: spoke
    waiting = started(hasty.connect())
    made.clock.advance(0.4)
    spoke = True
    made.clock.advance(0.2)
    verdict = await waiting
    assert (verdict.action, verdict.reply.code) == (Action.REJECT, 554)


@pytest.mark.parametrize("trusted", [True, False])
@pytest_twisted.ensureDeferred
async def test_mail_of_early_talkers(server: Any, trusted: bool) -> None:
    """With another action the client is greeted, and each of its mails concerned."""
    made = server("early_talker:", {"pause": 0, "action": "tag"})
    visit = made.connect("127.0.0.1" if trusted else "192.0.2.1")
    visit.context.spoke_early = lambda: True
    assert (await visit.connect()).action is Action.CONTINUE
    for _ in range(2):
        await visit.sender()
        assert visit.context.tags == (set() if trusted else {"early-talker"})


@pytest.mark.parametrize(
    ("address", "tags"),
    [
        ("192.0.2.1", set()),
        ("192.0.2.2", {"reverse-name-unconfirmed"}),
        ("192.0.2.3", {"reverse-name-missing"}),
        ("127.0.0.1", set()),
    ],
)
@pytest_twisted.ensureDeferred
async def test_reverse_names(server: Any, address: str, tags: set[str]) -> None:
    """A name that leads back is wanted of each client."""
    names = KnownNames(
        ptr={"192.0.2.1": ["mail.d.example"], "192.0.2.2": ["mail.d.example"]},
        hosts={"mail.d.example": ["192.0.2.1"]},
    )
    made = server("reverse_name:", names=names)
    visit = made.connect(address)
    assert (await visit.sender()).action is Action.CONTINUE
    assert visit.context.tags == tags
    strict = server("reverse_name:", {"missing": "reject", "unconfirmed": "reject"}, names=names)
    verdict = await strict.connect(address).sender()
    assert verdict.action is (Action.REJECT if tags else Action.CONTINUE)


@pytest.mark.parametrize(
    ("sender", "status"),
    [
        ("a@mx.example", ""),
        ("a@host.example", ""),
        ("", ""),
        ("a@[192.0.2.1]", ""),
        ("a@null.example", "5.7.27"),
        ("a@no.example", "5.1.8"),
        ("a@text.example", "5.1.8"),
        ("a@down.example", "4.4.3"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_sender_domains(server: Any, sender: str, status: str) -> None:
    """A sender's domain is there, and takes mail (RFC 7505 §4.2)."""
    names = KnownNames(
        mx={"mx.example": [(10, "x.example")], "null.example": [(0, "")]},
        hosts={"host.example": ["192.0.2.1"]},
        txt={"text.example": [b"x"]},
        broken=["down.example"],
    )
    made = server("sender_domain:", names=names)
    verdict = await made.connect().sender(sender)
    assert (verdict.reply.status if verdict.reply else "") == status


def test_a_bucket() -> None:
    """So many at once, and then one for each part of the period; refusals cost nothing."""
    limit = RateOptions(by=By.CLIENT, count=Counted.MESSAGES, most=3, period=60)  # type: ignore[arg-type]
    values: dict[str, str] = {}
    now, passed = 1000.0, []
    for _ in range(24):
        full, changed = take({"k": limit}, values, now)
        values.update({key: kept.value for key, kept in changed.items()})
        passed.append(not full)
        now += 5
    assert passed[:4] == [True, True, True, False]
    assert sum(passed) == 3 + 5  # 115 s later, one for each 20 s


@pytest.mark.parametrize("shared", [True, False])
@pytest_twisted.ensureDeferred
async def test_rates(server: Any, shared: bool) -> None:
    """Each limit holds by itself; nothing is counted of what is refused."""
    limits = [
        {"by": "client", "most": 3, "period": "1h"},
        {"by": "sender", "most": 2, "period": "1d"},
        {"by": "client", "count": "recipients", "most": 4, "period": "1h"},
        {"by": "recipient_domain", "most": 100, "period": "1m"},
        {"by": "account", "most": 1, "period": "1h"},
    ]
    made = server("rate_limits:", {"limits": limits, "shared": shared})
    visit = made.connect()
    assert (await visit.sender()).action is Action.CONTINUE
    assert (await visit.sender()).action is Action.CONTINUE
    assert (await visit.sender()).action is Action.DEFER
    assert (await visit.sender("b@d.example")).action is Action.CONTINUE
    verdict = await made.connect().sender("c@d.example")
    assert (verdict.action, verdict.reply.code) == (Action.DEFER, 451)
    assert (await made.connect("192.0.2.2").sender("c@d.example")).action is Action.CONTINUE
    for _ in range(4):
        assert (await visit.recipient()).action is Action.CONTINUE
    assert (await visit.recipient()).action is Action.DEFER
    assert (await made.connect("127.0.0.1").sender()).action is Action.CONTINUE
    user = made.connect("127.0.0.1", account="alice")
    assert (await user.sender("alice@example.org")).action is Action.CONTINUE
    assert (await user.sender("alice@example.org")).action is Action.DEFER
    made.time += 1200
    assert (await visit.sender("e@d.example")).action is Action.CONTINUE
