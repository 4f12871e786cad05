"""Tests for `mailplat.store.memory`: the store contract, and what only this store promises."""

from __future__ import annotations

import gc

import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.interfaces.plugins import IStorePlugin, StoreSettings
from mailplat.interfaces.store import Target
from mailplat.model.errors import ConfigurationFault, NoSuchAccount
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.plugins.mailplat_memory import memory
from mailplat.store.memory.log import ChangeLog
from mailplat.store.memory.notices import Notices
from mailplat.store.memory.store import MemoryStore
from mailplat.testing import stores
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import ALL, Seen, Told, add, body_of
from mailplat.testing.strict import LoggedErrors


class Fixtures:
    """What makes the stores."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """A store in memory."""
        return MemoryStore


class TestMailbox(Fixtures, stores.MailboxContract):
    """Mailboxes in memory."""


class TestHome(Fixtures, stores.HomeContract):
    """Homes in memory."""


class TestStore(Fixtures, stores.StoreContract):
    """The store in memory."""


@pytest.fixture
def store() -> MemoryStore:
    """A store in memory."""
    return MemoryStore(StoreSettings(reactor, "/nowhere"))


@pytest_twisted.ensureDeferred
async def test_identical_contents_are_kept_once(store: MemoryStore) -> None:
    """Many copies cost the memory of one, and the last one takes it along."""
    alice, bob = await store.open_home("alice"), await store.open_home("bob")
    message = new_message(mail(1, size=5000))
    await alice.append("INBOX", [message, message])
    await store.deliver(message, [Target("alice"), Target("bob")])
    assert len(store.contents) == 1
    for home in (alice, bob):
        mailbox = await home.open_mailbox("INBOX")
        await mailbox.expunge(ALL)
        mailbox.close()
    gc.collect()
    assert len(store.contents) == 0


@pytest_twisted.ensureDeferred
async def test_expunged_contents_are_let_go(store: MemoryStore) -> None:
    """What nobody shows any more costs no memory."""
    home = await store.open_home("alice")
    first, second = await home.open_mailbox("INBOX"), await home.open_mailbox("INBOX")
    (uid,) = await add(home)
    await first.expunge(ALL)
    first.acknowledge((await first.state(False)).modseq)
    assert await body_of(first, uid) is not None
    second.close()
    assert await body_of(first, uid) is None
    gc.collect()
    assert len(store.contents) == 0
    first.close()


def test_log_is_bounded_and_never_wrong() -> None:
    """Old entries are merged: an old reader is told more, never less."""
    log = ChangeLog(limit=4)
    for modseq in range(1, 101):
        log.note_vanished(modseq, NumSet.of([modseq]))
        log.note_flags(modseq, NumSet.of([1000 + modseq]))
    for modseq in range(101):
        vanished = log.vanished_since(modseq)
        assert not NumSet.span(modseq + 1, 100) - vanished
        flags = log.flags_since(modseq)
        assert flags is None or flags == NumSet.span(1001 + modseq, 1100)
    assert log.flags_since(95) == NumSet.span(1096, 1100)
    assert log.vanished_since(97) == NumSet.span(98, 100)
    assert log.flags_since(10) is None


@pytest_twisted.ensureDeferred
async def test_flags_from_before_the_log(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log goes back no further, the messages' own MODSEQs tell what changed."""
    home = await store.open_home("alice")
    uids = await add(home, messages=5)
    mailbox = await home.open_mailbox("INBOX")
    seen = await Seen.of(mailbox)
    await mailbox.store_flags(NumSet.of(uids[1:3]), FlagAction.ADD, ["\\Seen"], None)
    monkeypatch.setattr(ChangeLog, "flags_since", lambda self, modseq: None)
    changes = await seen.catch_up(mailbox)
    assert list(changes.changed) == list(uids[1:3])
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_a_watcher_that_raises(store: MemoryStore, logged_errors: LoggedErrors) -> None:
    """It is logged; the change is made, and the other watchers are told."""
    home = await store.open_home("alice")
    mailbox = await home.open_mailbox("INBOX")
    told = Told()

    def tell() -> None:
        raise RuntimeError("a watcher's own fault")

    mailbox.watch(tell)
    mailbox.watch(told)
    await add(home)
    assert told.times == 1
    assert len(logged_errors.flush(RuntimeError)) == 1
    mailbox.close()
    await add(home)
    assert told.times == 1


def test_notices_keep_their_order() -> None:
    """What a notice causes is told after all that was to be told before."""
    notices = Notices()
    heard: list[str] = []

    def first() -> None:
        notices.publish(lambda: heard.append("caused by the first"))
        heard.append("first")

    with notices:
        notices.publish(first)
        notices.publish(lambda: heard.append("second"))
        assert heard == []
    assert heard == ["first", "second", "caused by the first"]


@pytest_twisted.ensureDeferred
async def test_account_names(store: MemoryStore) -> None:
    """What cannot be an account has no home, and no mail is delivered to others beside it."""
    for name in ("", "../x", "a/b", "A", "."):
        with pytest.raises(NoSuchAccount):
            await store.open_home(name)
        with pytest.raises(NoSuchAccount):
            await store.deliver(new_message(mail(1)), [Target("alice"), Target(name)])
    assert await store.accounts() == []


def test_plugin() -> None:
    """``memory:`` makes a store, and takes no argument."""
    settings = StoreSettings(reactor, "/nowhere")
    assert verifyObject(IStorePlugin, memory)
    assert isinstance(memory.store("", settings), MemoryStore)
    with pytest.raises(ConfigurationFault, match="nothing behind the colon"):
        memory.store("/var/mail", settings)
