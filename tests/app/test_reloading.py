"""Tests for `mailplat.app.reloading` and what it exchanges: all or nothing, nobody cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol

from mailplat.app.current import CurrentFactory, CurrentRoutes
from mailplat.app.reloading import AT_ONCE, differences, effective
from mailplat.config.option import options_of, table_class
from mailplat.config.options import Configuration
from mailplat.config.sections.filtering import FilterOptions
from mailplat.config.values import PartText
from mailplat.model.address import Address

ALICE = Address("alice", "example.org")


def changed(**tables: Mapping[str, Any]) -> Configuration:
    """The default configuration with other values."""
    old = Configuration()
    return attrs.evolve(
        old,
        **{name: attrs.evolve(getattr(old, name), **values) for name, values in tables.items()},
    )


def test_every_name_is_an_option() -> None:
    """What changes at once is called as the options are."""
    tables = {option.attribute: option for option in options_of(Configuration)}
    for table, attributes in AT_ONCE.items():
        inside = table_class(tables[table].type)
        names = {option.attribute for option in options_of(inside)} if inside else set()
        assert (attributes or set()) <= names, table


def test_says_what_changes_and_what_waits() -> None:
    """Each option that differs is named: in force at once, or after a restart."""
    new = changed(
        smtp={"max_recipients": 7}, server={"domains": ("a.example",), "port_offset": 1000}
    )
    new = attrs.evolve(new, filters=(FilterOptions(use=PartText("senders:a@b")),))
    at_once, later = differences(Configuration(), new)
    assert at_once == ["server.domains", "smtp.max_recipients", "filter"]
    assert later == ["server.port_offset"]
    mixed = effective(Configuration(), new)
    assert mixed.server.domains == ("a.example",)
    assert mixed.server.port_offset == Configuration().server.port_offset
    assert mixed.filters == new.filters
    assert differences(Configuration(), Configuration()) == ([], [])
    assert effective(new, new) == new


class Slow:
    """Routes that answer when a test says so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: list[Deferred[Any]] = []
        self.closed = False

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    def is_local_domain(self, domain: str) -> bool:
        """Tell one from another."""
        return domain == self.name

    def route(self, address: Address, sender: Address | None) -> Deferred[Any]:
        """Wait."""
        self.waiting.append(Deferred())
        return self.waiting[-1]


@pytest_twisted.ensureDeferred
async def test_routes_are_closed_when_nobody_asks_them() -> None:
    """New questions go to the new routes at once; the old ones stay until their last answer."""
    old, new = Slow("old"), Slow("new")
    routes = CurrentRoutes(old)
    asked = ensureDeferred(routes.route(ALICE))
    exchanging = ensureDeferred(routes.exchange(new))
    assert routes.is_local_domain("new")
    ensureDeferred(routes.route(ALICE))
    assert len(new.waiting) == 1
    assert not old.closed
    old.waiting[0].callback(())
    assert await asked == ()
    await exchanging
    assert old.closed
    new.waiting[0].callback(())


@pytest.mark.parametrize("listening", [True, False])
def test_a_port_changes_its_factory(listening: bool) -> None:
    """Connections are made by the newest; a factory is started and stopped with its port."""
    first, second = Factory.forProtocol(Protocol), Factory.forProtocol(Protocol)
    first.noisy = second.noisy = False
    port = CurrentFactory(first)
    if listening:
        port.doStart()
    port.exchange(second)
    assert (first.numPorts, second.numPorts) == (0, int(listening))
    made = port.buildProtocol(None)  # type: ignore[arg-type]
    assert made is not None
    assert made.factory is second  # type: ignore[attr-defined]
