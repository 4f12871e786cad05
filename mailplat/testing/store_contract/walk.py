"""A random walk through a home, compared with the reference at every step.

The same seed takes the same steps, so that a failure can be walked again: the assertion tells the
seed and the steps taken.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.store import Column, IHome, IMailbox, IStore, NewMessage, Target
from mailplat.model.errors import (
    AlreadyExists,
    Cannot,
    MailError,
    NoSuchMailbox,
    OverQuota,
)
from mailplat.model.flags import SEEN, FlagAction, flag_names
from mailplat.model.mailbox import INBOX, QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.testing.mails import NOON, mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    Seen,
    StoreFixtures,
    body_of,
    uids_in,
)
from mailplat.testing.store_contract.model import ModelHome, ModelMessage

__all__ = ["Walks", "run_model_test"]

NAMES = ["INBOX", "inbox", "a", "a/b", "a/b/c", "b", "A", "INBOX/x", "ü"]
BAD_NAME = "a/b/../x"
FLAGS = ["\\Seen", "\\Flagged", "\\Deleted", "$One", "$Two", "$ONE", "three", "four"]
SPELLED = {flag.lower(): flag for flag in FLAGS if flag.startswith("\\")}


class _Walk:
    """One home beside its reference."""

    def __init__(self, store: IStore, home: IHome, model: ModelHome, seed: int) -> None:
        self.store = store
        self.home = home
        self.model = model
        self.dice = random.Random(seed)
        self.steps: list[str] = []
        self._views: dict[str, tuple[IMailbox, Seen]] = {}
        self._modseq = 0

    async def _outcome(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except MailError as error:
            return error

    def _same_failure(self, outcome: Any, expected: MailError | None) -> bool:
        """Hold the store to the model's refusal; tell whether there was one.

        Where a call is wrong in two ways the store may name either.
        """
        if expected is None:
            assert not isinstance(outcome, MailError), repr(outcome)
            return False
        assert isinstance(outcome, NoSuchMailbox | AlreadyExists | Cannot | OverQuota), outcome
        return True

    def _messages(self) -> list[ModelMessage]:
        dice = self.dice
        return [
            ModelMessage(
                mail(dice.randrange(50), size=dice.choice([0, 400, 2000])),
                frozenset(flag.lower() for flag in dice.sample(FLAGS, dice.choice([0, 1, 2]))),
                NOON + dice.randrange(1000),
            )
            for _ in range(dice.choice([1, 1, 1, 2, 5]))
        ]

    def _new(self, message: ModelMessage) -> NewMessage:
        flags = [SPELLED.get(flag, flag) for flag in message.flags]
        return new_message(message.data, flags, message.date)

    def _name(self, *, bad: bool = False) -> str:
        return self.dice.choice([*NAMES, *self.model.mailboxes, *([BAD_NAME] if bad else [])])

    def _some(self, name: str) -> NumSet:
        """Choose UIDs: some that are there, and some that are not."""
        try:
            uids = list(self.model.get(name).messages)
        except MailError:
            uids = []
        chosen = [uid for uid in uids if self.dice.random() < 0.4]
        if self.dice.random() < 0.1:
            return ALL
        return NumSet.of([*chosen, self.dice.randint(1, 40)])

    # Steps: each calls the store, then the model, and compares.

    async def append(self) -> None:
        name, messages = self._name(), self._messages()
        expected = self.model.check_append(name, messages)
        outcome = await self._outcome(self.home.append(name, [self._new(m) for m in messages]))
        if not self._same_failure(outcome, expected):
            self.model.append(name, messages, outcome.uids)
            self._took(outcome.modseq)

    async def deliver(self) -> None:
        name, message = self._name(), self._messages()[0]
        known = self.model.listed()
        target = Target(self.home.account, name)
        outcome = await self._outcome(self.store.deliver(self._new(message), [target]))
        made = normal(name) not in self.model.mailboxes
        if made:
            self.model.create(name)
        expected = self.model.check_append(name, [message])
        if self._same_failure(outcome, expected):
            if made:
                self.model.delete(name)
            assert self.model.listed() == known
            return
        if made:
            self.model.subscribed.add(normal(name))
        self.model.append(name, [message], outcome[0].uids)
        self._took(outcome[0].modseq)

    async def store_flags(self) -> None:
        name = self._name()
        mailbox = await self._outcome(self.home.open_mailbox(name))
        if isinstance(mailbox, MailError):
            assert name not in self.model.mailboxes
            return
        uids, action = self._some(name), self.dice.choice(list(FlagAction))
        flags = self.dice.sample(FLAGS, self.dice.randrange(3))
        since = None
        refused: set[int] = set()
        if self.dice.random() < 0.3:
            rows = await mailbox.rows(uids, [Column.MODSEQ])
            since = self.dice.choice([0, *rows[Column.MODSEQ]])
            refused = {
                uid
                for uid, modseq in zip(rows.uids, rows[Column.MODSEQ], strict=True)
                if modseq > since
            }
        outcome = await self._outcome(mailbox.store_flags(uids, action, flags, since))
        allowed = [uid for uid in self.model.get(name).messages if uid in uids - NumSet.of(refused)]
        try:
            changed = self.model.store_flags(name, allowed, action, flags)
        except MailError as error:
            self._same_failure(outcome, error)
        else:
            self._same_failure(outcome, None)
            assert list(outcome.uids) == sorted(allowed)
            assert outcome.refused == NumSet.of(refused)
            assert bool(outcome.modseq) == bool(changed)
            new = {
                u for u, m in zip(outcome.uids, outcome.modseqs, strict=True) if m > self._modseq
            }
            assert new == changed
            self._took(outcome.modseq)
        mailbox.close()

    async def expunge(self) -> None:
        name = self._name()
        mailbox = await self._outcome(self.home.open_mailbox(name))
        if isinstance(mailbox, MailError):
            return
        uids = self._some(name)
        gone = await mailbox.expunge(uids)
        there = [uid for uid in self.model.get(name).messages if uid in uids]
        assert gone == NumSet.of(self.model.expunge(name, there))
        mailbox.close()

    async def transfer(self) -> None:
        source, target = self._name(), self._name()
        mailbox = await self._outcome(self.home.open_mailbox(source))
        if isinstance(mailbox, MailError):
            return
        move, uids = self.dice.random() < 0.5, self._some(source)
        there = [uid for uid in self.model.get(source).messages if uid in uids]
        expected = self.model.check_transfer(source, there, target, move)
        call = mailbox.move if move else mailbox.copy
        outcome = await self._outcome(call(uids, target))
        if not self._same_failure(outcome, expected):
            self.model.transfer(source, there, target, move, outcome.sources, outcome.targets)
        mailbox.close()

    async def make(self) -> None:
        name = self._name(bad=True)
        await self._name_call(self.home.create(name, []), lambda: self.model.create(name))

    async def delete(self) -> None:
        name = self._name()
        await self._name_call(self.home.delete(name), lambda: self.model.delete(name))

    async def rename(self) -> None:
        old, new = self._name(), self._name(bad=True)
        if old.upper() == INBOX and new.upper().startswith(INBOX):
            return
        inbox = self.model.get(INBOX)
        moving = old.upper() == INBOX
        messages = [inbox.messages[uid] for uid in sorted(inbox.messages)] if moving else []
        done = await self._name_call(
            self.home.rename(old, new), lambda: self.model.rename(old, new)
        )
        if done and moving:
            self.model.append(new, messages, await uids_in(self.home, new))
            inbox.messages.clear()
            inbox.recent.clear()

    async def _name_call(self, call: Awaitable[Any], model_call: Any) -> bool:
        outcome = await self._outcome(call)
        try:
            model_call()
        except MailError as error:
            self._same_failure(outcome, error)
            return False
        self._same_failure(outcome, None)
        return True

    async def subscribe(self) -> None:
        name = self._name()
        if self.dice.random() < 0.5:
            await self.home.subscribe(name)
            self.model.subscribed.add(normal(name))
        else:
            await self.home.unsubscribe(name)
            self.model.subscribed.discard(normal(name))

    async def set_limit(self) -> None:
        usage = self.model.usage
        limit = self.dice.choice(
            [
                QuotaLimit(),
                QuotaLimit(),
                QuotaLimit(usage.storage + self.dice.choice([0, 500, 3000])),
                QuotaLimit(None, usage.messages + self.dice.choice([-1, 0, 2])),
            ]
        )
        if limit.messages is not None and limit.messages < 0:
            limit = QuotaLimit()
        await self.home.set_limit(limit)
        self.model.limit = limit

    async def claim(self) -> None:
        name = self._name()
        mailbox = await self._outcome(self.home.open_mailbox(name))
        if isinstance(mailbox, MailError):
            return
        state = await mailbox.state(True)
        box = self.model.get(name)
        assert {uid for uid in state.uids if uid >= state.recent_uid} == box.recent
        box.recent.clear()
        mailbox.close()

    def _took(self, modseq: int) -> None:
        """A change was answered with this MODSEQ: higher than all before it in the home."""
        if modseq:
            assert modseq > self._modseq, "a MODSEQ does not rise"
            self._modseq = modseq

    # Comparing.

    async def compare(self) -> None:
        """Hold everything the home says to what the model says."""
        assert await self.home.usage() == self.model.usage
        assert await self.home.limit() == self.model.limit
        infos = await self.home.mailboxes()
        assert {i.name: (i.exists, i.subscribed) for i in infos} == self.model.listed()
        for name, box in self.model.mailboxes.items():
            mailbox = await self.home.open_mailbox(name)
            rows = await mailbox.rows(ALL, [Column.FLAGS, Column.DATE, Column.SIZE])
            assert list(rows.uids) == sorted(box.messages), name
            keywords = mailbox.keywords
            for uid, mask, date, size in zip(
                rows.uids, rows[Column.FLAGS], rows[Column.DATE], rows[Column.SIZE], strict=True
            ):
                message = box.messages[uid]
                flags = frozenset(flag.lower() for flag in flag_names(mask, keywords))
                assert (flags, date, size) == (message.flags, message.date, len(message.data))
            (status,) = (await self.home.status([name])).values()
            assert status.messages == len(box.messages), name
            assert status.recent == len(box.recent), name
            assert status.unseen == sum(not mask & SEEN for mask in rows[Column.FLAGS]), name
            assert status.size == sum(rows[Column.SIZE]), name
            assert status.uid_next > box.highest, name
            self._modseq = max(self._modseq, status.highest_modseq)
            if rows.uids:
                uid = self.dice.choice(list(rows.uids))
                assert await body_of(mailbox, uid) == box.messages[uid].data
            await self._follow(name, mailbox)
            mailbox.close()

    async def _follow(self, name: str, mailbox: IMailbox) -> None:
        """Keep a view of each mailbox by its changes alone."""
        held = self._views.get(mailbox.mailbox_id)
        if held is None:
            handle = await self.home.open_mailbox(name)
            self._views[mailbox.mailbox_id] = handle, await Seen.of(handle)
            return
        handle, seen = held
        assert handle.uid_validity == mailbox.uid_validity
        await seen.catch_up(handle)
        assert seen.masks == (await Seen.of(mailbox)).masks, name
        handle.acknowledge(seen.modseq)

    def close(self) -> None:
        """Let go of all mailboxes."""
        for handle, _ in self._views.values():
            handle.close()


def normal(name: str) -> str:
    """INBOX has one spelling in these walks."""
    return INBOX + name[5:] if name[:5].upper() == INBOX and name[5:6] in ("", "/") else name


_STEPS = {
    "append": 6,
    "deliver": 4,
    "store_flags": 8,
    "expunge": 4,
    "transfer": 6,
    "make": 3,
    "delete": 1,
    "rename": 2,
    "subscribe": 1,
    "set_limit": 2,
    "claim": 1,
}


async def run_model_test(store: IStore, seed: int, steps: int, *, account: str = "walker") -> None:
    """Take random steps in a new home of a store, comparing it with the reference after each.

    Args:
        store: Open.
        seed: Chooses the steps.
        steps: How many.
        account: Whose home; it has none yet.

    Raises:
        AssertionError: The store and the reference disagree; it says after which steps.
    """
    home = await store.open_home(account)
    infos = await home.mailboxes()
    model = ModelHome([info.name for info in infos if info.exists])
    model.subscribed = {info.name for info in infos if info.subscribed}
    walk = _Walk(store, home, model, seed)
    names = walk.dice.choices(list(_STEPS), weights=list(_STEPS.values()), k=steps)
    try:
        await walk.compare()
        for name in names:
            walk.steps.append(name)
            await getattr(walk, name)()
            await walk.compare()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, steps {walk.steps}: {error}") from error
    finally:
        walk.close()


class Walks(StoreFixtures):
    """Random walks; see `run_model_test`."""

    @pytest.mark.parametrize("seed", range(6))
    @pytest_twisted.ensureDeferred
    async def test_walk(self, store: IStore, seed: int) -> None:
        """A hundred random calls do what the reference does."""
        await run_model_test(store, seed, 60)
