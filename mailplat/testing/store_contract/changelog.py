"""The contract of the change log: `IMailbox.changes_since` and MODSEQs (rule 2; RFC 7162)."""

from __future__ import annotations

import random

import pytest_twisted

from mailplat.interfaces.store import Column, IHome, IMailbox
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.testing.store_contract.fixtures import (
    ALL,
    Seen,
    StoreFixtures,
    add,
    ascending,
    status_of,
)
from mailplat.testing.turns import all_of

__all__ = ["ChangeLogs"]

ADD = FlagAction.ADD


class ChangeLogs(StoreFixtures):
    """One log for all who ask what changed."""

    @pytest_twisted.ensureDeferred
    async def test_nothing_changed(self, home: IHome, mailbox: IMailbox) -> None:
        """From the newest MODSEQ on there is nothing."""
        await add(home, messages=2)
        await mailbox.expunge(NumSet.span(1, 1))
        for modseq in ((await mailbox.state(False)).modseq, (await status_of(home)).highest_modseq):
            changes = await mailbox.changes_since(modseq)
            assert not changes
            assert changes.modseq >= modseq

    @pytest_twisted.ensureDeferred
    async def test_added(self, home: IHome, mailbox: IMailbox) -> None:
        """New messages are added, also when their flags changed since; they did not change."""
        await add(home)
        modseq = (await mailbox.state(False)).modseq
        uids = await add(home, messages=3)
        await mailbox.store_flags(NumSet.of(uids[1:2]), ADD, ["\\Seen"], None)
        changes = await mailbox.changes_since(modseq)
        assert list(changes.added) == list(uids)
        assert list(changes.changed) == []
        assert changes.modseq == (await mailbox.state(False)).modseq

    @pytest_twisted.ensureDeferred
    async def test_changed(self, home: IHome, mailbox: IMailbox) -> None:
        """Messages that were there are told with their flags and MODSEQs now, each once."""
        uids = await add(home, messages=4)
        modseq = (await mailbox.state(False)).modseq
        await mailbox.store_flags(NumSet.of(uids[1:3]), ADD, ["\\Seen"], None)
        await mailbox.store_flags(NumSet.of(uids[2:3]), ADD, ["\\Draft"], None)
        changes = await mailbox.changes_since(modseq)
        assert (list(changes.added), list(changes.changed)) == ([], list(uids[1:3]))
        assert list(changes.masks) == [1, 17]
        rows = await mailbox.rows(uids[1:3], [Column.MODSEQ])
        assert list(changes.modseqs) == list(rows[Column.MODSEQ])
        middle = rows[Column.MODSEQ][0]
        assert list((await mailbox.changes_since(middle)).changed) == [uids[2]]

    @pytest_twisted.ensureDeferred
    async def test_vanished(self, home: IHome, mailbox: IMailbox) -> None:
        """Expunged messages vanish, and no message that is there does."""
        uids = await add(home, messages=5)
        modseq = (await mailbox.state(False)).modseq
        await mailbox.store_flags(NumSet.of(uids[:2]), ADD, ["\\Deleted"], None)
        await mailbox.expunge(NumSet.of([uids[0], uids[3]]))
        changes = await mailbox.changes_since(modseq)
        assert [uid for uid in uids if uid in changes.vanished] == [uids[0], uids[3]]
        assert list(changes.changed) == [uids[1]]

    @pytest_twisted.ensureDeferred
    async def test_came_and_went(self, home: IHome, mailbox: IMailbox) -> None:
        """Who came and went since is in ``vanished`` alone."""
        await add(home)
        modseq = (await mailbox.state(False)).modseq
        uids = await add(home, messages=2)
        await mailbox.store_flags(NumSet.of(uids), ADD, ["\\Seen"], None)
        await mailbox.expunge(NumSet.of(uids[:1]))
        changes = await mailbox.changes_since(modseq)
        assert list(changes.added) == [uids[1]]
        assert list(changes.changed) == []
        assert uids[0] in changes.vanished
        assert uids[1] not in changes.vanished

    @pytest_twisted.ensureDeferred
    async def test_modseqs_rise_through_the_home(self, home: IHome, mailbox: IMailbox) -> None:
        """Every change to any mailbox takes a MODSEQ higher than all before in the home."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        await other.state(False)
        modseqs = [max(s.modseq for s in (await mailbox.state(False), await other.state(False)))]

        async def changed(box: IMailbox) -> None:
            modseqs.append((await box.state(False)).modseq)

        uids = await add(home, messages=4)
        await changed(mailbox)
        await add(home, "Other")
        await changed(other)
        stored = await mailbox.store_flags(NumSet.of(uids), ADD, ["\\Seen"], None)
        assert stored.modseq > modseqs[-1]
        await changed(mailbox)
        copied = await mailbox.copy(NumSet.of(uids[:1]), "Other")
        assert copied.modseq > modseqs[-1]
        await changed(other)
        moved = await mailbox.move(NumSet.of(uids[1:2]), "Other")
        assert moved.modseq > modseqs[-1]
        await changed(other)
        assert (await mailbox.state(False)).modseq > modseqs[-2]
        await other.expunge(ALL)
        await changed(other)
        await mailbox.expunge(NumSet.of(uids[2:3]))
        await changed(mailbox)
        assert ascending(modseqs)
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_a_change_elsewhere_is_none_here(self, home: IHome, mailbox: IMailbox) -> None:
        """Another mailbox's messages are in nobody else's changes."""
        await add(home, messages=2)
        await home.create("Other", [])
        modseq = (await mailbox.state(False)).modseq
        await add(home, "Other", messages=3)
        assert not await mailbox.changes_since(modseq)

    @pytest_twisted.ensureDeferred
    async def test_from_every_old_modseq(self, home: IHome, mailbox: IMailbox) -> None:
        """Whatever a session knew last, the changes since make it see what is there now."""
        dice = random.Random(7)
        seen = await Seen.of(mailbox)
        past = [seen.copy()]
        for _ in range(40):
            uids = [uid for uid in seen.masks if dice.random() < 0.3]
            match dice.randrange(4):
                case 0:
                    await add(home, messages=dice.randint(1, 3))
                case 1:
                    await mailbox.expunge(NumSet.of(uids[:3]))
                case _:
                    flags = dice.sample(["\\Seen", "\\Draft", "$A"], 2)
                    action = dice.choice(list(FlagAction))
                    await mailbox.store_flags(NumSet.of(uids), action, flags, None)
            await seen.catch_up(mailbox)
            assert seen.masks == (await Seen.of(mailbox)).masks
            past.append(seen.copy())
        for old in past:
            await old.catch_up(mailbox)
            assert old.masks == seen.masks

    @pytest_twisted.ensureDeferred
    async def test_long_history(self, home: IHome, mailbox: IMailbox) -> None:
        """After hundreds of changes an old MODSEQ still gives no wrong answer."""
        uids = await add(home, messages=200)
        old = await Seen.of(mailbox)
        await all_of(mailbox.expunge(NumSet.of([uid])) for uid in uids[::2])
        middle = await Seen.of(mailbox)
        await all_of(
            mailbox.store_flags(NumSet.of([uid]), ADD, ["\\Seen"], None) for uid in uids[1::2]
        )
        await all_of(mailbox.expunge(NumSet.of([uid])) for uid in uids[1:100:2])
        now = await Seen.of(mailbox)
        for seen in (old, middle):
            await seen.catch_up(mailbox)
            assert seen.masks == now.masks
