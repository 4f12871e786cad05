"""What a store may offer to those who look for text: fewer messages to look through.

SEARCH asks for substrings of decoded, folded text (RFC 9051 §6.4.4).  Whoever asks reads the text
and compares; an index only says which messages are worth it.  So it may name too many, and never
one too few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from enum import Enum

from zope.interface import Interface

__all__ = ["ISearchIndex", "ISearchable", "Searched"]


class Searched(Enum):
    """Which text of a message is looked through; see `mailplat.message.text`."""

    HEADER = "header"  # `search_header` of its header: all fields
    BODY = "body"  # `search_text`
    TEXT = "text"  # either


class ISearchable(Interface):
    """An ability that an `IMailbox` may have.

    Conformance: `mailplat.testing.stores.SearchContract`.
    """

    def candidates(
        needle: str, where: Searched, uids: Sequence[int]
    ) -> Awaitable[Sequence[int] | None]:
        """Pick the messages that may have a text.

        Args:
            needle: As `mailplat.message.text.fold` gives it.
            where: Which text is meant.
            uids: The messages asked about, ascending.

        Returns:
            Those of ``uids`` that are not known to be without the needle, ascending: every
            message that has it, and perhaps others.  None where the store cannot tell, or
            not in less time than reading takes; for instance for fewer than three
            characters.  It never fails for the index's sake.
        """


class ISearchIndex(Interface):
    """An ability that an `IStore` may have: an index of text that follows by itself, later."""

    def catch_up() -> Awaitable[None]:
        """Take everything in that was committed before the call.

        Raises:
            Unavailable: It cannot be read or written now.
        """

    def rebuild() -> Awaitable[None]:
        """Throw the index away and build it anew; searches read the text meanwhile."""
