"""What is wrong with a configuration: each fault with its place, what stands there, what should."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailplat.model.errors import ConfigurationFault

__all__ = ["ConfigurationFaults", "Fault"]


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: The file's name, as it was given.
        line: The line in it, from 1.
        option: The option's name with its tables, ``smtp.max_recipients``; ``""`` for the file.
        problem: What was found and what was expected, for people.
    """

    file: str
    line: int
    option: str
    problem: str

    def __str__(self) -> str:
        """Say it in a line, with the place in front as compilers do."""
        option = f"{self.option}: " if self.option else ""
        return f"{self.file}:{self.line}: {option}{self.problem}"


class ConfigurationFaults(ConfigurationFault):
    """A configuration that cannot be used.

    Attributes:
        faults: All that is wrong with it, in the order of its lines.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))
