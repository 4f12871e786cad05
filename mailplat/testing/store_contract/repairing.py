"""The contract of stores that can be looked after (`IRepairable`).

A backend's tests add the fixture ``damages``: what spoils its storage while no store has it open,
by the kind of fault that comes of it.  Each spoils something of the account ``alice`` that has
messages in INBOX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IHome, IStore, Target
from mailplat.interfaces.upkeep import Fault, FaultKind, IRepairable
from mailplat.message.scan import ScanLimits
from mailplat.model.errors import Corrupt
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import QuotaUsage
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.durable import picture_of
from mailplat.testing.store_contract.fixtures import (
    ALL,
    MakeStore,
    StoreFixtures,
    add,
    body_of,
    uids_in,
)
from mailplat.testing.turns import all_of

__all__ = ["Damages", "RepairContract"]

Damages = Mapping[FaultKind, Callable[[StoreSettings], None]]
"""What spoils a store's storage, by the kind of fault."""

_MESSAGES = 6


async def _fill(store: IStore) -> IHome:
    home = await store.open_home("alice")
    uids = await add(home, messages=_MESSAGES, size=2000, flags=["$A"])
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.store_flags(NumSet.of(uids[:2]), FlagAction.ADD, ["\\Seen", "\\Deleted"], None)
    await mailbox.copy(NumSet.of(uids[:1]), "Drafts")
    mailbox.close()
    await store.deliver(new_message(mail(1)), [Target("bob"), Target("alice", "New")])
    return home


async def _faults(store: IStore) -> list[Fault]:
    able = IRepairable(store)
    found = list(await able.store_faults())
    for account in await store.accounts():
        found += await able.faults(account)
    return found


class RepairContract(StoreFixtures):
    """Looking finds what is wrong and nothing else, and changes nothing; mending mends."""

    @pytest_twisted.ensureDeferred
    async def test_nothing_is_wrong(self, store: IStore) -> None:
        """After ordinary work there are no faults, and mending changes nothing."""
        home = await _fill(store)
        mailbox = await home.open_mailbox("INBOX")
        uids = await uids_in(home)
        await mailbox.move(NumSet.of(uids[1:2]), "Drafts")
        await mailbox.expunge(NumSet.of(uids[2:3]))
        mailbox.close()
        before = await picture_of(home)
        able = IRepairable(store)
        assert await _faults(store) == []
        await able.recount("alice")
        await able.sweep()
        left = NumSet.of(await uids_in(home))
        assert await able.summarize("alice", "INBOX", left, ScanLimits()) == left
        assert await picture_of(home) == before
        assert await _faults(store) == []

    @pytest_twisted.ensureDeferred
    async def test_counters_never_drift(self, store: IStore) -> None:
        """Whatever runs at once: the quota counts what is there, message by message."""
        home = await _fill(store)
        first, second = await home.open_mailbox("INBOX"), await home.open_mailbox("INBOX")
        calls = []
        for number in range(24):
            one = NumSet.span(1 + number // 2, 2 + number // 2)
            calls += [
                store.deliver(new_message(mail(number, 100 * number)), [Target("alice")] * 2),
                first.move(one, "Drafts"),
                second.copy(one, "Drafts"),
                first.store_flags(one, FlagAction.ADD, ["\\Deleted"], None),
                second.expunge(NumSet.of([number])),
                home.append("New", [new_message(mail(number))] * 3),
            ]
        await all_of(calls)
        await home.delete("New")
        first.close()
        second.close()
        sizes = []
        for info in await home.mailboxes():
            if info.exists:
                mailbox = await home.open_mailbox(info.name)
                sizes += [
                    len(await body_of(mailbox, u) or b"") for u in await uids_in(home, info.name)
                ]
                mailbox.close()
        assert await home.usage() == QuotaUsage(sum(sizes), len(sizes))
        assert await _faults(store) == []

    @pytest.mark.parametrize(
        "kind",
        [FaultKind.COUNT, FaultKind.SUMMARY, FaultKind.LEFTOVER],
        ids=lambda kind: kind.value,
    )
    @pytest_twisted.ensureDeferred
    async def test_what_can_be_mended(
        self, make_store: MakeStore, settings: StoreSettings, damages: Damages, kind: FaultKind
    ) -> None:
        """It is found, by account; the mail is served meanwhile; afterwards all is as before."""
        store = make_store(settings)
        await store.open()
        before = await picture_of(await _fill(store))
        await store.close()
        damages[kind](settings)
        store = make_store(settings)
        await store.open()
        able = IRepairable(store)
        found = await _faults(store)
        assert found
        assert {fault.kind for fault in found} == {kind}
        assert {fault.account for fault in found} == {"" if kind is FaultKind.LEFTOVER else "alice"}
        assert all(str(fault) for fault in found)
        home = await store.open_home("alice")
        mailbox = await home.open_mailbox("INBOX")
        bodies = [await body_of(mailbox, uid) for uid in await uids_in(home)]
        mailbox.close()
        assert bodies == before["INBOX"]["bodies"]
        match kind:
            case FaultKind.COUNT:
                await able.recount("alice")
            case FaultKind.SUMMARY:
                for name in {fault.mailbox for fault in found}:
                    uids = NumSet.of(fault.uid for fault in found if fault.mailbox == name)
                    assert await able.summarize("alice", name, uids, ScanLimits()) == uids
            case _:
                assert await able.sweep()
        assert await _faults(store) == []
        await store.close()
        store = make_store(settings)
        await store.open()
        assert await picture_of(await store.open_home("alice")) == before
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_bytes_that_are_lost(
        self, make_store: MakeStore, settings: StoreSettings, damages: Damages
    ) -> None:
        """The error names account, mailbox and UID; all others are served; it can be removed."""
        store = make_store(settings)
        await store.open()
        home = await _fill(store)
        before = await uids_in(home)
        await store.close()
        damages[FaultKind.BODY](settings)
        store = make_store(settings)
        await store.open()
        home = await store.open_home("alice")
        mailbox = await home.open_mailbox("INBOX")
        lost: dict[int, str] = {}
        for uid in before:
            try:
                body = await body_of(mailbox, uid)
            except Corrupt as error:
                lost[uid] = error.reason
            else:
                assert body
                assert body.startswith(b"From: ")
        ((uid, reason),) = lost.items()
        assert "alice/INBOX" in reason
        assert f"UID {uid}" in reason
        assert await IRepairable(store).summarize("alice", "INBOX", ALL, ScanLimits()) == NumSet.of(
            set(before) - {uid}
        )
        assert (await store.deliver(new_message(mail(2)), [Target("alice")]))[0].uids
        assert await mailbox.expunge(NumSet.of([uid])) == NumSet.of([uid])
        mailbox.close()
        assert await _faults(store) == []
        await store.close()
