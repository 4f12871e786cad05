"""The messages of one mailbox as columns: an array for each thing asked for of many at once.

Invariants: all columns are of one length, row for row, in ascending order of UIDs.  Reading is
done in slices: the cost of a row that is asked for together with its neighbours is that of
copying its bytes.  `created` ascends as the UIDs do, so "added since" is one bisection.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from mailplat.interfaces.store import Column
from mailplat.model.flags import DELETED, SEEN
from mailplat.model.numset import NumSet
from mailplat.store.memory.contents import Content

__all__ = ["Columns", "Slices"]

C = TypeVar("C", "array[int]", "list[Content]")

Slices = Sequence[tuple[int, int]]
"""Half-open ranges of rows, ascending."""

_OF_CONTENT: dict[Column, Callable[[Content], Any]] = {
    Column.SENT: lambda content: content.summary.sent,
    Column.HEADER: lambda content: content.header,
    Column.ENVELOPE: lambda content: content.summary.envelope,
    Column.BODY: lambda content: content.summary.body,
    Column.BODYSTRUCTURE: lambda content: content.summary.bodystructure,
    Column.PARTS: lambda content: content.summary.parts,
    Column.PREVIEW: lambda content: content.summary.preview,
    Column.EMAIL_ID: lambda content: content.email_id,
    Column.MESSAGE_ID: lambda content: content.summary.message_id,
    Column.REFERENCES: lambda content: content.summary.references,
    Column.BASE_SUBJECT: lambda content: content.summary.base_subject,
    Column.NUL: lambda content: content.summary.nul,
}


class Columns:
    """The rows of a mailbox, and the sums over them that STATUS tells."""

    def __init__(self) -> None:
        self.uids = array("I")
        self.masks = array("Q")
        self.modseqs = array("Q")
        self.created = array("Q")
        self.sizes = array("Q")
        self.dates = array("q")
        self.saved = array("q")
        self.contents: list[Content] = []
        self.unseen = 0
        self.deleted = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self.uids)

    def add(self, uid: int, mask: int, modseq: int, date: int, saved: int, item: Content) -> None:
        """Put a message behind the others; its UID is higher than theirs."""
        self.uids.append(uid)
        self.masks.append(mask)
        self.modseqs.append(modseq)
        self.created.append(modseq)
        self.sizes.append(len(item.data))
        self.dates.append(date)
        self.saved.append(saved)
        self.contents.append(item)
        self._count((mask,), +1)
        self.size += len(item.data)

    def remove(self, slices: Slices) -> None:
        """Take rows out; every column is copied once, however many there are."""
        for start, stop in slices:
            self._count(self.masks[start:stop], -1)
            self.size -= sum(self.sizes[start:stop])
        kept: list[tuple[int, int]] = []
        begin = 0
        for start, stop in slices:
            kept.append((begin, start))
            begin = stop
        kept.append((begin, len(self)))
        self.uids = _joined(self.uids, kept)
        self.masks = _joined(self.masks, kept)
        self.modseqs = _joined(self.modseqs, kept)
        self.created = _joined(self.created, kept)
        self.sizes = _joined(self.sizes, kept)
        self.dates = _joined(self.dates, kept)
        self.saved = _joined(self.saved, kept)
        self.contents = _joined(self.contents, kept)

    def set_mask(self, row: int, mask: int, modseq: int) -> None:
        """Give one row other flags."""
        self._count((self.masks[row],), -1)
        self._count((mask,), +1)
        self.masks[row] = mask
        self.modseqs[row] = modseq

    def _count(self, masks: Iterable[int], sign: int) -> None:
        for mask in masks:
            if not mask & SEEN:
                self.unseen += sign
            if mask & DELETED:
                self.deleted += sign

    def rows_of(self, uids: Sequence[int] | NumSet) -> Slices:
        """Find the rows of UIDs; a sequence that is a slice of ours is known by comparing."""
        if isinstance(uids, NumSet):
            return uids.slices(self.uids)
        if not len(uids):
            return ()
        wanted = uids if isinstance(uids, array) else array("I", uids)
        start = bisect_left(self.uids, wanted[0])
        stop = start + len(wanted)
        if self.uids[start:stop] == wanted:
            return ((start, stop),)
        return NumSet.of(wanted).slices(self.uids)

    def row_of(self, uid: int) -> int | None:
        """Find the row of one UID."""
        row = bisect_left(self.uids, uid)
        return row if row < len(self.uids) and self.uids[row] == uid else None

    def read(self, column: Column, slices: Slices) -> Sequence[Any]:
        """Read one column of some rows."""
        match column:
            case Column.FLAGS:
                return _joined(self.masks, slices)
            case Column.MODSEQ:
                return _joined(self.modseqs, slices)
            case Column.SIZE:
                return _joined(self.sizes, slices)
            case Column.DATE:
                return _joined(self.dates, slices)
            case Column.SAVED:
                return _joined(self.saved, slices)
        return list(map(_OF_CONTENT[column], _joined(self.contents, slices)))

    def read_uids(self, slices: Slices) -> array[int]:
        """Read the UIDs of some rows."""
        return _joined(self.uids, slices)


def _joined(column: C, slices: Slices) -> C:
    """Copy some slices of an array or a list, one behind the other."""
    if len(slices) == 1:
        ((start, stop),) = slices
        return column[start:stop]
    joined = column[:0]
    for start, stop in slices:
        joined += column[start:stop]
    return joined
