r"""A mailbox's table of keywords: which bit of a flag mask stands for which word.

Invariants: a keyword never changes its bit, and the table only grows; keywords that differ by case
alone are one, spelled as the first one who set it spelled it (RFC 9051 §2.3.2).  A word takes a
place only when a message is given it, never because somebody asked for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from mailplat.model.errors import Cannot, LimitReached
from mailplat.model.flags import FIRST_KEYWORD, SYSTEM_FLAGS, is_keyword

__all__ = ["MAX_KEYWORDS", "KeywordTable"]

MAX_KEYWORDS = 63 - FIRST_KEYWORD
"""Keywords that fit into a mask of 63 bits, which an array and a database column can hold."""

_SYSTEM = {name.lower(): bit for name, bit in SYSTEM_FLAGS.items()}


class KeywordTable:
    """The keywords of one mailbox.

    Args:
        limit: How many there may be; never more than `MAX_KEYWORDS`.
        names: Those there are already, in the order of their bits.
    """

    def __init__(self, limit: int, names: Iterable[str] = ()) -> None:
        self._limit = min(limit, MAX_KEYWORDS)
        self._names = list(names)
        self._bits = {
            name.lower(): 1 << FIRST_KEYWORD + index for index, name in enumerate(self._names)
        }

    @property
    def names(self) -> Sequence[str]:
        """The keywords; number i is bit 5 + i of a mask."""
        return tuple(self._names)

    def known_mask(self, flags: Collection[str]) -> int:
        """Give the mask of those flags that the table has; pass over the others."""
        mask = 0
        for flag in flags:
            key = flag.lower()
            mask |= _SYSTEM.get(key, 0) or self._bits.get(key, 0)
        return mask

    def missing(self, flags: Iterable[str]) -> list[str]:
        r"""Name the keywords that would have to be added, each once, sorted.

        Raises:
            Cannot: One is neither a system flag nor a word that a keyword may be.
            LimitReached: The table has no room for them.
        """
        found: dict[str, str] = {}
        for flag in sorted(flags):
            key = flag.lower()
            if key in _SYSTEM or key in self._bits or key in found:
                continue
            if not is_keyword(flag):
                raise Cannot(f"no flag may be called {flag!r}", public="Not a flag or keyword")
            found[key] = flag
        if found and len(self._names) + len(found) > self._limit:
            raise LimitReached(
                f"a mailbox may have {self._limit} keywords", public="Too many keywords"
            )
        return list(found.values())

    def fitting(self, flags: Iterable[str]) -> list[str]:
        """Name the keywords that would have to be added; none if there is no room for them all.

        For messages that are worth more than their keywords: copies, moves and deliveries.  What
        cannot be a keyword is passed over.
        """
        try:
            return self.missing(flag for flag in flags if is_keyword(flag))
        except LimitReached:
            return []

    def add(self, names: Iterable[str]) -> None:
        """Give each keyword the next bit; `missing` said that they are new and have room."""
        for name in names:
            self._bits[name.lower()] = 1 << FIRST_KEYWORD + len(self._names)
            self._names.append(name)
