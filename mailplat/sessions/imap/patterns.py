"""Which mailbox names a LIST pattern means (RFC 9051 §6.3.9).

``*`` stands for anything, ``%`` for anything within one level; INBOX is compared without regard to
case, everything else as it is.  No pattern costs more than its length times the name's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mailplat.model.mailbox import INBOX, SEPARATOR

__all__ = ["Matcher"]

_WILD = re.compile(r"[*%]+")


class Matcher:
    """Tells which names match any of some patterns, all put behind one reference.

    Args:
        reference: What LIST's first argument says; goes in front of each pattern.
        patterns: With ``*`` and ``%``.
    """

    def __init__(self, reference: str, patterns: Iterable[str]) -> None:
        self._patterns = [_compile(reference + pattern) for pattern in patterns]

    def __call__(self, name: str) -> bool:
        """Whether a name matches."""
        return any(_matches(name, pattern) for pattern in self._patterns)


def _matches(name: str, pattern: Sequence[str]) -> bool:
    """Match a name against the pieces of a pattern: literals and single wildcards, in turn.

    The places in the name that the pieces so far can reach are kept as a set.
    """
    reachable = {0}
    for piece in pattern:
        if not reachable:
            return False
        if piece == "*":
            reachable = set(range(min(reachable), len(name) + 1))
        elif piece == "%":
            reachable = _within_level(name, reachable)
        else:
            reachable = {start + len(piece) for start in reachable if name.startswith(piece, start)}
    return len(name) in reachable


def _within_level(name: str, reachable: set[int]) -> set[int]:
    """Go on from each place up to the end of its level."""
    found: set[int] = set()
    for start in reachable:
        if start in found:
            continue
        end = name.find(SEPARATOR, start)
        found.update(range(start, (len(name) if end < 0 else end) + 1))
    return found


def _compile(pattern: str) -> list[str]:
    """Cut a pattern into literals and wildcards; neighbouring wildcards become one."""
    pieces: list[str] = []
    last = 0
    for found in _WILD.finditer(pattern):
        if found.start() > last:
            pieces.append(pattern[last : found.start()])
        pieces.append("*" if "*" in found[0] else "%")
        last = found.end()
    if last < len(pattern):
        pieces.append(pattern[last:])
    if pieces and pieces[0][: len(INBOX) + 1].upper() in {INBOX, INBOX + SEPARATOR}:
        pieces[0] = INBOX + pieces[0][len(INBOX) :]
    return pieces
