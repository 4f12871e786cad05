"""The multi-line answer: dots stuffed, and the end marked (RFC 1939 §3).

Blocks in, blocks out, wherever they are cut; no Python call a line.

Invariants:

- No line of the content begins with a dot that is not doubled, so nothing in a message can end
  the answer early.  A bare LF counts as a line's end too: there are clients that read so.
- The end stands at the start of a line, whatever the content ended with.
"""

from __future__ import annotations

__all__ = ["DotStuffer", "LineCounter", "stuffed"]


def stuffed(content: bytes) -> bytes:
    """Give a whole content as it goes on the wire, with the end mark."""
    wire = content.replace(b"\n.", b"\n..")
    if wire.startswith(b"."):
        wire = b"." + wire
    return wire + (b".\r\n" if wire.endswith(b"\r\n") or not wire else b"\r\n.\r\n")


class DotStuffer:
    """Stuffs one content that comes in blocks."""

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last two bytes so far: it begins at the start of a line

    def stuff(self, block: bytes) -> bytes:
        """Take the next bytes; return them with dots doubled."""
        if not block:
            return b""
        wire = block.replace(b"\n.", b"\n..")
        if self._tail.endswith(b"\n") and block.startswith(b"."):
            wire = b"." + wire
        self._tail = (self._tail + block[-2:])[-2:]
        return wire

    def end(self) -> bytes:
        """Give the end mark, behind a line end if the content had none."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


class LineCounter:
    """Lets the first lines of a content through (RFC 1939 §7 TOP).

    Args:
        lines: How many.

    Attributes:
        done: Whether all of them were seen.
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        self.done = lines <= 0

    def take(self, block: bytes) -> bytes:
        """Take the next bytes; return those that belong to the lines."""
        if self.done:
            return b""
        count = block.count(b"\n")
        if count < self._left:
            self._left -= count
            return block
        self.done = True
        # the line end that is the last one wanted: what lies before it is split off once
        rest = block.split(b"\n", self._left)[-1]
        return block[: len(block) - len(rest)]
