"""The input cut into lines and literals (RFC 9051 §2.2, §4.3), however the network cut it.

The methods that wait are generators: each bare ``yield`` asks for more input, and the value comes
by ``yield from``.  So whoever reads a command reads it top to bottom, and can stop anywhere.

Invariants:

- Only CRLF ends a line.  A bare LF in one is a fault, told as soon as it is seen.
- What is held is bounded: a line by its limit, a literal by the size its reader agreed to.
- After a fault `rest_of_line` finds the true end of the line, and the literal it announces,
  so that nothing a client meant as data is ever read as a command.
"""

from __future__ import annotations

from collections.abc import Generator

from mailplat.proto.imap.compression import Compression, Uninflatable
from mailplat.proto.imap.tokens import Announced, announced_in

__all__ = ["BadLine", "EndOfInput", "Flooded", "Fragments", "LongLine"]

_TAIL = 64
"""Bytes kept of a line that is passed over: enough for the announcement of a literal."""


_INFLATED = 16384
"""Bytes inflated at once."""


class BadLine(Exception):
    """A line cannot be read; what is left of it is still in the input.

    Attributes:
        head: How it began, for its tag.
        text: What is wrong with it.
    """

    def __init__(self, head: bytes, text: str) -> None:
        super().__init__(text)
        self.head = head
        self.text = text


class LongLine(BadLine):
    """A line is too long; all of it is still in the input."""


class EndOfInput(Exception):
    """The peer sends no more, and what is asked for is not there."""


class Flooded(Exception):
    """More had to be passed over than is allowed."""


class Fragments:
    """What a peer sent and nobody has read yet.

    Attributes:
        ended: Whether no more will come.
    """

    def __init__(self) -> None:
        self.ended = False
        self._buffer = bytearray()
        self._compression: Compression | None = None

    def __len__(self) -> int:
        return len(self._buffer) + len(self._compression or b"")

    def add(self, data: bytes) -> None:
        """Take bytes that came."""
        if self._compression is not None:
            self._compression.receive(data)
        else:
            self._buffer += data

    def compressed_by(self, compression: Compression) -> None:
        """From here on what comes is compressed, and what came already and was not read."""
        compression.receive(self.take_all())
        self._compression = compression

    def put_back(self, line: bytes) -> None:
        """Make a line the next to be read again."""
        self._buffer[:0] = line + b"\r\n"

    def take_all(self) -> bytes:
        """Give everything that is there."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def take(self, size: int) -> Generator[None, None, bytes]:
        """Give some bytes, at least one and at most so many."""
        while not self._buffer:
            yield from self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def line(self, limit: int) -> Generator[None, None, bytes]:
        """Give a line without its CRLF.

        Args:
            limit: Bytes that it may have.

        Raises:
            BadLine: It is longer, or holds a bare LF.
        """
        buffer = self._buffer
        start = 0
        while True:
            end = buffer.find(b"\r\n", start, limit + 2)
            fault = buffer.find(b"\n", start, end if end >= 0 else limit + 2)
            if fault >= 0:
                head = bytes(buffer[:fault])
                del buffer[: fault + 1]
                raise BadLine(head, "Lines end in CR LF")
            if end >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 2]
                return line
            if len(buffer) >= limit + 2:
                raise LongLine(bytes(buffer[:limit]), "Line too long")
            start = max(len(buffer) - 1, 0)
            yield from self._more()

    def literal(self, size: int) -> Generator[None, None, bytes]:
        """Give exactly so many bytes."""
        while len(self._buffer) < size:
            yield from self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def rest_of_line(self, limit: int) -> Generator[None, None, Announced | None]:
        """Pass over what is left of a line; give the literal that it announces.

        Raises:
            Flooded: It is longer than ``limit`` bytes.
        """
        buffer = self._buffer
        passed = 0
        while True:
            end = buffer.find(b"\r\n")
            if end >= 0:
                announced = announced_in(bytes(buffer[max(0, end - _TAIL) : end]))
                del buffer[: end + 2]
                return announced
            surplus = len(buffer) - _TAIL - 1
            if surplus > 0:
                passed += surplus
                del buffer[:surplus]
                if passed > limit:
                    raise Flooded
            yield from self._more()

    def pass_over(self, size: int) -> Generator[None, None, None]:
        """Drop exactly so many bytes."""
        while size:
            dropped = min(size, len(self._buffer))
            del self._buffer[:dropped]
            size -= dropped
            if size:
                yield from self._more()

    def _more(self) -> Generator[None, None, None]:
        if self._compression is not None:
            try:
                data = self._compression.take(_INFLATED)
            except Uninflatable:
                raise EndOfInput from None
            if data:
                self._buffer += data
                return
        if self.ended:
            raise EndOfInput
        yield
