"""Message numbers as a client writes them: ``2,4:7,9:*`` and ``$`` (RFC 9051 §9 sequence-set).

``*`` and ``$`` mean something only beside a mailbox, so a set stays unresolved until a
`proto.imap.view.View` resolves it.  Whatever the client writes, a set is no larger than its text.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.model.numset import MAX_NUMBER, NumSet

__all__ = ["PartialRange", "SequenceSet"]


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set of sequence numbers or UIDs, with ``*`` and ``$`` still open.

    Attributes:
        fixed: The numbers that were written out.
        star: The lowest n of all ``n:*`` in the set; `MAX_NUMBER` for a ``*`` that stands
            alone; None if there is no ``*``.
        saved: Whether it is ``$``, the result of the last SEARCH that was saved
            (RFC 9051 §6.4.4.1); then nothing else is in it.
    """

    fixed: NumSet = NumSet()
    star: int | None = None
    saved: bool = False

    @property
    def highest(self) -> int:
        """The highest number written out, 0 if there is none; ``n:*`` does not count."""
        return self.fixed.ranges[-1][1] if self.fixed else 0

    def resolve(self, largest: int) -> NumSet:
        """Put the largest number in use in the place of ``*``; ``$`` gives nothing here.

        ``n:*`` always has the largest number in it, even if n is larger (RFC 9051 §9
        seq-range).  With ``largest`` 0, of an empty mailbox, ``*`` stands for nothing.
        """
        if self.star is None or not largest:
            return self.fixed
        return self.fixed | NumSet.span(min(self.star, largest), largest)

    def single(self) -> bool:
        """Whether it is one number or ``*`` (RFC 9051 §9 seq-number)."""
        if self.saved:
            return False
        if self.star is None:
            return len(self.fixed.ranges) == 1 and len(self.fixed) == 1
        return not self.fixed and self.star == MAX_NUMBER


@dataclass(frozen=True, slots=True)
class PartialRange:
    """A page of results: ``1:100`` from the oldest, ``-1:-100`` from the newest (RFC 9394 §4).

    Attributes:
        first: As the client wrote it.
        last: Likewise, with the same sign.
    """

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"

    def bounds(self, count: int) -> tuple[int, int]:
        """Where the page lies among so many results, oldest first: a half-open index pair."""
        low, high = sorted((abs(self.first), abs(self.last)))
        start, stop = (low - 1, high) if self.first > 0 else (count - high, count - low + 1)
        start, stop = max(start, 0), min(stop, count)
        return (start, stop) if start < stop else (0, 0)
