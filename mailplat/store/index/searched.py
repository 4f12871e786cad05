"""The text of messages as a search index takes it in: what SEARCH would look through."""

from __future__ import annotations

from twisted.logger import Logger

from mailplat.message import headers
from mailplat.message.text import search_header, search_text
from mailplat.model.errors import Corrupt
from mailplat.store.index.bodies import Bodies, Wanted
from mailplat.store.index.database import Connection

__all__ = ["SEARCHED_BYTES", "SEARCHED_CONTENTS", "SHORTEST", "read_text"]

_log = Logger()

SHORTEST = 3
"""Characters of a needle below which an index of trigrams cannot tell."""

SEARCHED_CONTENTS = 64
"""Contents that are taken in at once."""

SEARCHED_BYTES = 1 << 20
"""Bytes of them, unless a single one is larger."""


def read_text(
    connection: Connection, bodies: Bodies, want: Wanted, parts: bytes
) -> tuple[str, str] | None:
    """Read the text of a message's header and of its body; None if it cannot be read.

    Args:
        connection: To the store's database; the thread blocks.
        bodies: Have the bytes.
        want: The whole message.
        parts: Its summary's parts.

    Raises:
        Unavailable: The database cannot be read now.
    """
    body: bytes | None = b""
    if want.size:
        try:
            (body,) = bodies.read(connection, [want])
        except Corrupt as error:
            _log.warn("not in the search index: {error}", error=error.reason)
            body = None
    if body is None:
        return None
    return search_header(headers.split(body)[0]), search_text(body, parts)
