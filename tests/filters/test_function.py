"""Tests for `mailplat.filters.function`."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailplat.filters.chain import Chains, Rule
from mailplat.filters.function import asked_at
from mailplat.interfaces.filters import Context, IFilter, Stage
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.model.address import Address
from mailplat.model.envelope import Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action, Verdict

RUDE = Sender(Address("a", "rude.example"))
KIND = Sender(Address("a", "kind.example"))


async def said(plugin: Any, sender: Sender, argument: str = "") -> Action:
    """Ask a chain of one function at the stage of the sender."""
    made = plugin.filter("it", argument, FilterSettings(Clock()))
    verifyObject(IFilter, made)
    context = Context("s1", "mx", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
    chain = Chains([Rule(made)], Clock()).open_chain(context)
    return (await chain.ask(Stage.SENDER, sender)).action


@pytest_twisted.ensureDeferred
async def test_five_lines() -> None:
    """A filter that refuses a sender is five lines, whole plugin and imports included."""
    source = (
        "from mailplat.filters.function import asked_at\n"
        "from mailplat.model.verdict import Verdict\n"
        '@asked_at("sender")\n'
        "def rude(context, sender):\n"
        '    return Verdict.reject("Be polite") if "@rude." in str(sender.address) else None\n'
    )
    assert len(source.splitlines()) <= 5
    names: dict[str, Any] = {}
    exec(source, names)  # as Python imports a plugin's module
    verifyObject(IFilterPlugin, names["rude"])
    assert names["rude"].prefix == "rude"
    assert await said(names["rude"], RUDE) is Action.REJECT
    assert await said(names["rude"], KIND) is Action.CONTINUE


@pytest_twisted.ensureDeferred
async def test_async_with_argument() -> None:
    """A function may be async, and have what the configuration says of it."""

    @asked_at("sender")
    async def blocked(context: Context, sender: Sender, argument: str) -> Verdict | None:
        assert sender.address is not None
        return Verdict.defer("Later") if sender.address.domain == argument else None

    assert await said(blocked, RUDE, "rude.example") is Action.DEFER
    assert await said(blocked, KIND, "rude.example") is Action.CONTINUE


@pytest_twisted.ensureDeferred
async def test_other_stages_are_not_asked() -> None:
    """It is asked at its stages only."""

    @asked_at("message", "headers")
    def never(context: Context, subject: Any) -> Verdict:
        return Verdict.reject("No")

    assert await said(never, RUDE) is Action.CONTINUE


def test_there_must_be_a_stage() -> None:
    """A stage that does not exist, or none at all, is an error where it is written."""
    with pytest.raises(ValueError, match="sendre"):
        asked_at("sendre")
    with pytest.raises(ValueError, match="stage"):
        asked_at()
