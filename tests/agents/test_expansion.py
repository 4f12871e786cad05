"""Tests for `mailplat.agents.expansion`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailplat.agents.expansion import ExpansionAgent
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.testing.agents import AgentContract


class TestExpansionAgent(AgentContract):
    """The contract of every agent."""

    @pytest.fixture
    def agent(self) -> ExpansionAgent:
        """The one for aliases."""
        return ExpansionAgent("alias")

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [Recipient(Address("team", "example.org"))]
