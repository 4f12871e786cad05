"""A connection to a server that has one policy filter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailplat.app.parts import check_part, make_filter
from mailplat.config.structure import structure_part
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, IChain, IFilter, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.policy_table import IPolicyTable
from mailplat.message import headers
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.model.reply import Reply
from mailplat.model.verdict import Verdict
from mailplat.spool.intake import MemoryBody
from mailplat.store.policy.memory import MemoryPolicyTable
from mailplat.testing.fakes import KnownNames


class Server:
    """A server with one filter, at a time that stands still.

    Attributes:
        time: Seconds since 1970.
        clock: What the filter waits by.
        filter: The filter.
    """

    def __init__(
        self,
        use: str,
        options: Mapping[str, Any] | None = None,
        *,
        names: KnownNames | None = None,
        table: IPolicyTable | None = None,
        directory: Path | None = None,
        verify: Callable[[Address], Awaitable[Reply | None]] | None = None,
        threads: bool = False,
    ) -> None:
        self.time = 1_000_000.0
        self.clock = Clock()
        table_class = check_part("filter", use.partition(":")[0])
        assert table_class is not None
        settings = FilterSettings(
            reactor if threads else self.clock,
            "mx.example.org",
            str(directory or "."),
            names or KnownNames(),
            now=lambda: self.time,
            options=structure_part(options or {}, table_class, Path(), {}),
            policy=table or MemoryPolicyTable(lambda: self.time),
            verify=verify,
        )
        self.filter: Any = make_filter(use, settings)
        self.rule = Rule(self.filter)

    def connect(
        self, address: str = "192.0.2.1", helo: str = "mail.d.example", account: str = ""
    ) -> Visit:
        """Come from an address."""
        return Visit(self, address, helo, account)


class Visit:
    """A connection."""

    def __init__(self, server: Server, address: str, helo: str, account: str) -> None:
        self.context = Context("s1", "smtp", Peer(address, 4000, "192.0.2.99", 25))
        self.context.helo = helo
        self.context.account = Account(account) if account else None
        self.chain: IChain = Chains([server.rule], server.clock).open_chain(self.context)

    async def connect(self) -> Verdict:
        """Say nothing yet."""
        return await self.chain.ask(Stage.CONNECT)

    async def sender(self, text: str = "a@d.example") -> Verdict:
        """Say MAIL."""
        local, _, domain = text.rpartition("@")
        self.context.tags.clear()
        one = self.context.sender = Sender(Address(local, domain) if text else None)
        return await self.chain.ask(Stage.SENDER, one)

    async def recipient(self, text: str = "bob@example.org") -> Verdict:
        """Say RCPT."""
        local, _, domain = text.rpartition("@")
        return await self.chain.ask(Stage.RECIPIENT, Recipient(Address(local, domain)))

    async def message(self, data: bytes) -> Verdict:
        """Send a message."""
        assert self.context.sender is not None
        header, _ = headers.split(data)
        mail = Mail("q1", Envelope(self.context.sender, ()), header, MemoryBody(data))
        return await self.chain.ask(Stage.MESSAGE, mail)


@pytest.fixture
def server() -> type[Server]:
    """Makes a server with one filter: its name in a configuration, and its options."""
    return Server


@pytest.fixture
def contract() -> type[Any]:
    """The interface that filters keep to."""
    return IFilter
