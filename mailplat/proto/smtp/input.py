"""The bytes that a peer sent and that nobody has read yet.

Lines come out one at a time; the bytes of a message come out all at once.  Only CRLF ends a line;
what a bare LF means is for the caller to say, since after one nobody knows where lines end.
Nothing is copied for a line that waits: a position moves through the buffer.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Fault", "Input"]


class Fault(Enum):
    """Why a line is none."""

    TOO_LONG = "it was longer than allowed, and is passed over"
    BARE_FEED = "it ended with LF alone"


class Input:
    """A buffer of input; what it keeps of one line is bounded by that line's limit."""

    def __init__(self) -> None:
        self._data = b""
        self._position = 0
        self._overlong = False  # what came so far of this line was dropped

    def __len__(self) -> int:
        return len(self._data) - self._position

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer, cut anywhere."""
        self._data = self._data[self._position :] + data
        self._position = 0

    def starts_with(self, word: bytes) -> bool:
        """Whether what comes next begins with a word, in any case."""
        return self._data[self._position : self._position + len(word)].upper() == word

    def take_line(self, limit: int) -> bytes | Fault | None:
        """Take the next line without its CRLF; None until all of it is there.

        Args:
            limit: Bytes that it may have, CRLF included.
        """
        end = self._data.find(b"\n", self._position)
        if end < 0:
            if len(self) > limit:
                self._overlong = True
                self._data, self._position = self._data[-1:], 0  # perhaps the CR of a CRLF
            return None
        start, self._position = self._position, end + 1
        if end == start or self._data[end - 1] != 0x0D:
            return Fault.BARE_FEED
        if self._overlong or end + 1 - start > limit:
            self._overlong = False
            return Fault.TOO_LONG
        return self._data[start : end - 1]

    def take_all(self) -> bytes:
        """Take everything."""
        data = self._data[self._position :]
        self.clear()
        return data

    def clear(self) -> None:
        """Forget everything."""
        self._data, self._position, self._overlong = b"", 0, False
