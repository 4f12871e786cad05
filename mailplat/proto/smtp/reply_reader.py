"""A server's replies, read by a client out of bytes that are cut anywhere (RFC 5321 §4.2).

Lenient where it harms nobody: a bare LF ends a line too, and a line may be longer than 512 bytes.
Strict where a guess would put replies and commands out of step: what is no reply ends the
conversation.

Invariants:

- What is kept of one reply is bounded by ``ReplyLimits``, whatever the server sends.
- The text that comes out has no control characters: it goes into logs and delivery reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.model.reply import Reply

__all__ = ["NoReply", "ReplyLimits", "ReplyReader"]

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_STATUS = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?: +|$)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class NoReply(Exception):
    """What the server sent is no reply."""


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """What one reply may be.

    Attributes:
        line: Bytes of a line with its line end (RFC 5321 §4.5.3.1.5 has 512).
        size: Bytes of all its lines.
    """

    line: int = 4096
    size: int = 65536


class ReplyReader:
    """Takes bytes, gives replies.

    Args:
        limits: What one reply may be.
    """

    def __init__(self, limits: ReplyLimits) -> None:
        self._limits = limits
        self._data = b""
        self._position = 0
        self._code = 0
        self._lines: list[str] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._data) - self._position

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        self._data = self._data[self._position :] + data
        self._position = 0

    def clear(self) -> None:
        """Forget everything."""
        self._data, self._position = b"", 0
        self._code, self._size = 0, 0
        self._lines.clear()

    def next_reply(self) -> Reply | None:
        """Give the next reply; None until all of it is there.

        Raises:
            NoReply: There will never be one.
        """
        while (line := self._next_line()) is not None:
            match = _LINE.fullmatch(line)
            if match is None:
                raise NoReply("its answer is not a reply")
            code = int(match[1])
            if self._lines and code != self._code:
                raise NoReply("the lines of its reply have different codes")
            self._code = code
            self._lines.append(_CONTROL.sub("?", (match[3] or b"").decode("utf-8", "replace")))
            if match[2] != b"-":
                reply = _made(code, self._lines)
                self._lines.clear()
                self._size = 0
                return reply
        return None

    def _next_line(self) -> bytes | None:
        end = self._data.find(b"\n", self._position)
        size = (end + 1 if end >= 0 else len(self._data)) - self._position
        if size > self._limits.line:
            raise NoReply("a line of its reply is too long")
        if end < 0:
            return None
        self._size += size
        if self._size > self._limits.size:
            raise NoReply("its reply is too long")
        line = self._data[self._position : end]
        self._position = end + 1
        return line[:-1] if line.endswith(b"\r") else line


def _made(code: int, lines: list[str]) -> Reply:
    """Make a reply; the enhanced status code is taken off each line (RFC 2034 §4)."""
    found = _STATUS.match(lines[-1])
    status = found[0].strip() if found and int(found[1]) == code // 100 else ""
    if status:
        lines = [line[m.end() :] if (m := _STATUS.match(line)) else line for line in lines]
    return Reply(code, tuple(lines), status)
