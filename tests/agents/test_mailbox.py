"""Tests for `mailplat.agents.mailbox`: from the queue into mailboxes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.agents.mailbox import MailboxAgent
from mailplat.interfaces.agents import Attempt
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Target
from mailplat.message.scan import ScanLimits
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.routes.local import LocalRoute
from mailplat.routes.table import RouteTable
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
    routes = RouteTable([LocalRoute(accounts, ["example.org"])])
    return MailboxAgent(routes, store, lambda: 1_767_268_800.0, ScanLimits())


class TestMailboxAgent(AgentContract):
    """The contract of every agent."""

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Both of them."""
        return [ALICE, BOB]


async def mail_of(store: MemoryStore, account: str, name: str = "INBOX") -> list[bytes]:
    """Read all messages of a mailbox."""
    mailbox = await (await store.open_home(account)).open_mailbox(name)
    uids = (await mailbox.state(False)).uids
    found = await mailbox.bodies([BodyRange(uid, 0, 1 << 30) for uid in uids])
    mailbox.close()
    return [body or b"" for body in found]


@pytest_twisted.ensureDeferred
async def test_says_whom_it_is_from(agent: MailboxAgent, store: MemoryStore) -> None:
    """A mailbox's copy begins with Return-Path, also of the null sender (RFC 5321 §4.4).

    It says for whom it is, where that tells nobody of somebody else.
    """
    await agent.deliver(attempt([ALICE], BODY))
    null = Attempt("q2", Sender(None), (ALICE,), StringBody(BODY), None, 1_700_000_000)
    await agent.deliver(null)
    assert await mail_of(store, "alice@example.org") == [
        b"Return-Path: <sender@example.net>\r\nDelivered-To: alice@example.org\r\n" + BODY,
        b"Return-Path: <>\r\nDelivered-To: alice@example.org\r\n" + BODY,
    ]
    await agent.deliver(attempt([ALICE, BOB], BODY))
    assert await mail_of(store, "bob@example.org") == [
        b"Return-Path: <sender@example.net>\r\n" + BODY
    ]


@pytest_twisted.ensureDeferred
async def test_delivers_where_it_was_decided(agent: MailboxAgent, store: MemoryStore) -> None:
    """Mailboxes that were decided at acceptance are not looked up again, nor the others lost."""
    gone = Recipient(Address("gone", "example.org"))
    targets = {gone: (Target("alice@example.org", "Quarantine"), Target("bob@example.org"))}
    outcomes = await agent.deliver(replace(attempt([gone, ALICE], BODY), targets=targets))
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    found = [
        len(await mail_of(store, account, mailbox))
        for account, mailbox in [
            ("alice@example.org", "Quarantine"),
            ("alice@example.org", "INBOX"),
            ("bob@example.org", "INBOX"),
        ]
    ]
    assert found == [1, 1, 1]


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
