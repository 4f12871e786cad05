"""Makes inputs: sentences of a protocol, broken in the ways that peers and attackers break them.

Invariant: an input is a function of the seed and its number alone, so any of them can be had again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

__all__ = ["Language", "chance_of", "cut"]


@dataclass(frozen=True, slots=True)
class Language:
    """What a peer says.

    Attributes:
        sentences: Whole lines as they should be, with their ends.
        words: What is put in the place of something else.
        most: Sentences in one input.
    """

    sentences: Sequence[bytes]
    words: Sequence[bytes]
    most: int = 6

    def spoken(self, chance: Random) -> bytes:
        """Make an input: some sentences, most of them broken."""
        said = b"".join(
            self._broken(chance.choice(self.sentences), chance)
            for _ in range(chance.randint(1, self.most))
        )
        if chance.random() < 0.02:  # what is very long of one thing
            place = chance.randint(0, len(said))
            long = chance.choice(self.words) * chance.randint(50, 2000)
            said = said[:place] + long[:8000] + said[place:]
        return said

    def _broken(self, sentence: bytes, chance: Random) -> bytes:
        while chance.random() < 0.45:
            start = chance.randint(0, len(sentence))
            stop = min(start + chance.choice((0, 0, 1, 1, 2, 5, 20)), len(sentence))
            sentence = sentence[:start] + self._instead(sentence, chance) + sentence[stop:]
        return sentence

    def _instead(self, sentence: bytes, chance: Random) -> bytes:
        kind = chance.random()
        if kind < 0.5:
            return chance.choice(self.words)
        if kind < 0.65:
            return b""
        if kind < 0.8:
            return chance.randbytes(chance.choice((1, 1, 2, 8)))
        if kind < 0.9:  # a piece of the same sentence, or of another one
            start = chance.randint(0, len(sentence))
            return sentence[start : start + chance.randint(1, 30)]
        other = chance.choice(self.sentences)
        return other[chance.randint(0, len(other)) :]


def chance_of(seed: int, number: int) -> Random:
    """Give the source of chance of one input."""
    return Random(seed << 40 | number)


def cut(data: bytes, chance: Random) -> list[bytes]:
    """Cut an input into pieces, as a network would."""
    if len(data) < 2 or chance.random() < 0.3:
        return [data]
    places = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(1, 4)))
    return [data[start:stop] for start, stop in pairwise([0, *places, len(data)])]
