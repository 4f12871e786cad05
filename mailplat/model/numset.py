"""Sets of message numbers as sorted ranges (RFC 9051 §9 sequence-set).

A set is frozen and normal: its ranges ascend, and neither touch nor overlap.  So ``1:4294967295``
costs what ``7`` costs, and no peer can make a set that is larger than its text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["MAX_NUMBER", "NumSet"]

MAX_NUMBER = 0xFFFFFFFF
"""The highest UID or sequence number (RFC 9051 §9 nz-number: 32 bits)."""


@dataclass(frozen=True, slots=True)
class NumSet:
    """A set of numbers from 1 to `MAX_NUMBER`.

    Attributes:
        ranges: Pairs (first, last), both inside.
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> NumSet:
        """Collect single numbers, in any order."""
        ranges: list[tuple[int, int]] = []
        first = last = 0
        for number in sorted(numbers):
            if first and number <= last + 1:
                last = max(last, number)
                continue
            if first:
                ranges.append((first, last))
            first = last = number
        if first:
            ranges.append((first, last))
        return cls(tuple(ranges))

    @classmethod
    def from_ranges(cls, pairs: Iterable[tuple[int, int]]) -> NumSet:
        """Collect ranges, in any order, each of them written either way round."""
        ranges: list[tuple[int, int]] = []
        for first, last in sorted((min(pair), max(pair)) for pair in pairs):
            if ranges and first <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], last))
            else:
                ranges.append((first, last))
        return cls(tuple(ranges))

    @classmethod
    def span(cls, first: int, last: int) -> NumSet:
        """All numbers from first to last; none if last comes before first."""
        return cls(((first, last),)) if first <= last else cls()

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self.ranges, (number, MAX_NUMBER + 1)) - 1
        return index >= 0 and number <= self.ranges[index][1]

    def __str__(self) -> str:
        """Spell it as IMAP does: ``1:5,7``; ``""`` if it is empty."""
        return ",".join(
            str(first) if first == last else f"{first}:{last}" for first, last in self.ranges
        )

    def __or__(self, other: NumSet) -> NumSet:
        return NumSet.from_ranges(self.ranges + other.ranges)

    def __and__(self, other: NumSet) -> NumSet:
        found: list[tuple[int, int]] = []
        i = j = 0
        mine, theirs = self.ranges, other.ranges
        while i < len(mine) and j < len(theirs):
            first = max(mine[i][0], theirs[j][0])
            last = min(mine[i][1], theirs[j][1])
            if first <= last:
                found.append((first, last))
            if mine[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return NumSet(tuple(found))

    def __sub__(self, other: NumSet) -> NumSet:
        return self & other.complement()

    def complement(self) -> NumSet:
        """All numbers from 1 to `MAX_NUMBER` that are not in it."""
        found: list[tuple[int, int]] = []
        start = 1
        for first, last in self.ranges:
            if start < first:
                found.append((start, first - 1))
            start = last + 1
        if start <= MAX_NUMBER:
            found.append((start, MAX_NUMBER))
        return NumSet(tuple(found))

    def select(self, ascending: Sequence[int]) -> list[int]:
        """Pick the members of an ascending sequence that are in the set, block by block."""
        picked: list[int] = []
        for start, stop in self.slices(ascending):
            picked.extend(ascending[start:stop])
        return picked

    def slices(self, ascending: Sequence[int]) -> list[tuple[int, int]]:
        """Where the set's members lie in an ascending sequence, as half-open index pairs."""
        found: list[tuple[int, int]] = []
        for first, last in self.ranges:
            start = bisect_right(ascending, first - 1)
            stop = bisect_right(ascending, last, start)
            if start < stop:
                found.append((start, stop))
        return found
