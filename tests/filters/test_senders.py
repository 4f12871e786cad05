"""Tests for `mailplat.filters.senders`."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from mailplat.app.parts import make_filter
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action


@pytest.mark.parametrize(
    ("address", "action"),
    [
        (Address("Bad", "Example.ORG"), Action.REJECT),
        (Address("good", "example.org"), Action.CONTINUE),
        (Address("any", "EXAMPLE.net"), Action.REJECT),
        (Address("any", "sub.example.net"), Action.CONTINUE),
        (None, Action.CONTINUE),  # the null sender is never refused by name
    ],
)
@pytest_twisted.ensureDeferred
async def test_refuses_named_senders(address: Address | None, action: Action) -> None:
    """Addresses and domains are refused in any case, as a configuration names them."""
    one = make_filter("senders:bad@example.org, example.net", FilterSettings(Clock()))
    context = Context("s1", "mx", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
    chain = Chains([Rule(one)], Clock()).open_chain(context)
    assert (await chain.ask(Stage.SENDER, Sender(address))).action is action
