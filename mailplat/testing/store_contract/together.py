"""The contract of calls that run together: the end is that of one of their serial orders."""

from __future__ import annotations

import random
from collections.abc import Awaitable
from typing import Any

import pytest_twisted

from mailplat.interfaces.store import IHome, IMailbox, IStore, Target
from mailplat.model.changes import FlagsStored
from mailplat.model.errors import AlreadyExists, NoSuchMailbox, OverQuota
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import Appended, QuotaLimit, QuotaUsage
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    Seen,
    StoreFixtures,
    add,
    ascending,
    gone,
    info_of,
    open_homes,
    subjects_in,
    uids_in,
)
from mailplat.testing.turns import all_of, outcomes_of

__all__ = ["Together"]

ADD = FlagAction.ADD


class Together(StoreFixtures):
    """Hundreds of calls started at once."""

    @pytest_twisted.ensureDeferred
    async def test_appends(self, home: IHome, mailbox: IMailbox) -> None:
        """Each of many appends has its own UIDs, in the order of its MODSEQ, and its message."""
        messages = [[new_message(mail(1000 + n))] * (1 + n % 3) for n in range(200)]
        answers = await all_of(home.append("INBOX", batch) for batch in messages)
        uids = [uid for answer in answers for uid in answer.uids]
        assert len(set(uids)) == len(uids)
        assert sorted(uids) == await uids_in(home)
        by_modseq = sorted(answers, key=lambda answer: (answer.modseq, answer.uids))
        assert ascending([uid for answer in by_modseq for uid in answer.uids])
        subjects = dict(zip(sorted(uids), await subjects_in(home, "INBOX"), strict=True))
        for n, answer in enumerate(answers):
            assert ascending(answer.uids)
            assert {subjects[uid] for uid in answer.uids} == {f"number {1000 + n}"}
        assert (await home.usage()).messages == len(uids)

    @pytest_twisted.ensureDeferred
    async def test_deliveries(self, store: IStore) -> None:
        """Many messages for overlapping sets of recipients all arrive, each once."""
        dice = random.Random(3)
        accounts = [f"user{n}" for n in range(8)]
        wanted: dict[str, list[str]] = {account: [] for account in accounts}
        deliveries: list[Awaitable[Any]] = []
        for n in range(120):
            chosen = dice.sample(accounts, dice.randint(1, 5))
            for account in chosen:
                wanted[account].append(f"number {n}")
            deliveries.append(
                store.deliver(new_message(mail(n)), [Target(account) for account in chosen])
            )
        await all_of(deliveries)
        for home in await open_homes(store, *accounts):
            subjects = await subjects_in(home, "INBOX")
            assert sorted(subjects) == sorted(wanted[home.account])

    @pytest_twisted.ensureDeferred
    async def test_quota_holds(self, home: IHome) -> None:
        """Of many that would each fit, as many are stored as fit together, no more or fewer."""
        await home.set_limit(QuotaLimit(20_000))
        outcomes = await outcomes_of(add(home, size=1000) for _ in range(50))
        assert sum(isinstance(outcome, OverQuota) for outcome in outcomes) == 30
        assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 20
        assert await home.usage() == QuotaUsage(20_000, 20)
        assert len(await uids_in(home)) == 20

    @pytest_twisted.ensureDeferred
    async def test_failures_do_not_spread(self, home: IHome) -> None:
        """Calls that fail take none of those with them that started beside them."""
        calls: list[Awaitable[Any]] = []
        for n in range(60):
            calls.append(add(home, "Nowhere" if n % 3 == 0 else "INBOX"))
        outcomes = await outcomes_of(calls)
        assert [gone(outcome) for outcome in outcomes] == [n % 3 == 0 for n in range(60)]
        assert len(await uids_in(home)) == 40

    @pytest_twisted.ensureDeferred
    async def test_one_creates(self, home: IHome) -> None:
        """Of many who create the same mailbox one succeeds."""
        outcomes = await outcomes_of(home.create("Box", []) for _ in range(20))
        made = [outcome for outcome in outcomes if isinstance(outcome, str)]
        assert len(made) == 1
        assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 19
        info = await info_of(home, "Box")
        assert info is not None
        assert info.mailbox_id == made[0]

    @pytest_twisted.ensureDeferred
    async def test_one_home(self, store: IStore) -> None:
        """Of many who open a new home, and deliver to it, all have the same one."""
        calls: list[Awaitable[Any]] = [store.open_home("alice") for _ in range(10)]
        calls += [store.deliver(new_message(mail(n)), [Target("alice")]) for n in range(10)]
        await all_of(calls)
        home = await store.open_home("alice")
        assert len(await uids_in(home)) == 10
        assert [info.name for info in await home.mailboxes()].count("INBOX") == 1

    @pytest_twisted.ensureDeferred
    async def test_one_conditional_store_wins(self, home: IHome, mailbox: IMailbox) -> None:
        """Of many who change a message unless it changed, one does (a semaphore, in effect)."""
        uids = await add(home)
        since = (await mailbox.state(False)).modseq
        answers: list[FlagsStored] = await all_of(
            mailbox.store_flags(ALL, FlagAction.REPLACE, [flag], since)
            for flag in ("\\Seen", "\\Draft", "\\Flagged", "\\Answered") * 3
        )
        assert sum(bool(answer.modseq) for answer in answers) == 1
        assert sum(answer.refused == NumSet.of(uids) for answer in answers) == 11

    @pytest_twisted.ensureDeferred
    async def test_one_move_wins(self, home: IHome, mailbox: IMailbox) -> None:
        """Messages that many would move end in exactly one place each."""
        names = [f"Box{n}" for n in range(5)]
        for name in names:
            await home.create(name, [])
        uids = await add(home, messages=12)
        subjects = await subjects_in(home, "INBOX")
        answers = await all_of(
            mailbox.move(NumSet.of(uids[n : n + 6]), names[n % 5]) for n in range(8)
        )
        moved = [uid for answer in answers for uid in answer.sources]
        assert sorted(moved) == list(uids)
        found = [subject for name in names for subject in await subjects_in(home, name)]
        assert sorted(found) == sorted(subjects)
        assert await uids_in(home) == []

    @pytest_twisted.ensureDeferred
    async def test_appends_while_renamed(self, home: IHome) -> None:
        """A message for a mailbox that is being renamed is in it, or is refused."""
        await home.create("a", [])
        calls: list[Awaitable[Any]] = []
        for n in range(40):
            calls.append(add(home, "a" if n % 2 else "b"))
            if n % 10 == 5:
                old, new = ("a", "b") if n % 20 == 5 else ("b", "a")
                calls.append(home.rename(old, new))
        outcomes = await outcomes_of(calls)
        stored = sum(isinstance(outcome, tuple) for outcome in outcomes)
        assert all(isinstance(outcome, tuple | NoSuchMailbox | None) for outcome in outcomes)
        there = [info.name for info in await home.mailboxes() if info.exists]
        (name,) = {"a", "b"}.intersection(there)
        assert len(await uids_in(home, name)) == stored
        assert (await home.usage()).messages == stored

    @pytest_twisted.ensureDeferred
    async def test_deleted_meanwhile(self, home: IHome) -> None:
        """What goes into a mailbox that is being deleted goes with it, or is refused."""
        await home.create("Box", [])
        mailbox = await home.open_mailbox("Box")
        calls: list[Awaitable[Any]] = [add(home, "Box") for _ in range(10)]
        calls.append(mailbox.store_flags(ALL, ADD, ["\\Seen"], None))
        calls.append(home.delete("Box"))
        calls += [add(home, "Box") for _ in range(5)]
        calls.append(mailbox.copy(ALL, "INBOX"))
        outcomes = await outcomes_of(calls)
        for outcome in outcomes:
            assert gone(outcome) or not isinstance(outcome, Exception), outcome
        mailbox.close()
        assert await info_of(home, "Box") is None
        assert (await home.usage()).messages == len(await uids_in(home))

    @pytest_twisted.ensureDeferred
    async def test_everything_at_once(self, home: IHome, mailbox: IMailbox) -> None:
        """Hundreds of different calls leave sums, sets and logs that agree."""
        dice = random.Random(11)
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        uids = await add(home, messages=40, size=600)
        views = [(box, await Seen.of(box)) for box in (mailbox, other)]
        calls: list[Awaitable[Any]] = []
        for _ in range(250):
            some = NumSet.of(dice.sample(uids, 5))
            match dice.randrange(6):
                case 0:
                    message = new_message(mail(dice.randrange(99), size=600))
                    calls.append(home.append(dice.choice(["INBOX", "Other"]), [message]))
                case 1:
                    calls.append(mailbox.store_flags(some, ADD, ["\\Seen", "$A"], None))
                case 2:
                    calls.append(mailbox.store_flags(some, FlagAction.REMOVE, ["\\Seen"], None))
                case 3:
                    calls.append(mailbox.copy(some, "Other"))
                case 4:
                    calls.append(mailbox.move(NumSet.of(some.ranges[0][:1]), "Other"))
                case 5:
                    calls.append(other.expunge(NumSet.of([dice.randint(1, 100)])))
        outcomes = await all_of(calls)
        modseqs = [outcome.modseq for outcome in outcomes if isinstance(outcome, Appended)]
        assert len(set(modseqs)) == len(modseqs)
        there = 0
        for box, seen in views:
            await seen.catch_up(box)
            assert seen.masks == (await Seen.of(box)).masks
            there += len(seen.masks)
            (status,) = (await home.status([box.name])).values()
            assert status.messages == len(seen.masks)
            assert status.unseen == sum(not mask & 1 for mask in seen.masks.values())
            assert status.size == 600 * len(seen.masks)
        assert await home.usage() == QuotaUsage(600 * there, there)
        other.close()
