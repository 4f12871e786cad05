"""The bytes of a message on their way out (RFC 5321 §4.5.2, RFC 3030 §2).

Blocks in, bytes out; nothing depends on where the blocks are cut.

Invariants:

- No bare CR or LF goes out (RFC 5321 §2.3.8), so that nothing can look like the end of a message
  to a server that reads lines otherwise than we do.  A LF alone becomes CRLF: that is the line end
  it was meant for.  A CR alone becomes a blank: as a line end it could cut a header in two.
- In DATA, a dot that begins a line is doubled, behind the line ends that are sent, not those that
  were stored: a line end that was made here counts.
- A binary message goes by BDAT as it is, every byte.
"""

from __future__ import annotations

import re

__all__ = ["DotStuffer", "LineEnds", "chunk"]

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ENDS = {b"\r": b" ", b"\n": b"\r\n"}


class LineEnds:
    """Makes every line end a CRLF.

    Attributes:
        changed: Whether anything was other than CRLF: the message is not what it was.
    """

    def __init__(self) -> None:
        self.changed = False
        self._held = b""  # a CR, perhaps of a CRLF
        self._whole = True  # what went out ends a line

    def write(self, block: bytes) -> bytes:
        """Take the next block; give what can go out."""
        data = self._held + block if self._held else block
        if data.endswith(b"\r"):
            self._held, data = b"\r", data[:-1]
        else:
            self._held = b""
        if not data:
            return b""
        pairs = data.count(b"\r\n")
        if data.count(b"\n") != pairs or data.count(b"\r") != pairs:
            self.changed = True
            data = _BARE.sub(lambda match: _ENDS[match[0]], data)
        self._whole = data.endswith(b"\n")
        return data

    def end(self) -> bytes:
        """Give what completes the last line."""
        if self._held:
            self.changed = True
            self._held = b""
            return b" \r\n"
        return b"" if self._whole else b"\r\n"


class DotStuffer:
    """Writes one message for DATA, its end included."""

    def __init__(self) -> None:
        self._ends = LineEnds()
        self._starts = True  # the next byte begins a line

    def write(self, block: bytes) -> bytes:
        """Take the next block; give what goes to the server."""
        data = self._ends.write(block)
        if not data:
            return b""
        stuffed = data.replace(b"\n.", b"\n..")  # every LF is behind a CR by now
        if self._starts and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._starts = data.endswith(b"\n")
        return stuffed

    def end(self) -> bytes:
        """Give what ends the message: the last line end, and the dot."""
        return self._ends.end() + b".\r\n"


def chunk(data: bytes, *, last: bool) -> bytes:
    """Put BDAT before a chunk (RFC 3030 §2)."""
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data
