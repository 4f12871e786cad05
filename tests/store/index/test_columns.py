"""Tests for `mailplat.store.index.columns`."""

from __future__ import annotations

from array import array

import pytest

from mailplat.interfaces.store import Column
from mailplat.model.numset import NumSet
from mailplat.store.index.columns import Columns, Loaded
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.index.transaction import MailboxChanged

HOME = HomeRow(1, "alice", 1, 0, 0, 0, None, None)


def mailbox(modseq: int, uid_next: int = 1) -> MailboxRow:
    """Make a mailbox's row."""
    return MailboxRow(
        id=7,
        home=1,
        name="INBOX",
        mailbox_id="F7",
        uid_validity=1,
        uid_next=uid_next,
        modseq=modseq,
        recent_uid=1,
        messages=0,
        recent=0,
        unseen=0,
        deleted=0,
        size=0,
        log_start=0,
        log_rows=0,
        keywords=(),
        special_use=(),
    )


def columns(uids: list[int], modseq: int = 10, recent_limit: int = 1024) -> Columns:
    """Make columns of messages whose sizes are ten times their UIDs."""
    numbers = [array("q", [0] * len(uids)) for _ in range(5)]
    loaded = Loaded(mailbox(modseq, 100), array("I", uids), *numbers)
    loaded.sizes = array("q", [10 * uid for uid in uids])
    return Columns(loaded, recent_limit)


def added(modseq: int, *uids: int) -> MailboxChanged:
    """Make an event of messages that came."""
    rows = [MessageRow(uid, uid, 0, modseq, modseq, 10 * uid, 0, 0, "") for uid in uids]
    return MailboxChanged(HOME, mailbox(modseq, uids[-1] + 1), modseq - 1, added=rows)


def changed(modseq: int, masks: dict[int, int]) -> MailboxChanged:
    """Make an event of flags that changed."""
    return MailboxChanged(HOME, mailbox(modseq, 100), modseq - 1, changed=masks)


def removed(modseq: int, *uids: int) -> MailboxChanged:
    """Make an event of messages that went."""
    return MailboxChanged(HOME, mailbox(modseq, 100), modseq - 1, removed=NumSet.of(uids))


def test_event_applied_once() -> None:
    """An event that comes again changes nothing; one that was missed makes the columns stale."""
    mine = columns([1, 2])
    mine.apply(added(11, 5))
    mine.apply(added(11, 5))
    assert list(mine.uids) == [1, 2, 5]
    assert not mine.stale
    mine.apply(added(13, 7))
    assert mine.stale
    assert list(mine.uids) == [1, 2, 5]


@pytest.mark.parametrize("gone", [[1], [2, 3], [1, 5], list(range(1, 200, 2))])
def test_removed(gone: list[int]) -> None:
    """Rows leave all columns alike, few of them or many."""
    uids = list(range(1, 200))
    mine = columns(uids)
    mine.apply(removed(11, *gone))
    left = [uid for uid in uids if uid not in gone]
    assert list(mine.uids) == left
    assert list(mine.sizes) == [10 * uid for uid in left]
    assert sorted(mine.ghosts) == gone
    assert mine.ghosts[gone[0]].size == 10 * gone[0]
    mine.forget_ghosts(10)
    assert mine.ghosts
    mine.forget_ghosts(11)
    assert not mine.ghosts


@pytest.mark.parametrize("masks", [{2: 1, 3: 2}, {1: 1, 4: 2}, {4: 8}])
def test_masks(masks: dict[int, int]) -> None:
    """Flags change where they should, neighbours or not."""
    mine = columns([1, 2, 3, 4])
    mine.apply(changed(11, masks))
    assert list(mine.masks) == [masks.get(uid, 0) for uid in (1, 2, 3, 4)]
    assert list(mine.modseqs) == [11 if uid in masks else 0 for uid in (1, 2, 3, 4)]


def test_changes_since() -> None:
    """What came, changed and went is told from memory, each message once."""
    mine = columns([1, 2, 3])
    mine.apply(changed(11, {1: 1, 2: 1}))
    mine.apply(added(12, 4, 5))
    mine.apply(changed(13, {2: 3, 4: 1}))
    mine.apply(removed(14, 3, 5))
    told = mine.changes_since(10)
    assert told is not None
    assert list(told.added) == [4]
    assert list(told.changed) == [1, 2]
    assert list(told.masks) == [1, 3]
    assert list(told.modseqs) == [11, 13]
    assert told.vanished == NumSet.of([3, 5])
    assert told.modseq == 14
    assert mine.changes_since(10) is told  # a thousand watchers share one answer
    last = mine.changes_since(13)
    assert last is not None
    assert (list(last.added), list(last.changed)) == ([], [])
    assert last.vanished == NumSet.of([3, 5])
    assert not mine.changes_since(14)
    assert mine.changes_since(9) is None


def test_log_is_bounded() -> None:
    """What is too long ago is not known here; what is recent is."""
    mine = columns([1], recent_limit=4)
    for modseq in range(11, 31):
        mine.apply(changed(modseq, {1: modseq % 2}))
    assert mine.changes_since(11) is None
    recent = mine.changes_since(27)
    assert recent is not None
    assert list(recent.changed) == [1]


def test_slices() -> None:
    """Rows are found by a slice of the view, by any ascending UIDs, and by a set."""
    mine = columns([2, 4, 6, 8])
    assert mine.slices(array("I", [4, 6])) == ((1, 3),)
    assert mine.slices([4, 6]) == ((1, 3),)
    assert mine.slices([1, 4, 5, 8]) == [(1, 2), (3, 4)]
    assert mine.slices(NumSet.span(3, 7)) == [(1, 3)]
    assert mine.slices([]) == ()
    assert list(mine.read(Column.SIZE, [(0, 1), (2, 4)])) == [20, 60, 80]


def test_memory() -> None:
    """An open mailbox takes at most 64 bytes a message."""
    mine = columns(list(range(1, 1001)))
    arrays = (mine.uids, mine.masks, mine.modseqs, mine.sizes, mine.dates, mine.contents)
    assert sum(column.itemsize for column in arrays) <= 64
    assert mine.bytes == sum(len(column) * column.itemsize for column in arrays)
