"""What policy filters ask of the table in which they keep what they saw: short texts that expire.

Greylisting, rates and verified recipients are remembered here.  The table is small, shared by all
servers on one database, and worth no more than a delay: losing it loses no mail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from zope.interface import Attribute, Interface

__all__ = ["Decide", "IPolicyTable", "Kept"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be remembered under a key.

    Attributes:
        value: A short text.
        expires: Until when, seconds since 1970 UTC.
    """

    value: str
    expires: float


Decide = Callable[[Mapping[str, str]], tuple[T, Mapping[str, Kept]]]
"""Takes the values of those keys that have one; gives a result, and what to remember now."""


class IPolicyTable(Interface):
    """Short texts by key, each with a time at which it is forgotten.

    Conformance: `mailplat.testing.policy_tables.PolicyTableContract`.
    """

    entries: int = Attribute("How many keys are remembered at most, roughly.")

    def update(keys: Sequence[str], decide: Decide[T]) -> Awaitable[T]:
        """Read some keys, and change them, in one step: nobody else changes them meanwhile.

        Args:
            keys: At least one.  Any text: foreign words may be in it.
            decide: Pure and quick.  It is called in some thread, perhaps more than once.  What
                it does not name stays as it is; it names nothing but keys that were asked for.

        Returns:
            The result of ``decide``.

        Raises:
            Unavailable: The table cannot be reached now.
        """

    def close() -> Awaitable[None]:
        """Let go of it; what waits fails.  An update after it fails too."""
