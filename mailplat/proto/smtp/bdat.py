"""The chunks of BDAT: so many bytes, whatever they are (RFC 3030 §2).

A chunk is counted, never searched.  A BDAT command whose size cannot be read leaves nobody knowing
where the next command begins: `parse_chunk` then gives None, and the connection has to end.
"""

from __future__ import annotations

import re

__all__ = ["ChunkReader", "parse_chunk"]

_ARGUMENT = re.compile(rb"([0-9]{1,19})(?: +(LAST))?", re.IGNORECASE)


class ChunkReader:
    """Reads one chunk out of the bytes that follow a BDAT command.

    Attributes:
        size: How many bytes the client announced.
        last: Whether the message ends with this chunk.
        left: How many of the bytes are still to come.
        rest: Once nothing is left, the bytes behind the chunk.
    """

    def __init__(self, size: int, last: bool) -> None:
        self.size = size
        self.last = last
        self.left = size
        self.rest = b""

    @property
    def done(self) -> bool:
        """Whether all of the chunk was read."""
        return self.left == 0

    def receive(self, data: bytes) -> bytes:
        """Take the next bytes; return those that belong to the chunk."""
        ready = data[: self.left]
        self.left -= len(ready)
        if self.done:
            self.rest = data[len(ready) :]
        return ready


def parse_chunk(argument: bytes) -> ChunkReader | None:
    """Read what follows BDAT; None if nobody can say how many bytes will come."""
    match = _ARGUMENT.fullmatch(argument)
    return ChunkReader(int(match[1]), match[2] is not None) if match else None
