"""The store contract bites: a mailbox that breaks a rule does not pass.

Each of `BROKEN` is the store in memory with one method replaced, and the test that must fail.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.store import NewMessage
from mailplat.model.changes import FlagsStored
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import Appended, Copied
from mailplat.model.numset import NumSet
from mailplat.store.keywords import KeywordTable
from mailplat.store.memory.columns import Columns
from mailplat.store.memory.contents import Content, Contents
from mailplat.store.memory.handle import MemoryMailbox
from mailplat.store.memory.home import MemoryHome
from mailplat.store.memory.log import ChangeLog
from mailplat.store.memory.mailbox import Mailbox
from mailplat.store.memory.notices import Watchers
from mailplat.store.memory.store import MemoryStore
from mailplat.testing import stores
from mailplat.testing.store_contract.trial import Broken, passes, run_one
from mailplat.testing.strict import LoggedErrors

__all__: list[str] = []


def _reuses_uids(right: Any) -> Any:
    def remove(self: Mailbox, slices: Any, modseq: int) -> NumSet:
        removed: NumSet = right(self, slices, modseq)
        self._uid_next = self.columns.uids[-1] + 1 if len(self.columns) else 1
        return removed

    return remove


def _loses_in_move(right: Any) -> Any:
    def move(self: MemoryHome, source: Mailbox, uids: NumSet, target: str) -> Copied:
        moved: Copied = right(self, source, uids, target)
        self.expunge(self._get(target), NumSet.of(moved.targets[-1:]))
        return moved

    return move


def _doubles_in_move(right: Any) -> Any:
    return MemoryHome.copy


def _tells_first(right: Any) -> Any:
    def add(self: MemoryHome, mailbox: Mailbox, messages: Any) -> Appended:
        self.tell_changed(mailbox)
        tell, self.tell_changed = self.tell_changed, lambda mailbox: None  # type: ignore[method-assign]
        added: Appended = right(self, mailbox, messages)
        self.tell_changed = tell  # type: ignore[method-assign]
        return added

    return add


def _does_nothing(right: Any) -> Any:
    return lambda self, *args: None


def _tells_one(right: Any) -> Any:
    def tell(self: Watchers[Any], *args: Any) -> None:
        for one in list(self._tells.values())[:1]:
            one(*args)

    return tell


def _goes_on_telling(right: Any) -> Any:
    def tell(self: Watchers[Any], *args: Any) -> None:
        for one in list(self._tells.values()):
            one(*args)

    return tell


def _locked_while_telling(right: Any) -> Any:
    def tell_changed(self: MemoryHome, mailbox: Mailbox) -> None:
        def locked() -> int:
            raise AssertionError("the lock is held")

        taking, self.take_modseq = self.take_modseq, locked  # type: ignore[method-assign]
        right(self, mailbox)
        self.take_modseq = taking  # type: ignore[method-assign]

    return tell_changed


def _newest_only(right: Any) -> Any:
    def flags_since(self: ChangeLog, modseq: int) -> NumSet | None:
        newest = self._flags.modseqs[-1] if self._flags.modseqs else 0
        found: NumSet | None = right(self, max(modseq, newest - 1))
        return found

    return flags_since


def _added_is_changed_too(right: Any) -> Any:
    def changes_since(self: Mailbox, modseq: int) -> Any:
        created, self.columns.created = self.columns.created, self.columns.modseqs
        changes = right(self, modseq)
        self.columns.created = created
        return changes

    return changes_since


def _modseq_stands_still(right: Any) -> Any:
    def take_modseq(self: MemoryHome) -> int:
        self._modseq = max(self._modseq, min(self._modseq + 1, 8))
        return self._modseq

    return take_modseq


def _always_a_modseq(right: Any) -> Any:
    def store_flags(
        self: Mailbox, uids: NumSet, action: Any, flags: Any, unchanged_since: Any, take: Any
    ) -> FlagsStored:
        self.modseq = take()
        stored: FlagsStored = right(self, uids, action, flags, unchanged_since, take)
        return stored

    return store_flags


def _no_condition(right: Any) -> Any:
    def store_flags(
        self: Mailbox, uids: NumSet, action: Any, flags: Any, unchanged_since: Any, take: Any
    ) -> FlagsStored:
        stored: FlagsStored = right(self, uids, action, flags, None, take)
        return stored

    return store_flags


def _condition_off_by_one(right: Any) -> Any:
    def store_flags(
        self: Mailbox, uids: NumSet, action: Any, flags: Any, unchanged_since: Any, take: Any
    ) -> FlagsStored:
        since = None if unchanged_since is None else unchanged_since + 1
        stored: FlagsStored = right(self, uids, action, flags, since, take)
        return stored

    return store_flags


def _one_by_one(right: Any) -> Any:
    async def append(self: MemoryHome, name: str, messages: Sequence[NewMessage]) -> Appended:
        answers = [await right(self, name, [message]) for message in messages]
        return Appended(answers[0].uid_validity, (), answers[-1].modseq)

    return append


def _without_flags(right: Any) -> Any:
    def masks_in(self: Mailbox, other: Mailbox, masks: Sequence[int]) -> Any:
        return dict.fromkeys(masks, 0), []

    return masks_in


def _same_bits(right: Any) -> Any:
    def masks_in(self: Mailbox, other: Mailbox, masks: Sequence[int]) -> Any:
        _, missing = right(self, other, masks)
        return {mask: mask for mask in masks}, missing

    return masks_in


def _exact_keywords(right: Any) -> Any:
    def missing(self: KeywordTable, flags: Collection[str]) -> list[str]:
        return [f for f in sorted(flags) if f[0] != "\\" and f not in self._names]

    return missing


def _no_keyword_limit(right: Any) -> Any:
    def missing(self: KeywordTable, flags: Collection[str]) -> list[str]:
        self._limit = 50
        found: list[str] = right(self, flags)
        return found

    return missing


def _recent_for_all(right: Any) -> Any:
    return lambda self, claim_recent: right(self, False)


def _without_gaps(right: Any) -> Any:
    def rows_of(self: Columns, uids: Any) -> Any:
        if isinstance(uids, NumSet) or not len(uids):
            return right(self, uids)
        start = bisect_left(self.uids, uids[0])
        return ((start, min(start + len(uids), len(self))),)

    return rows_of


def _last_byte_missing(right: Any) -> Any:
    async def bodies(self: MemoryMailbox, ranges: Any) -> Any:
        found = await right(self, ranges)
        return [body[: r.stop - r.start - 1] for body, r in zip(found, ranges, strict=True)]

    return bodies


def _frees_at_once(right: Any) -> Any:
    def remove(self: Mailbox, slices: Any, modseq: int) -> NumSet:
        removed: NumSet = right(self, slices, modseq)
        self._expunged.clear()
        return removed

    return remove


def _frees_for_the_first(right: Any) -> Any:
    def _forget(self: Mailbox) -> None:
        newest = max(self._shown.values(), default=self.modseq)
        self._expunged = {u: k for u, k in self._expunged.items() if k[0] > newest}

    return _forget


def _changes_a_byte(right: Any) -> Any:
    async def take(self: Any, message: NewMessage) -> Content:
        found: Content = await right(self, message)
        return Content(found.data[:-1] + b"?", found.summary, found.email_id)

    return take


BOX = stores.MailboxContract
APPEND = {"what": "append"}

BROKEN: dict[str, Broken] = {
    "reuses a UID": Broken(Mailbox, "remove", _reuses_uids, BOX, "test_uid_is_never_given_again"),
    "loses a message in a move": Broken(
        MemoryHome, "move", _loses_in_move, BOX, "test_moves_everything"
    ),
    "doubles messages in a move": Broken(
        MemoryHome, "move", _doubles_in_move, BOX, "test_moves_everything"
    ),
    "tells before the change": Broken(
        MemoryHome, "add", _tells_first, BOX, "test_told_after_the_change", APPEND
    ),
    "tells nobody": Broken(
        MemoryHome, "tell_changed", _does_nothing, BOX, "test_told_after_the_change", APPEND
    ),
    "tells one watcher": Broken(Watchers, "tell", _tells_one, BOX, "test_everybody_is_told"),
    "tells who has stopped": Broken(
        Watchers, "tell", _goes_on_telling, BOX, "test_stop_while_being_told"
    ),
    "holds a lock while it tells": Broken(
        MemoryHome, "tell_changed", _locked_while_telling, BOX, "test_watcher_calls_the_store_back"
    ),
    "forgets what vanished": Broken(
        ChangeLog, "note_vanished", _does_nothing, BOX, "test_vanished"
    ),
    "forgets whose flags changed": Broken(
        ChangeLog, "note_flags", _does_nothing, BOX, "test_changed"
    ),
    "remembers the newest change only": Broken(
        ChangeLog, "flags_since", _newest_only, BOX, "test_from_every_old_modseq"
    ),
    "tells new messages as changed": Broken(
        Mailbox, "changes_since", _added_is_changed_too, BOX, "test_from_every_old_modseq"
    ),
    "gives a MODSEQ twice": Broken(
        MemoryHome, "take_modseq", _modseq_stands_still, BOX, "test_modseqs_rise_through_the_home"
    ),
    "takes a MODSEQ for nothing": Broken(
        Mailbox,
        "store_flags",
        _always_a_modseq,
        BOX,
        "test_no_change_takes_no_modseq",
        {"action": FlagAction.ADD, "flags": ["\\Seen"]},
    ),
    "ignores unchanged_since": Broken(
        Mailbox, "store_flags", _no_condition, BOX, "test_newer_ones_are_refused"
    ),
    "lets one change more pass": Broken(
        Mailbox, "store_flags", _condition_off_by_one, BOX, "test_its_own_modseq_is_not_newer"
    ),
    "appends half of many": Broken(
        MemoryHome, "append", _one_by_one, BOX, "test_append_is_all_or_none"
    ),
    "copies without flags": Broken(
        Mailbox, "masks_in", _without_flags, BOX, "test_copies_everything"
    ),
    "copies bits instead of keywords": Broken(
        Mailbox, "masks_in", _same_bits, BOX, "test_copies_everything"
    ),
    "tells keywords apart by case": Broken(
        KeywordTable, "missing", _exact_keywords, BOX, "test_case_does_not_matter"
    ),
    "takes any number of keywords": Broken(
        KeywordTable, "missing", _no_keyword_limit, BOX, "test_limit"
    ),
    "shows messages as recent to all": Broken(
        Mailbox, "state", _recent_for_all, BOX, "test_recent_is_claimed_once"
    ),
    "overlooks gaps": Broken(
        Columns, "rows_of", _without_gaps, BOX, "test_rows_by_sequence_or_set"
    ),
    "cuts bodies short": Broken(MemoryMailbox, "bodies", _last_byte_missing, BOX, "test_ranges"),
    "frees bodies at once": Broken(
        Mailbox, "remove", _frees_at_once, BOX, "test_live_until_acknowledged"
    ),
    "frees bodies for the first who lets go": Broken(
        Mailbox, "_forget", _frees_for_the_first, BOX, "test_handles_opened_later_have_no_say"
    ),
    "changes a byte": Broken(Contents, "take", _changes_a_byte, BOX, "test_any_bytes"),
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
