"""Runs a target on many inputs, and watches the memory meanwhile.

A target takes the pieces of an input and a source of chance for its own answers.  It raises nothing
but AssertionError, for a promise that was broken; whatever else comes out of it is a find too.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mailplat.testing.fuzzing.inputs import Language, chance_of, cut

__all__ = ["Find", "Outcome", "Target", "again", "fuzz"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is tried.

    Attributes:
        language: What its peer says.
        run: Tries one input.
    """

    language: Language
    run: Callable[[Sequence[bytes], Random], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, if it found nothing.

    Attributes:
        inputs: How many were tried.
        seconds: What they took.
        grown: Bytes by which the process grew after the first twentieth of the inputs.
    """

    inputs: int
    seconds: float
    grown: int


class Find(AssertionError):
    """An input that breaks a target; the cause is what it raised.

    Attributes:
        number: Which input of the seed it was: `again` tries it once more.
        pieces: The input.
    """

    def __init__(self, seed: int, number: int, pieces: Sequence[bytes]) -> None:
        super().__init__(f"seed {seed}, input {number}: {pieces!r}")
        self.number = number
        self.pieces = pieces


def again(target: Target, seed: int, number: int) -> None:
    """Try one input.

    Raises:
        Find: It breaks the target.
    """
    chance = chance_of(seed, number)
    pieces = cut(target.language.spoken(chance), chance)
    try:
        target.run(pieces, chance)
    except Exception as error:
        raise Find(seed, number, pieces) from error


def fuzz(target: Target, inputs: int, seed: int = 0, *, most_grown: int = 32 << 20) -> Outcome:
    """Try many inputs.

    Args:
        target: What is tried.
        inputs: How many.
        seed: Where chance begins.
        most_grown: Bytes that the process may grow by once it is warm.

    Raises:
        Find: An input breaks the target.
        AssertionError: Memory is kept from input to input.
    """
    warm, base = max(inputs // 20, 1), 0
    start = time.perf_counter()
    for number in range(inputs):
        if number == warm:
            base = _resident()
        again(target, seed, number)
    seconds = time.perf_counter() - start
    grown = max(_resident() - base, 0) if inputs > warm else 0
    assert grown <= most_grown, f"{grown} bytes more after {inputs} inputs"
    return Outcome(inputs, seconds, grown)


def _resident() -> int:
    """Give the bytes that the process holds in memory (Linux), once the garbage is out."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
