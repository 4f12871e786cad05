"""Tests for `mailplat.store.index.blocks`."""

from __future__ import annotations

from array import array
from typing import Any

from mailplat.interfaces.store import Column
from mailplat.store.index.blocks import Block, Blocks


def picked(block: Block, *uids: int) -> tuple[list[Any], list[int]]:
    """Pick values: what was found, what was missing."""
    values: list[Any] = []
    missing = block.pick(array("I", uids), values)
    return values, missing


def test_pick() -> None:
    """Values are found for all, for neighbours, and for any of the messages."""
    block = Block()
    block.extend([1, 3, 5], [b"a", b"b", b"c"])
    assert picked(block, 1, 3, 5) == ([b"a", b"b", b"c"], [])
    assert picked(block, 3, 5) == ([b"b", b"c"], [])
    assert picked(block, 1, 5) == ([b"a", b"c"], [])
    assert picked(block, 1, 2) == ([], [2])


def test_extend() -> None:
    """Later messages come behind; those that two readers read are kept once."""
    block = Block()
    assert block.last == 0
    block.extend([1, 3], [b"a", b"b"])
    block.extend([1, 3, 4], [b"a", b"b", b"c"])
    assert list(block.uids) == [1, 3, 4]
    assert block.values == [b"a", b"b", b"c"]
    assert block.last == 4


def test_bounded() -> None:
    """The blocks used last stay, within the limit; a block that grew is weighed anew."""
    blocks = Blocks(3000)
    for number in range(5):
        block = Block()
        block.extend([number], [bytes(1000)])
        blocks.keep(1, Column.ENVELOPE, number, block)
        blocks.find(1, Column.ENVELOPE, 0)
    assert blocks.bytes <= 3000
    first = blocks.find(1, Column.ENVELOPE, 0)
    assert first is not None
    assert blocks.find(1, Column.ENVELOPE, 4) is not None
    assert blocks.find(1, Column.ENVELOPE, 1) is None
    assert blocks.find(1, Column.BODY, 0) is None
    first.extend([7], [bytes(5000)])
    blocks.keep(1, Column.ENVELOPE, 0, first)
    assert blocks.find(1, Column.ENVELOPE, 0) is first
    assert blocks.find(1, Column.ENVELOPE, 4) is None
