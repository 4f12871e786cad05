"""What the bytes of a message must be, whichever command brings them.

Looks at whole blocks: three counts and no loop over lines.  A fault is found once; after it the
rest of the message is only drained, and the client hears of it when its message has ended.
"""

from __future__ import annotations

from mailplat.model.errors import TooBig
from mailplat.model.reply import Reply

__all__ = ["ContentCheck"]

_TOO_BIG = Reply.to_error(TooBig())
_BARE = Reply.of(550, "Message has a CR or LF that is not part of a CRLF", "5.6.0")
_LONG_LINE = Reply.of(550, "Message has a line that is too long", "5.6.0")


class ContentCheck:
    """Checks a message that comes in blocks, cut anywhere.

    Attributes:
        size: Bytes seen so far.
    """

    def __init__(self, *, size_limit: int, line_limit: int, bare_newlines: bool) -> None:
        """Begin a message.

        Args:
            size_limit: Bytes of the message.
            line_limit: Bytes of a line with its CRLF (RFC 5321 §4.5.3.1.6).
            bare_newlines: Whether CR and LF may stand alone (RFC 5321 §2.3.8 says no).
        """
        self.size = 0
        self._size_limit = size_limit
        self._line_limit = line_limit
        self._bare_newlines = bare_newlines
        self._line = 0  # bytes since the last LF
        self._after_cr = False

    def receive(self, block: bytes) -> Reply | None:
        """Look at the next bytes; give the refusal if the message has to be refused."""
        self.size += len(block)
        if self.size > self._size_limit:
            return _TOO_BIG
        if not self._bare_newlines and self._has_bare(block):
            return _BARE
        return _LONG_LINE if self._has_long_line(block) else None

    def end(self) -> Reply | None:
        """The message is complete: give the refusal if its end is at fault."""
        return _BARE if self._after_cr else None

    def _has_bare(self, block: bytes) -> bool:
        if not block:
            return False
        feeds, returns = block.count(b"\n"), block.count(b"\r")
        pairs = block.count(b"\r\n")
        if self._after_cr:  # the CR of the former block was not judged yet
            if not block.startswith(b"\n"):
                return True
            feeds -= 1
        self._after_cr = block.endswith(b"\r")
        return feeds != pairs or returns - self._after_cr != pairs

    def _has_long_line(self, block: bytes) -> bool:
        start = -self._line  # where the line began, perhaps in a former block
        while len(block) - start > self._line_limit:  # hop from LF to LF, as far as allowed
            feed = block.rfind(b"\n", max(start, 0), start + self._line_limit)
            if feed < 0:
                return True
            start = feed + 1
        feed = block.rfind(b"\n", max(start, 0))
        self._line = len(block) - (start if feed < 0 else feed + 1)
        return False
