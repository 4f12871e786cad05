"""An open mailbox in memory: its UIDs, flags, MODSEQs, sizes, dates and contents as arrays.

44 bytes a message, shared by everybody who has the mailbox open, and read without leaving the
reactor's thread.  Changes are applied after their commit, in MODSEQ order; what does not follow on
what is here makes the columns stale, and they are read anew.

Also here: what changed most recently, so that a thousand watchers are answered without the
database, and where the bytes of expunged messages are while somebody still shows them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mailplat.interfaces.store import Column
from mailplat.model.changes import Changes
from mailplat.model.numset import NumSet
from mailplat.store.index.rows import MailboxRow
from mailplat.store.index.transaction import MailboxChanged

__all__ = ["MEMORY_COLUMNS", "Columns", "Ghost", "Loaded", "News", "joined"]

Slices = Sequence[tuple[int, int]]

_MANY = 32
"""From so many slices on, copying what stays is quicker than taking out what goes."""


class Ghost(NamedTuple):
    """An expunged message that somebody may still show."""

    modseq: int
    content: int
    size: int
    place: str


@dataclass(slots=True)
class Loaded:
    """All rows of a mailbox as they were at one moment.

    Attributes:
        row: The mailbox then.
        uids, masks, modseqs, sizes, dates, contents: Its messages, one for one.
    """

    row: MailboxRow
    uids: array[int]
    masks: array[int]
    modseqs: array[int]
    sizes: array[int]
    dates: array[int]
    contents: array[int]


@dataclass(slots=True)
class News:
    """What happened in a mailbox after a MODSEQ.

    Attributes:
        row: The mailbox now.
        vanished: UIDs that are gone.
        uids, masks, modseqs, sizes, dates, contents: Messages that came or have other flags.
    """

    row: MailboxRow
    vanished: NumSet
    uids: array[int]
    masks: array[int]
    modseqs: array[int]
    sizes: array[int]
    dates: array[int]
    contents: array[int]


class _Recent(NamedTuple):
    """One change: the first UID that came with it (0 if none), and what else it did."""

    modseq: int
    first_added: int
    changed: Sequence[int]
    removed: NumSet


class Columns:
    """The messages of one mailbox.

    Args:
        loaded: Its rows.
        recent_limit: Changes to remember; at twice as many the older half is forgotten.

    Attributes:
        modseq: Up to here all changes are in.
        stale: Something was missed: read it before using.
        doubtful: What is here may be wrong: read all of it again.
        gone: The mailbox was deleted.
        incomplete: Some messages have no content yet (see `completing`).
    """

    def __init__(self, loaded: Loaded, recent_limit: int = 1024) -> None:
        self.id = loaded.row.id
        self.stale = False
        self.doubtful = False
        self.gone = False
        self.gone_places: dict[int, str] = {}
        self.ghosts: dict[int, Ghost] = {}
        self.recent_uid = 0
        self._recent_limit = recent_limit
        self.adopt(loaded)

    def adopt(self, loaded: Loaded) -> None:
        """Take rows that were read anew."""
        self.uids = loaded.uids
        self.masks = loaded.masks
        self.modseqs = loaded.modseqs
        self.sizes = loaded.sizes
        self.dates = loaded.dates
        self.contents = loaded.contents
        self.incomplete = 0 in self.contents
        self._begin_log(loaded.row)

    def catch_up(self, news: News) -> None:
        """Take what happened since `modseq`, and was missed."""
        if news.vanished:
            self._remove(news.vanished, news.row.modseq, {})
        start = bisect_right(news.uids, self.uids[-1] if self.uids else 0)
        for uid, mask, modseq in zip(
            news.uids[:start], news.masks[:start], news.modseqs[:start], strict=True
        ):
            at = bisect_left(self.uids, uid)
            self.masks[at] = mask
            self.modseqs[at] = modseq
        self.uids += news.uids[start:]
        self.masks += news.masks[start:]
        self.modseqs += news.modseqs[start:]
        self.sizes += news.sizes[start:]
        self.dates += news.dates[start:]
        self.contents += news.contents[start:]
        self.incomplete = 0 in self.contents
        self._begin_log(news.row)

    def _begin_log(self, row: MailboxRow) -> None:
        """All is in up to here; what was before is not remembered."""
        self.stale = self.doubtful = False
        self._log: list[_Recent] = []
        self._log_modseqs: list[int] = []
        self._log_start = row.modseq
        self._answers: dict[int, Changes] = {}
        self._take_row(row)

    def _take_row(self, row: MailboxRow) -> None:
        self.modseq = row.modseq
        self.uid_next = row.uid_next
        self.uid_validity = row.uid_validity
        self.recent_uid = max(self.recent_uid, row.recent_uid)
        self.keywords = row.keywords

    @property
    def bytes(self) -> int:
        """Memory that the rows take."""
        return 44 * len(self.uids)

    # changing

    def apply(self, event: MailboxChanged) -> None:
        """Take a change in; one that is in already is passed over."""
        row = event.mailbox
        if self.stale or row.modseq < self.modseq:
            return
        if row.modseq == self.modseq:
            self._take_row(row)
            return
        if event.previous != self.modseq:
            self.stale = True
            return
        modseq = row.modseq
        for message in event.added:
            self.uids.append(message.uid)
            self.masks.append(message.mask)
            self.modseqs.append(modseq)
            self.sizes.append(message.size)
            self.dates.append(message.date)
            self.contents.append(message.content)
            self.incomplete = self.incomplete or not message.content
        if event.changed:
            self._set_masks(event.changed, modseq)
        if event.removed:
            self._remove(event.removed, modseq, event.gone)
        first_added = event.added[0].uid if event.added else 0
        self._log.append(_Recent(modseq, first_added, tuple(event.changed), event.removed))
        self._log_modseqs.append(modseq)
        if len(self._log) > 2 * self._recent_limit:
            self._log_start = self._log_modseqs[self._recent_limit - 1]
            del self._log[: self._recent_limit], self._log_modseqs[: self._recent_limit]
        self._answers = {}
        self._take_row(row)

    def complete(self, filled: Mapping[int, tuple[int, int]]) -> None:
        """Messages have their contents and sizes now, by UID."""
        at = 0
        for uid, (content, size) in sorted(filled.items()):
            at = bisect_left(self.uids, uid, at)
            if at < len(self.uids) and self.uids[at] == uid:
                self.contents[at], self.sizes[at] = content, size
        self.incomplete = 0 in self.contents

    def without_content(self, slices: Slices) -> NumSet:
        """Tell which messages of some rows have no content yet."""
        return NumSet.of(
            uid
            for start, stop in slices
            for uid, content in zip(self.uids[start:stop], self.contents[start:stop], strict=True)
            if not content
        )

    def _set_masks(self, changed: dict[int, int], modseq: int) -> None:
        uids = array("I", changed)
        start = bisect_left(self.uids, uids[0])
        stop = start + len(uids)
        if self.uids[start:stop] == uids:
            self.masks[start:stop] = array("q", changed.values())
            self.modseqs[start:stop] = array("q", [modseq]) * len(uids)
            return
        at = 0
        for uid, mask in changed.items():
            at = bisect_left(self.uids, uid, at)
            self.masks[at] = mask
            self.modseqs[at] = modseq

    def _remove(self, removed: NumSet, modseq: int, places: dict[int, str]) -> None:
        slices = removed.slices(self.uids)
        for start, stop in slices:
            rows = zip(
                self.uids[start:stop],
                self.contents[start:stop],
                self.sizes[start:stop],
                strict=True,
            )
            for uid, content, size in rows:
                self.ghosts[uid] = Ghost(modseq, content, size, places.get(uid, ""))
        kept: list[tuple[int, int]] = []
        begin = 0
        for start, stop in slices:
            kept.append((begin, start))
            begin = stop
        kept.append((begin, len(self.uids)))
        self.uids = _without(self.uids, slices, kept)
        self.masks = _without(self.masks, slices, kept)
        self.modseqs = _without(self.modseqs, slices, kept)
        self.sizes = _without(self.sizes, slices, kept)
        self.dates = _without(self.dates, slices, kept)
        self.contents = _without(self.contents, slices, kept)

    def forget_ghosts(self, modseq: int) -> None:
        """Nobody shows a message any more that was expunged up to here."""
        self.ghosts = {uid: ghost for uid, ghost in self.ghosts.items() if ghost.modseq > modseq}

    # reading

    def slices(self, uids: Sequence[int] | NumSet) -> Slices:
        """Find the rows of UIDs, as half-open ranges; most often it is one range."""
        mine = self.uids
        if isinstance(uids, NumSet):
            return uids.slices(mine)
        if not len(uids) or not mine:
            return ()
        wanted = uids if isinstance(uids, array) and uids.typecode == "I" else array("I", uids)
        start = bisect_left(mine, wanted[0])
        stop = start + len(wanted)
        if mine[start:stop] == wanted:
            return ((start, stop),)
        return NumSet.of(wanted).slices(mine)

    def read(self, column: Column, slices: Slices) -> Sequence[int]:
        """Read one column of some rows."""
        rows: Sequence[int] = joined(MEMORY_COLUMNS[column](self), slices)
        return rows

    def find(self, uid: int) -> int | None:
        """Find the row of one UID."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    def changes_since(self, modseq: int) -> Changes | None:
        """Tell what changed after a MODSEQ; None if that is too long ago to be known here.

        Those who ask the same get the same answer: most watchers stand at the same place.
        """
        if modseq >= self.modseq:
            return Changes(self.modseq)
        if modseq < self._log_start:
            return None
        answer = self._answers.get(modseq)
        if answer is None:
            answer = self._answers[modseq] = self._collect(modseq)
        return answer

    def _collect(self, modseq: int) -> Changes:
        log = self._log[bisect_right(self._log_modseqs, modseq) :]
        vanished = NumSet.from_ranges(pair for entry in log for pair in entry.removed.ranges)
        first_added = min((entry.first_added for entry in log if entry.first_added), default=0)
        start = bisect_left(self.uids, first_added) if first_added else len(self.uids)
        touched: set[int] = set()
        for entry in log:
            touched.update(entry.changed)
        rows = self.slices(array("I", sorted(touched)))
        rows = [(first, min(last, start)) for first, last in rows if first < start]
        return Changes(
            modseq=self.modseq,
            added=self.uids[start:],
            changed=joined(self.uids, rows),
            masks=joined(self.masks, rows),
            modseqs=joined(self.modseqs, rows),
            vanished=vanished,
        )


MEMORY_COLUMNS: dict[Column, Callable[[Columns], array[int]]] = {
    Column.FLAGS: lambda columns: columns.masks,
    Column.MODSEQ: lambda columns: columns.modseqs,
    Column.SIZE: lambda columns: columns.sizes,
    Column.DATE: lambda columns: columns.dates,
}
"""The columns that an open mailbox has in memory."""


def joined(column: Any, slices: Slices) -> Any:
    """Copy slices of an array or a list, one behind the other."""
    if len(slices) == 1:
        ((start, stop),) = slices
        return column[start:stop]
    result = column[:0]
    for start, stop in slices:
        result += column[start:stop]
    return result


def _without(column: array[int], slices: Slices, kept: Slices) -> array[int]:
    """Take rows out of a column."""
    if len(slices) >= _MANY:
        result: array[int] = joined(column, kept)
        return result
    for start, stop in reversed(slices):
        del column[start:stop]
    return column
