"""A few thousand random dialogues for each conversation; `python -m bench.fuzz` has them all."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from random import Random

import pytest

from mailplat.testing.fuzzing.inputs import Language, chance_of, cut
from mailplat.testing.fuzzing.running import Find, Target, again, fuzz
from mailplat.testing.fuzzing.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks(name: str) -> None:
    """No input raises anything but answers."""
    outcome = fuzz(TARGETS[name], 2000, seed=20)
    assert outcome.inputs == 2000


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_stays(name: str) -> None:
    """What one input needed is gone before the next."""
    target = TARGETS[name]
    for number in range(300):
        again(target, 21, number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(300, 900):
            again(target, 21, number)
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 256 * 1024
    assert most < 4 * 1024 * 1024  # an input has at most some ten thousand bytes


def test_inputs_can_be_had_again() -> None:
    """The same seed and number say the same, in the same pieces; others say something else."""
    language = TARGETS["imap"].language

    def made(number: int) -> list[bytes]:
        chance = chance_of(1, number)
        return cut(language.spoken(chance), chance)

    assert [made(number) for number in range(50)] == [made(number) for number in range(50)]
    assert len({tuple(made(number)) for number in range(50)}) == 50


def test_what_is_found_is_told() -> None:
    """A find names its seed and number, and trying it again finds it again."""

    def breaks(pieces: Sequence[bytes], chance: Random) -> None:
        assert b"\x00" not in b"".join(pieces), "a zero"

    target = Target(Language([b"abc\x00"], [b"x"]), breaks)
    with pytest.raises(Find) as found:
        fuzz(target, 100, seed=3)
    assert "seed 3, input" in str(found.value)
    with pytest.raises(Find) as same:
        again(target, 3, found.value.number)
    assert same.value.pieces == found.value.pieces


def test_what_is_kept_is_told() -> None:
    """A target that keeps what it is given does not pass."""
    kept: list[bytes] = []

    def keeps(pieces: Sequence[bytes], chance: Random) -> None:
        # more than the process may have freed, and not given back, before this test
        kept.append(b"x" * 1_000_000 + b"".join(pieces))

    with pytest.raises(AssertionError, match="bytes more"):
        fuzz(Target(Language([b"abc"], [b"x"]), keeps), 200, most_grown=4 << 20)
