"""The store contract bites: a home or a store that breaks a rule does not pass.

Each of `BROKEN` is the store in memory with one method replaced, and the test that must fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.store import NewMessage, Target
from mailplat.model.errors import NoSuchMailbox
from mailplat.model.mailbox import Appended, QuotaLimit
from mailplat.model.numset import NumSet
from mailplat.store.memory.home import MemoryHome
from mailplat.store.memory.log import ChangeLog
from mailplat.store.memory.mailbox import Mailbox
from mailplat.store.memory.store import MemoryStore
from mailplat.testing import stores
from mailplat.testing.store_contract.trial import Broken, passes, run_one
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import turn

__all__: list[str] = []


def _forgets_to_count(right: Any) -> Any:
    def _remove(self: MemoryHome, mailbox: Mailbox, slices: Any, modseq: int) -> NumSet:
        return mailbox.remove(slices, modseq)

    return _remove


def _does_nothing(right: Any) -> Any:
    return lambda self, *args: None


def _same_uid_validity(right: Any) -> Any:
    return lambda self: 7


def _exact_names(right: Any) -> Any:
    def _lookup(self: MemoryHome, name: str) -> Mailbox | None:
        return self._mailboxes.get(name)

    return _lookup


def _any_name(right: Any) -> Any:
    async def create(self: MemoryHome, name: str, special_use: Any) -> str:
        return self.make(name, special_use).mailbox_id

    return create


def _alone(right: Any) -> Any:
    async def rename(self: MemoryHome, old: str, new: str) -> None:
        mailbox = self._mailboxes.pop(old, None)
        if mailbox is None:
            raise NoSuchMailbox
        mailbox.name = new
        self._mailboxes[new] = mailbox

    return rename


def _by_prefix(right: Any) -> Any:
    async def rename(self: MemoryHome, old: str, new: str) -> None:
        for name in [name for name in self._mailboxes if name.startswith(old)]:
            mailbox = self._mailboxes.pop(name)
            mailbox.name = new + name[len(old) :]
            self._mailboxes[mailbox.name] = mailbox

    return rename


def _below_too(right: Any) -> Any:
    async def delete(self: MemoryHome, name: str) -> None:
        for below in [found for found in self._mailboxes if found.startswith(name + "/")]:
            await right(self, below)
        await right(self, name)

    return delete


def _no_lease(right: Any) -> Any:
    async def lease_maildrop(self: MemoryHome) -> Any:
        self._leases.clear()
        return await right(self)

    return lease_maildrop


def _target_by_target(right: Any) -> Any:
    async def deliver(
        self: MemoryStore, message: NewMessage, targets: Sequence[Target]
    ) -> Sequence[Appended]:
        return [answer for target in targets for answer in await right(self, message, [target])]

    return deliver


def _looks_before_it_waits(right: Any) -> Any:
    async def append(self: MemoryHome, name: str, messages: Sequence[NewMessage]) -> Appended:
        self.check_room(sum(m.body.size for m in messages), len(messages))
        await turn()
        limit, self._limit = self._limit, type(self._limit)()
        appended: Appended = await right(self, name, messages)
        self._limit = limit
        return appended

    return append


def _mixes_up_who_came_together(right: Any) -> Any:
    async def append(self: MemoryHome, name: str, messages: Sequence[NewMessage]) -> Appended:
        first = self._get(name)._uid_next
        await turn()
        appended: Appended = await right(self, name, messages)
        uids = tuple(range(first, first + len(messages)))
        return Appended(appended.uid_validity, uids, appended.modseq)

    return append


def _reuses_uids(right: Any) -> Any:
    def remove(self: Mailbox, slices: Any, modseq: int) -> NumSet:
        removed: NumSet = right(self, slices, modseq)
        self._uid_next = self.columns.uids[-1] + 1 if len(self.columns) else 1
        return removed

    return remove


HOME = stores.HomeContract
STORE = stores.StoreContract
INBOX_ANY = {"name": "inbox"}

BROKEN: dict[str, Broken] = {
    "lets usage drift": Broken(
        MemoryHome, "_remove", _forgets_to_count, HOME, "test_usage_is_exact"
    ),
    "checks no quota": Broken(
        MemoryHome,
        "check_room",
        _does_nothing,
        HOME,
        "test_over_quota",
        {"limit": QuotaLimit(messages=3)},
    ),
    "gives a UIDVALIDITY again": Broken(
        MemoryStore, "_take_uid_validity", _same_uid_validity, HOME, "test_made_again"
    ),
    "knows INBOX in capitals only": Broken(
        MemoryHome, "_lookup", _exact_names, HOME, "test_inbox_in_any_case", INBOX_ANY
    ),
    "makes a mailbox of any name": Broken(
        MemoryHome, "create", _any_name, HOME, "test_bad_names", {"name": "../a"}
    ),
    "leaves behind what is below": Broken(
        MemoryHome, "rename", _alone, HOME, "test_takes_along_what_is_below"
    ),
    "takes along what begins alike": Broken(
        MemoryHome, "rename", _by_prefix, HOME, "test_takes_along_what_is_below"
    ),
    "deletes what is below": Broken(
        MemoryHome, "delete", _below_too, HOME, "test_what_is_below_stays"
    ),
    "leases to everybody": Broken(
        MemoryHome, "lease_maildrop", _no_lease, HOME, "test_one_at_a_time"
    ),
    "delivers to some": Broken(
        MemoryStore, "deliver", _target_by_target, STORE, "test_over_quota_is_for_all"
    ),
    "looks at the quota and then waits": Broken(
        MemoryHome, "append", _looks_before_it_waits, STORE, "test_quota_holds"
    ),
    "mixes up who came together": Broken(
        MemoryHome, "append", _mixes_up_who_came_together, STORE, "test_appends"
    ),
    "walks into lost flags": Broken(
        ChangeLog, "note_flags", _does_nothing, STORE, "test_walk", {"seed": 1}
    ),
    "walks into reused UIDs": Broken(
        Mailbox, "remove", _reuses_uids, STORE, "test_walk", {"seed": 2}
    ),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest_twisted.ensureDeferred
async def test_the_contract_notices(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """A store that breaks this rule fails the test that is about it."""
    assert not await passes(BROKEN[what], MemoryStore, tmp_path, monkeypatch)
    logged_errors.flush()


@pytest.mark.parametrize("what", BROKEN)
@pytest_twisted.ensureDeferred
async def test_the_right_store_passes(what: str, tmp_path: Path) -> None:
    """The same test passes for the store as it is."""
    broken = BROKEN[what]
    await run_one(broken.contract, broken.test, MemoryStore, tmp_path, broken.params)
