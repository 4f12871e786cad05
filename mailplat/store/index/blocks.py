"""What was read of messages' summaries, kept in blocks of neighbouring UIDs under a limit of bytes.

A summary never changes, so a block is never wrong, only incomplete: messages that came later are
added behind, and those that are gone are passed over by who reads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from mailplat.interfaces.store import Column

__all__ = ["BLOCK_BITS", "Block", "Blocks"]

BLOCK_BITS = 10
"""A block has the messages whose UIDs differ in their lowest bits alone: 1,024 at most."""

_ROW_BYTES = 64
"""What Python takes for a value besides its own bytes, about."""


class Block:
    """One column of the messages of one block.

    Attributes:
        uids: Whose, ascending.
        values: One for each.
        bytes: What they take, about.
    """

    __slots__ = ("bytes", "uids", "values")

    def __init__(self) -> None:
        self.uids = array("I")
        self.values: list[Any] = []
        self.bytes = 0

    @property
    def last(self) -> int:
        """The highest UID there is; 0 in an empty block."""
        return self.uids[-1] if self.uids else 0

    def extend(self, uids: Sequence[int], values: Sequence[Any]) -> None:
        """Put later messages behind; those that are here already are passed over."""
        start = bisect_right(uids, self.last)
        values = values[start:]
        self.uids.extend(uids[start:])
        self.values.extend(values)
        self.bytes += _ROW_BYTES * len(values)
        self.bytes += sum(len(value) for value in values if isinstance(value, bytes | str))

    def pick(self, uids: array[int], into: list[Any]) -> list[int]:
        """Append the values of messages; give the UIDs that are not here, and append nothing."""
        if self.uids == uids:
            into += self.values
            return []
        start = bisect_left(self.uids, uids[0])
        stop = start + len(uids)
        if self.uids[start:stop] == uids:
            into += self.values[start:stop]
            return []
        mine = dict(zip(self.uids, self.values, strict=True))
        missing = [uid for uid in uids if uid not in mine]
        if not missing:
            into += map(mine.__getitem__, uids)
        return missing


class Blocks:
    """A bounded number of blocks, those read last.

    Args:
        limit: Bytes they may take together, roughly.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[tuple[int, Column, int], tuple[Block, int]] = OrderedDict()
        self.bytes = 0

    def clear(self) -> None:
        """Forget everything: summaries were made anew."""
        self._blocks.clear()
        self.bytes = 0

    def find(self, mailbox: int, column: Column, number: int) -> Block | None:
        """Find a block."""
        key = (mailbox, column, number)
        found = self._blocks.get(key)
        if found is None:
            return None
        self._blocks.move_to_end(key)
        return found[0]

    def keep(self, mailbox: int, column: Column, number: int, block: Block) -> None:
        """Keep a block that was made or extended; forget those read longest ago."""
        key = (mailbox, column, number)
        before = self._blocks.pop(key, None)
        if before is not None:
            self.bytes -= before[1]
        self._blocks[key] = (block, block.bytes)
        self.bytes += block.bytes
        while self.bytes > self._limit and len(self._blocks) > 1:
            _, (_, size) = self._blocks.popitem(last=False)
            self.bytes -= size
