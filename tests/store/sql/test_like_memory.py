"""The SQL store answers what the store in memory answers, whatever is done to both."""

from __future__ import annotations

import random
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import (
    BodyRange,
    Column,
    IHome,
    IMailbox,
    IStore,
    NewMessage,
    Target,
)
from mailplat.model.errors import MailError
from mailplat.model.flags import FlagAction, flag_names
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.store.index.store import IndexedStore
from mailplat.store.memory.store import MemoryStore

NAMES = ["INBOX", "Sent", "a", "a/b", "c"]
FLAGS = ["\\Seen", "\\Deleted", "\\Flagged", "$Junk", "blue", "Green"]


class Twins:
    """Does the same to two stores and compares what they answer."""

    def __init__(self, stores: list[IStore], random_: random.Random) -> None:
        self.stores = stores
        self.random = random_
        self.homes: list[IHome] = []
        self.open: list[tuple[list[IMailbox], list[int]]] = []

    async def start(self) -> None:
        """Open the home."""
        self.homes = [await store.open_home("alice") for store in self.stores]

    async def both(self, call: Callable[[int], Awaitable[Any]]) -> tuple[Any, Any] | None:
        """Call both; both succeed, or both raise the same."""
        answers: list[Any] = []
        for which in (0, 1):
            try:
                answers.append(await call(which))
            except MailError as error:
                answers.append(type(error))
        if isinstance(answers[0], type) or isinstance(answers[1], type):
            assert answers[0] == answers[1]
            return None
        return answers[0], answers[1]

    def uids(self) -> NumSet:
        """Pick UIDs, few or many."""
        pick = self.random.random()
        if pick < 0.3:
            return NumSet.span(1, 1 << 31)
        return NumSet.of(self.random.sample(range(1, 40), self.random.randint(1, 12)))

    async def step(self, make: Callable[..., NewMessage]) -> None:
        """Do one thing at random."""
        rnd = self.random
        name, other = rnd.choice(NAMES), rnd.choice(NAMES)
        flags = rnd.sample(FLAGS, rnd.randint(0, 3))
        homes = self.homes
        match rnd.randint(0, 13):
            case 0 | 1:
                some = [make(bytes(rnd.randint(20, 90)), *flags) for _ in range(rnd.randint(1, 4))]
                found = await self.both(lambda i: homes[i].append(name, some))
                assert found is None or found[0].uids == found[1].uids
            case 2:
                mail = make(bytes(rnd.randint(20, 90)), *flags)
                targets = [Target("alice", name), Target("bob"), Target("alice", other)]
                found = await self.both(lambda i: self.stores[i].deliver(mail, targets))
                if found is not None:
                    assert [a.uids for a in found[0]] == [a.uids for a in found[1]]
            case 3 | 4:
                opened = await self.both(lambda i: homes[i].open_mailbox(name))
                if opened is not None:
                    marks = [(await box.state(False)).modseq for box in opened]
                    self.open.append((list(opened), marks))
            case 5:
                await self.both(lambda i: homes[i].create(name, ()))
            case 6 if rnd.random() < 0.3:
                await self.both(lambda i: homes[i].delete(name))
            case 7 if rnd.random() < 0.5:
                await self.both(lambda i: homes[i].rename(name, other))
            case 8:
                limit = QuotaLimit(rnd.choice([None, 3000]), None)
                await self.both(lambda i: homes[i].set_limit(limit))
            case _ if self.open:
                await self.on_mailbox(*rnd.choice(self.open), other, flags)

    async def on_mailbox(
        self, boxes: list[IMailbox], marks: list[int], other: str, flags: list[str]
    ) -> None:
        """Do one thing to an open mailbox."""
        rnd, uids = self.random, self.uids()
        match rnd.randint(0, 6):
            case 0 | 1:
                action = rnd.choice(list(FlagAction))
                found = await self.both(lambda i: boxes[i].store_flags(uids, action, flags, None))
                if found is not None:
                    assert list(found[0].uids) == list(found[1].uids)
                    assert bool(found[0].modseq) == bool(found[1].modseq)
            case 2:
                found = await self.both(lambda i: boxes[i].expunge(uids))
                assert found is None or found[0] == found[1]
            case 3:
                found = await self.both(lambda i: boxes[i].copy(uids, other))
                if found is not None:
                    assert found[0].sources == found[1].sources
                    assert found[0].targets == found[1].targets
            case 4:
                found = await self.both(lambda i: boxes[i].move(uids, other))
                if found is not None:
                    assert found[0].sources == found[1].sources
                    assert found[0].targets == found[1].targets
            case 5:
                await self.both(lambda i: boxes[i].state(True))
            case 6:
                found = await self.both(lambda i: boxes[i].changes_since(marks[i]))
                if found is None:
                    return
                one, two = found
                assert list(one.added) == list(two.added)
                assert list(one.changed) == list(two.changed)
                assert one.vanished == two.vanished
                spelled = [
                    [set(flag_names(mask, box.keywords)) for mask in changes.masks]
                    for box, changes in zip(boxes, found, strict=True)
                ]
                assert spelled[0] == spelled[1]
                for which in (0, 1):
                    marks[which] = found[which].modseq
                    if rnd.random() < 0.5:
                        boxes[which].acknowledge(marks[which])

    async def compare(self) -> None:
        """Look at everything."""
        listed = [
            [(m.name, m.exists, m.subscribed, m.special_use) for m in await home.mailboxes()]
            for home in self.homes
        ]
        assert listed[0] == listed[1]
        assert await self.homes[0].usage() == await self.homes[1].usage()
        names = [name for name, exists, *_ in listed[0] if exists]
        counts = []
        for home in self.homes:
            counts.append(
                [
                    (name, s.messages, s.unseen, s.deleted, s.recent, s.uid_next, s.size)
                    for name, s in (await home.status(names)).items()
                ]
            )
        assert counts[0] == counts[1]
        for name in names:
            shown = []
            for home in self.homes:
                box = await home.open_mailbox(name)
                state = await box.state(False)
                columns = [Column.FLAGS, Column.SIZE, Column.ENVELOPE, Column.HEADER]
                rows = await box.rows(state.uids, columns)
                assert isinstance(state.uids, array)
                assert rows.uids == state.uids
                bodies = await box.bodies([BodyRange(uid, 3, 30) for uid in state.uids])
                shown.append(
                    (
                        list(state.uids),
                        [set(flag_names(mask, box.keywords)) for mask in rows[Column.FLAGS]],
                        *(list(rows[column]) for column in columns[1:]),
                        list(bodies),
                    )
                )
                box.close()
            assert shown[0] == shown[1]


@pytest.mark.parametrize("seed", range(12))
@pytest_twisted.ensureDeferred
async def test_same_answers(
    seed: int,
    open_store: Callable[..., Awaitable[IndexedStore]],
    settings: StoreSettings,
    message: Callable[..., NewMessage],
    tmp_path: Path,
    recount: Callable[[Path], None],
) -> None:
    """A hundred random steps leave both stores alike, also after the file is opened again."""
    path = tmp_path / "mail.db"
    twins = Twins([MemoryStore(settings), await open_store(path)], random.Random(seed))
    await twins.start()
    for number in range(120):
        await twins.step(message)
        if number % 20 == 0:
            await twins.compare()
    await twins.compare()
    for boxes, _ in twins.open:
        boxes[1].close()
    await twins.stores[1].close()
    recount(path)
    twins.stores[1] = await open_store(path)
    twins.homes[1] = await twins.stores[1].open_home("alice")
    await twins.compare()
