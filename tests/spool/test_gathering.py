"""Requests that are answered together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from mailplat.model.errors import Unavailable
from mailplat.spool.gathering import Gathering


class Answers:
    """Blocks that were asked for, and are answered by a test."""

    def __init__(self) -> None:
        self.blocks: list[tuple[list[int], Deferred[list[str]]]] = []

    async def __call__(self, block: Sequence[int]) -> list[str]:
        """Wait for the test's answer."""
        answer: Deferred[list[str]] = Deferred()
        self.blocks.append((list(block), answer))
        return await answer

    def give(self, number: int) -> None:
        """Answer a block."""
        block, answer = self.blocks[number]
        answer.callback([str(one) for one in block])


@pytest_twisted.ensureDeferred
async def test_what_comes_meanwhile_is_the_next_block() -> None:
    """The first is asked at once; those that come while it is under way go together."""
    answers = Answers()
    gathering = Gathering[int, str](answers, most=3)
    asked = [gathering.ask(number) for number in range(6)]
    assert [block for block, _ in answers.blocks] == [[0]]
    for number in range(3):
        answers.give(number)
    assert [block for block, _ in answers.blocks] == [[0], [1, 2, 3], [4, 5]]
    assert [await one for one in asked] == ["0", "1", "2", "3", "4", "5"]


@pytest_twisted.ensureDeferred
async def test_failures_and_who_gives_up() -> None:
    """A block fails for all of its requests and no others; a cancelled one harms nobody."""
    answers = Answers()
    gathering = Gathering[int, str](answers)
    asked = [gathering.ask(number) for number in range(3)]
    asked[1].cancel()
    with pytest.raises(CancelledError):
        await asked[1]
    answers.blocks[0][1].errback(Unavailable("no disk"))
    with pytest.raises(Unavailable):
        await asked[0]
    later: Any = gathering.ask(3)
    answers.give(1)
    assert await asked[2] == "2"
    answers.give(2)
    assert await later == "3"
