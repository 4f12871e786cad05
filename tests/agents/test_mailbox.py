"""Tests for `mailplat.agents.mailbox`: from the queue into mailboxes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.agents.mailbox import MailboxAgent
from mailplat.interfaces.agents import Attempt
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange
from mailplat.message.scan import ScanLimits
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.routes.local import LocalRoutes
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.agents import AgentContract, StringBody, attempt
from mailplat.testing.fakes import KnownAccounts
from mailplat.testing.turns import wait_for

ALICE = Recipient(Address("alice", "example.org"))
BOB = Recipient(Address("bob", "example.org"))
BODY = b"Subject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    """An open store."""
    store = MemoryStore(StoreSettings(reactor, str(tmp_path)))
    wait_for(store.open())
    yield store
    wait_for(store.close())


@pytest.fixture
def agent(store: MemoryStore) -> MailboxAgent:
    """An agent for Alice and Bob."""
    accounts = KnownAccounts({"alice@example.org": "x", "bob@example.org": "x"})
    routes = LocalRoutes(accounts, ["example.org"])
    return MailboxAgent(routes, store, lambda: 1_767_268_800.0, ScanLimits())


class TestMailboxAgent(AgentContract):
    """The contract of every agent."""

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Both of them."""
        return [ALICE, BOB]


async def mail_of(store: MemoryStore, account: str) -> list[bytes]:
    """Read all messages of an INBOX."""
    mailbox = await (await store.open_home(account)).open_mailbox("INBOX")
    uids = (await mailbox.state(False)).uids
    found = await mailbox.bodies([BodyRange(uid, 0, 1 << 30) for uid in uids])
    mailbox.close()
    return [body or b"" for body in found]


@pytest_twisted.ensureDeferred
async def test_says_whom_it_is_from(agent: MailboxAgent, store: MemoryStore) -> None:
    """A mailbox's copy begins with Return-Path, also of the null sender (RFC 5321 §4.4)."""
    await agent.deliver(attempt([ALICE], BODY))
    null = Attempt("q2", Sender(None), (ALICE,), StringBody(BODY), None, 1_700_000_000)
    await agent.deliver(null)
    assert await mail_of(store, "alice@example.org") == [
        b"Return-Path: <sender@example.net>\r\n" + BODY,
        b"Return-Path: <>\r\n" + BODY,
    ]


@pytest_twisted.ensureDeferred
async def test_one_full_mailbox_holds_up_nobody(agent: MailboxAgent, store: MemoryStore) -> None:
    """Who has no room is put off; who does not exist here is refused; the others get it."""
    await (await store.open_home("alice@example.org")).set_limit(QuotaLimit(10))
    stranger = Recipient(Address("x", "example.org"))
    elsewhere = Recipient(Address("x", "example.net"))
    outcomes = await agent.deliver(attempt([ALICE, BOB, stranger, elsewhere], BODY))
    assert isinstance(outcomes[ALICE], Deferred)
    assert isinstance(outcomes[BOB], Delivered)
    assert isinstance(outcomes[stranger], Bounced)
    assert isinstance(outcomes[elsewhere], Bounced)
    assert len(await mail_of(store, "bob@example.org")) == 1
    assert await mail_of(store, "alice@example.org") == []
