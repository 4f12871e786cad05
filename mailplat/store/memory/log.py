"""The change log of one mailbox: which UIDs changed, and which vanished, at which MODSEQ.

Invariants: entries stand in MODSEQ order.  The log is bounded: what is too old is answered with
more than was asked for (vanished UIDs are merged, flag changes are found by the messages' own
MODSEQs), never with less.  The current flags are not here; the columns have them.
"""

from __future__ import annotations

from bisect import bisect_right

from mailplat.model.numset import NumSet

__all__ = ["ChangeLog"]


class _Journal:
    """UIDs by MODSEQ, the newest last."""

    def __init__(self) -> None:
        self.modseqs: list[int] = []
        self.uids: list[NumSet] = []

    def note(self, modseq: int, uids: NumSet) -> None:
        self.modseqs.append(modseq)
        self.uids.append(uids)

    def since(self, modseq: int) -> NumSet:
        start = bisect_right(self.modseqs, modseq)
        return _union(self.uids[start:])


def _union(sets: list[NumSet]) -> NumSet:
    if len(sets) == 1:
        return sets[0]
    return NumSet.from_ranges(pair for numbers in sets for pair in numbers.ranges)


class ChangeLog:
    """What happened to messages that are there, and which are there no more.

    Args:
        limit: Entries kept of each kind; at twice as many the older half is merged or dropped.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._flags = _Journal()
        self._vanished = _Journal()
        self._flags_from = 0

    def note_flags(self, modseq: int, uids: NumSet) -> None:
        """These messages' flags changed."""
        journal = self._flags
        journal.note(modseq, uids)
        if len(journal.modseqs) > 2 * self._limit:
            self._flags_from = journal.modseqs[self._limit - 1]
            del journal.modseqs[: self._limit], journal.uids[: self._limit]

    def note_vanished(self, modseq: int, uids: NumSet) -> None:
        """These messages are gone."""
        journal = self._vanished
        journal.note(modseq, uids)
        if len(journal.modseqs) > 2 * self._limit:
            # dated at the newest of them, so that nobody who missed one is told less
            journal.uids[: self._limit] = [_union(journal.uids[: self._limit])]
            journal.modseqs[: self._limit] = [journal.modseqs[self._limit - 1]]

    def flags_since(self, modseq: int) -> NumSet | None:
        """Tell whose flags changed later; None if that is longer ago than the log goes back."""
        return None if modseq < self._flags_from else self._flags.since(modseq)

    def vanished_since(self, modseq: int) -> NumSet:
        """Tell which UIDs vanished later; perhaps also some that vanished before."""
        return self._vanished.since(modseq)
