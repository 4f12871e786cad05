"""The contract of stores that outlive their process: what was there is there again (rule 3)."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import Column, IHome, IStore, Target
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    FOLDERS,
    MakeStore,
    Seen,
    StoreFixtures,
    add,
    body_of,
    flags_in,
    info_of,
    uids_in,
)
from mailplat.testing.turns import all_of

__all__ = ["DurableStoreContract", "picture_of"]


async def picture_of(home: IHome) -> dict[str, Any]:
    """Read everything that a home says of itself, to compare it with another time."""
    infos = await home.mailboxes()
    picture: dict[str, Any] = {
        "mailboxes": list(infos),
        "usage": await home.usage(),
        "limit": await home.limit(),
    }
    for info in infos:
        if info.exists:
            mailbox = await home.open_mailbox(info.name)
            rows = await mailbox.rows(ALL, list(Column))
            state = await mailbox.state(False)
            picture[info.name] = {
                "status": await home.status([info.name]),
                "state": (list(state.uids), state.uid_next, state.modseq, state.recent_uid),
                "rows": {column: list(rows[column]) for column in Column},
                "flags": await flags_in(mailbox),
                "keywords": list(mailbox.keywords),
                "bodies": [await body_of(mailbox, uid) for uid in rows.uids],
                "mailbox_id": mailbox.mailbox_id,
                "uid_validity": mailbox.uid_validity,
            }
            mailbox.close()
    return picture


class DurableStoreContract(StoreFixtures):
    """What survives closing and opening again.

    ``make_store``, called a second time with the same settings, makes a store on the storage of
    the first.
    """

    async def _open(self, make_store: MakeStore, settings: StoreSettings) -> IStore:
        store = make_store(settings)
        await store.open()
        return store

    @pytest_twisted.ensureDeferred
    async def test_everything_is_there_again(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """Names, UIDs, flags, columns, bodies, counters, quota: all as they were."""
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        await home.create("ä/b", [])
        await home.subscribe("Gone")
        await home.set_limit(QuotaLimit(1 << 30, 1000))
        uids = await add(home, messages=5, size=3000, flags=["\\Seen", "$A"])
        mailbox = await home.open_mailbox("INBOX")
        await mailbox.state(True)
        await mailbox.store_flags(NumSet.of(uids[:2]), FlagAction.ADD, ["$B"], None)
        await mailbox.copy(NumSet.of(uids[1:4]), "ä/b")
        await mailbox.move(NumSet.of(uids[4:]), "ä/b")
        await mailbox.expunge(NumSet.of(uids[:1]))
        await add(home)
        await home.create("c", [])
        await home.rename("c", "d")
        mailbox.close()
        targets = [Target("bob"), Target("alice", "New")]
        await store.deliver(new_message(mail(1), ["\\Flagged"]), targets)
        before = {
            account: await picture_of(await store.open_home(account))
            for account in await store.accounts()
        }
        await store.close()
        for _ in range(2):
            store = await self._open(make_store, settings)
            after = {
                account: await picture_of(await store.open_home(account))
                for account in await store.accounts()
            }
            await store.close()
            assert after == before

    @pytest_twisted.ensureDeferred
    async def test_counters_do_not_fall_back(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """UIDs, MODSEQs and UIDVALIDITY of what is gone are not given again."""
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        await home.create("Box", [])
        uids = await add(home, messages=3)
        mailbox = await home.open_mailbox("INBOX")
        box = await home.open_mailbox("Box")
        await mailbox.expunge(ALL)
        modseq = (await mailbox.state(False)).modseq
        await home.delete("Box")
        for handle in (mailbox, box):
            handle.close()
        await store.close()
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        appended = await home.append("INBOX", [new_message(mail(1))])
        assert appended.uids[0] > uids[-1]
        assert appended.modseq > modseq
        made = await home.create("Box", [])
        again = await home.open_mailbox("Box")
        assert again.uid_validity > box.uid_validity
        assert made != box.mailbox_id
        again.close()
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_the_log_goes_on(self, make_store: MakeStore, settings: StoreSettings) -> None:
        """A MODSEQ from before is answered rightly afterwards (QRESYNC, RFC 7162 §3.2)."""
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        uids = await add(home, messages=6)
        mailbox = await home.open_mailbox("INBOX")
        seen = await Seen.of(mailbox)
        past = [seen.copy()]
        await mailbox.store_flags(NumSet.of(uids[:2]), FlagAction.ADD, ["\\Seen"], None)
        await seen.catch_up(mailbox)
        past.append(seen.copy())
        await mailbox.expunge(NumSet.of(uids[1:3]))
        await add(home)
        mailbox.close()
        await store.close()
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        await add(home)
        mailbox = await home.open_mailbox("INBOX")
        await mailbox.expunge(NumSet.of(uids[5:]))
        now = await Seen.of(mailbox)
        for old in past:
            await old.catch_up(mailbox)
            assert old.masks == now.masks
        mailbox.close()
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_bodies_shared_by_many(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """Bytes that several messages share outlive each of them but the last."""
        store = await self._open(make_store, settings)
        message = new_message(mail(1, size=50_000))
        await store.deliver(message, [Target("alice"), Target("bob"), Target("bob", "Box")])
        home = await store.open_home("bob")
        mailbox = await home.open_mailbox("INBOX")
        await mailbox.expunge(ALL)  # still shown when the store closes
        await store.delete_home("alice")
        mailbox.close()
        await store.close()
        store = await self._open(make_store, settings)
        home = await store.open_home("bob")
        assert await uids_in(home) == []
        box = await home.open_mailbox("Box")
        (uid,) = await uids_in(home, "Box")
        assert await body_of(box, uid) == mail(1, size=50_000)
        box.close()
        assert list(await store.accounts()) == ["bob"]
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_close_finishes_what_is_under_way(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """Whatever was acknowledged before the end of close is there."""
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        await all_of(add(home) for _ in range(30))
        await store.close()
        store = await self._open(make_store, settings)
        assert len(await uids_in(await store.open_home("alice"))) == 30
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_a_lease_does_not_outlive_its_process(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """After a restart every maildrop can be leased."""
        store = await self._open(make_store, settings)
        await (await store.open_home("alice")).lease_maildrop()
        await store.close()
        store = await self._open(make_store, settings)
        lease = await (await store.open_home("alice")).lease_maildrop()
        lease.release()
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_folders_are_made_once(
        self, make_store: MakeStore, settings: StoreSettings
    ) -> None:
        """A folder that its owner deleted does not come back when the home is opened again."""
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        await home.delete(FOLDERS[0].name)
        await home.unsubscribe(FOLDERS[0].name)
        await store.close()
        store = await self._open(make_store, settings)
        home = await store.open_home("alice")
        assert await info_of(home, FOLDERS[0].name) is None
        await store.close()
