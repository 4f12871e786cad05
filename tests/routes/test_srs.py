"""Tests for `mailplat.routes.srs`: rewritten senders lead back, and invented ones nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.address import Address
from mailplat.routes.srs import SenderRewriting

DAY = 86400
NOON = 1_767_268_800.0
LOCALS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
DOMAINS = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){1,3}", fullmatch=True)


def srs(*, now: float = NOON, secrets: tuple[bytes, ...] = (b"key",)) -> SenderRewriting:
    """Rewrite for example.org."""
    return SenderRewriting("Example.org", secrets, lambda: now)


@settings(max_examples=80)
@given(LOCALS, DOMAINS)
def test_there_and_back(local: str, domain: str) -> None:
    """Whatever the sender is called, its rewritten address leads back to it."""
    sender = Address(local, domain)
    if sender.local.upper().startswith("SRS"):
        return
    made = srs().forward(sender)
    assert made.domain == "example.org"
    assert srs().is_rewritten(made)
    assert srs().backward(made) == sender


@given(LOCALS, DOMAINS, st.lists(DOMAINS, min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_chain_of_forwarders(local: str, domain: str, hosts: list[str]) -> None:
    """Any number of forwarders make it no longer than two, and the way back leads to the first."""
    sender = Address(local, domain)
    if sender.local.upper().startswith("SRS"):
        return
    first = SenderRewriting("first.example", [b"first"], lambda: NOON).forward(sender)
    lengths, address = [], first
    for host in hosts:
        forwarder = SenderRewriting(host, [host.encode()], lambda: NOON)
        address = forwarder.forward(address)
        assert forwarder.backward(address) == first
        lengths.append(len(address.local))
    assert len(set(lengths)) == 1


def test_a_change_of_case_does_no_harm() -> None:
    """Servers on the way may write it in another case; what comes back is an equal address."""
    sender = Address("Bob.Smith", "Example.NET")
    made = srs().forward(sender)
    for local in (made.local.lower(), made.local.upper()):
        found = srs().backward(Address(local, "EXAMPLE.ORG"))
        assert found is not None
        assert found.key == sender.key


def test_any_change_is_found_out() -> None:
    """No character of it can be another one."""
    made = srs().forward(Address("bob", "example.net"))
    for at in range(len("SRS0="), len(made.local)):
        changed = made.local[:at] + ("x" if made.local[at] != "x" else "y") + made.local[at + 1 :]
        assert srs().backward(Address(changed, "example.org")) is None
    assert srs(secrets=(b"other",)).backward(made) is None


@pytest.mark.parametrize(("days", "good"), [(0, True), (21, True), (22, False), (1000, False)])
def test_it_grows_old(days: int, good: bool) -> None:
    """After three weeks it leads back no more, nor does one from days to come."""
    made = srs().forward(Address("bob", "example.net"))
    assert (srs(now=NOON + days * DAY).backward(made) is not None) is good
    if days:
        assert srs(now=NOON - DAY).backward(made) is None


def test_keys_change() -> None:
    """A new key signs; what an old one signed still leads back."""
    made = srs(secrets=(b"old",)).forward(Address("bob", "example.net"))
    both = srs(secrets=(b"new", b"old"))
    assert both.backward(made) == Address("bob", "example.net")
    assert both.forward(Address("bob", "example.net")) != made


@given(st.text())
@settings(max_examples=80)
def test_anything_may_be_asked(text: str) -> None:
    """What nobody made leads nowhere, whatever it is."""
    for local in (text, f"SRS0={text}", f"SRS1={text}", f"SRS0=AAAAAAAA=AA={text}"):
        assert srs().backward(Address(local, "example.org")) is None
