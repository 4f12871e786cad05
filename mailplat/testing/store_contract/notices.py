"""The contract of notices: told after the change, in order, with no lock held (rule 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.python.threadable import isInIOThread

from mailplat.interfaces.store import IHome, IMailbox, IStore, IWatch, Target
from mailplat.model.changes import Changes
from mailplat.model.errors import NoSuchMailbox
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import ALL, Seen, StoreFixtures, Told, add
from mailplat.testing.turns import all_of, outcomes_of, started, until

__all__ = ["HomeNotices", "MailboxNotices"]

Change = Callable[[IHome, IMailbox, IMailbox], Awaitable[Any]]

CHANGES: dict[str, Change] = {
    "append": lambda home, inbox, other: add(home),
    "store": lambda home, inbox, other: inbox.store_flags(ALL, FlagAction.ADD, ["\\Seen"], None),
    "keyword": lambda home, inbox, other: inbox.store_flags(ALL, FlagAction.ADD, ["$A"], None),
    "expunge": lambda home, inbox, other: inbox.expunge(ALL),
    "copy here": lambda home, inbox, other: other.copy(ALL, "INBOX"),
    "move here": lambda home, inbox, other: other.move(ALL, "INBOX"),
    "move away": lambda home, inbox, other: inbox.move(ALL, "Other"),
    "rename INBOX": lambda home, inbox, other: home.rename("INBOX", "Old"),
}


class MailboxNotices(StoreFixtures):
    """`IMailbox.watch`."""

    @pytest.mark.parametrize("what", CHANGES)
    @pytest_twisted.ensureDeferred
    async def test_told_after_the_change(self, home: IHome, mailbox: IMailbox, what: str) -> None:
        """Who is told and asks at once is answered with the change."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        await add(home, messages=2)
        await add(home, "Other")
        modseq = (await mailbox.state(False)).modseq
        answers: list[Deferred[Changes]] = []
        threads: list[bool] = []

        def tell() -> None:
            threads.append(isInIOThread())
            answers.append(started(mailbox.changes_since(modseq)))

        watch = mailbox.watch(tell)
        await CHANGES[what](home, mailbox, other)
        await until(lambda: bool(answers))
        watch.stop()
        # the last notice may not come before the change can be read
        assert await answers[-1]
        assert all(threads)
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_everybody_is_told(self, home: IHome, mailbox: IMailbox) -> None:
        """Every watcher of every handle is told, also of what its own handle did."""
        other = await home.open_mailbox("INBOX")
        told = [Told(), Told(), Told()]
        watches = [mailbox.watch(told[0]), mailbox.watch(told[1]), other.watch(told[2])]
        await add(home)
        await until(lambda: all(t.times for t in told))
        before = [t.times for t in told]
        await other.expunge(ALL)
        await until(lambda: all(t.times > b for t, b in zip(told, before, strict=True)))
        for watch in watches:
            watch.stop()
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_stop(self, home: IHome, mailbox: IMailbox) -> None:
        """Who stopped is told nothing from then on, and may stop again."""
        stopped, going = Told(), Told()
        watch, other = mailbox.watch(stopped), mailbox.watch(going)
        await add(home)
        await until(lambda: bool(going.times and stopped.times))
        watch.stop()
        watch.stop()
        stopped.times = going.times = 0
        await add(home)
        await until(lambda: going.times > 0)
        other.stop()
        assert stopped.times == 0

    @pytest_twisted.ensureDeferred
    async def test_stop_while_being_told(self, home: IHome, mailbox: IMailbox) -> None:
        """A watcher may stop itself and others from within."""
        watches: list[IWatch] = []
        told = Told()

        def tell() -> None:
            told()
            for watch in watches:
                watch.stop()

        watches += [mailbox.watch(tell), mailbox.watch(tell)]
        await add(home)
        await until(lambda: told.times > 0)
        await add(home)
        assert told.times == 1

    @pytest_twisted.ensureDeferred
    async def test_watcher_calls_the_store_back(self, home: IHome, mailbox: IMailbox) -> None:
        """No lock is held while watchers are told: one that changes things goes on at once."""
        calls: list[Deferred[Any]] = []

        def tell() -> None:
            if len(calls) < 3:
                calls.append(started(add(home)))
                calls.append(started(mailbox.store_flags(ALL, FlagAction.ADD, ["\\Seen"], None)))

        watch = mailbox.watch(tell)
        await add(home)
        await until(lambda: len(calls) > 3 and all(call.called for call in calls))
        watch.stop()
        for call in calls:
            await call
        assert len((await mailbox.state(False)).uids) == 1 + len(calls) // 2

    @pytest_twisted.ensureDeferred
    async def test_notices_make_a_faithful_view(self, home: IHome, mailbox: IMailbox) -> None:
        """A view that asks only when it is told ends as the mailbox does, and never goes back."""
        other = await home.open_mailbox("INBOX")
        seen = await Seen.of(other)
        asking: list[Deferred[None]] = []
        pending = [False]

        async def ask() -> None:
            while pending[0]:
                pending[0] = False
                changes = await other.changes_since(seen.modseq)
                seen.apply(changes, dict.fromkeys(changes.added, -1))

        def tell() -> None:
            pending[0] = True
            if not asking or asking[-1].called:
                asking.append(started(ask()))

        watch = other.watch(tell)
        uids = await add(home, messages=10)
        await all_of(
            [
                *(add(home) for _ in range(20)),
                *(mailbox.expunge(NumSet.of([uid])) for uid in uids[:5]),
                *(
                    mailbox.store_flags(NumSet.of([uid]), FlagAction.ADD, ["\\Seen"], None)
                    for uid in uids
                ),
            ]
        )
        state = await mailbox.state(False)
        await until(lambda: seen.modseq >= state.modseq)
        for call in asking:
            await call
        assert sorted(seen.masks) == list(state.uids)
        watch.stop()
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_deleted(self, home: IHome) -> None:
        """When the mailbox is deleted its watchers are told, and asking says why."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        await add(home, "Other")
        modseq = (await other.state(False)).modseq
        answers: list[Deferred[Changes]] = []
        watch = other.watch(lambda: answers.append(started(other.changes_since(modseq))))
        await home.delete("Other")
        await until(lambda: bool(answers))
        watch.stop()
        outcomes = await outcomes_of(answers)
        assert isinstance(outcomes[-1], NoSuchMailbox)
        with pytest.raises(NoSuchMailbox):
            await other.changes_since(modseq)
        other.close()


class HomeNotices(StoreFixtures):
    """`IHome.watch`."""

    @pytest.mark.parametrize("what", CHANGES)
    @pytest_twisted.ensureDeferred
    async def test_told_of_messages(self, home: IHome, mailbox: IMailbox, what: str) -> None:
        """Every change in a mailbox is told with the mailbox's name."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        await add(home)
        await add(home, "Other")
        told = Told()
        watch = home.watch(told)
        await CHANGES[what](home, mailbox, other)
        names = {"INBOX"}
        if what == "move here" or what == "move away":
            names.add("Other")
        if what == "rename INBOX":
            names.add("Old")
        await until(lambda: names <= set(told.names))
        watch.stop()
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_told_of_names(self, home: IHome) -> None:
        """Mailboxes that come, go and are renamed are told, under each name concerned."""
        told = Told()
        watch = home.watch(told)
        await home.create("One/Two", [])
        await until(lambda: "One/Two" in told.names)
        told.names.clear()
        await home.rename("One/Two", "Three")
        await until(lambda: {"One/Two", "Three"} <= set(told.names))
        told.names.clear()
        await home.delete("Three")
        await until(lambda: "Three" in told.names)
        watch.stop()
        watch.stop()
        told.names.clear()
        await home.create("Four", [])
        assert told.names == []

    @pytest_twisted.ensureDeferred
    async def test_what_is_told_can_be_read(self, home: IHome) -> None:
        """Who asks when told of a new mailbox finds it."""
        found: list[Deferred[Any]] = []
        watch = home.watch(lambda name: found.append(started(home.status([name]))))
        await home.create("New", [])
        await until(lambda: bool(found))
        watch.stop()
        assert list(await found[-1]) == ["New"]

    @pytest_twisted.ensureDeferred
    async def test_told_of_deliveries(self, store: IStore, home: IHome) -> None:
        """A delivery is told in each home, with the mailbox that it made."""
        other = await store.open_home("bob@example.org")
        mine, theirs = Told(), Told()
        watches = [home.watch(mine), other.watch(theirs)]
        targets = [Target("alice@example.org"), Target("bob@example.org", "Lists")]
        await store.deliver(new_message(mail(1)), targets)
        await until(lambda: "INBOX" in mine.names and "Lists" in theirs.names)
        for watch in watches:
            watch.stop()
