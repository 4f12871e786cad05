"""Tests for `mailplat.filters.asking`, and for the client's name, which is asked for with it."""

from __future__ import annotations

import pytest
import pytest_twisted

from mailplat.filters.asking import ResolverLookups
from mailplat.message.auth.iprev import check_reverse, confirmed_name
from mailplat.message.auth.lookups import Lookups
from mailplat.message.auth.result import Result
from mailplat.model.errors import Unavailable
from mailplat.testing.fakes import KnownNames

NAMES = KnownNames(
    mx={"d.example": [(20, "b.d.example"), (10, "a.d.example")], "null.example": [(0, "")]},
    hosts={"a.d.example": ["192.0.2.1", "2001:db8::1"], "b.d.example": ["192.0.2.2"]},
    txt={"d.example": [b"one", b"two"]},
    ptr={
        "192.0.2.1": ["b.d.example", "a.d.example"],
        "192.0.2.3": ["a.d.example"],
        "2001:db8::1": ["a.d.example"],
        "192.0.2.4": ["away.example"],
    },
    broken=["away.example"],
)


@pytest_twisted.ensureDeferred
async def test_asks() -> None:
    """Answers are plain; the preferred exchanger is the first, and the null MX is none."""
    lookups: Lookups = ResolverLookups(NAMES)
    assert list(await lookups.mx("d.example")) == ["a.d.example", "b.d.example"]
    assert list(await lookups.mx("null.example")) == []
    assert list(await lookups.txt("d.example")) == [b"one", b"two"]
    assert list(await lookups.txt("nothing.example")) == []
    assert list(await lookups.addresses("a.d.example", 4)) == ["192.0.2.1"]
    assert list(await lookups.addresses("a.d.example", 6)) == ["2001:db8::1"]
    with pytest.raises(Unavailable):
        await lookups.txt("away.example")


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("192.0.2.1", Result.PASS),
        ("2001:db8::1", Result.PASS),
        ("192.0.2.2", Result.PERMERROR),
        ("192.0.2.3", Result.FAIL),
        ("192.0.2.4", Result.TEMPERROR),
    ],
)
@pytest_twisted.ensureDeferred
async def test_reverse(address: str, result: Result) -> None:
    """A name counts if it leads back to the address (RFC 8601 §3)."""
    finding = await check_reverse(address, ResolverLookups(NAMES))
    assert (finding.method, finding.result) == ("iprev", result)
    assert finding.properties == (("policy.iprev", address),)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "a.d.example"),
        ("2001:db8::1", "a.d.example"),
        ("192.0.2.2", ""),
        ("192.0.2.3", ""),
        ("192.0.2.4", ""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_confirmed_name(address: str, name: str) -> None:
    """Of an address's names only one that leads back is told to others."""
    assert await confirmed_name(address, ResolverLookups(NAMES)) == name
