"""The body of DATA: dots unstuffed and the end found (RFC 5321 §4.5.2).

Bytes in, bytes out.  Only ``<CRLF>.<CRLF>`` ends a message: a bare CR or LF never ends a line, so
no message can smuggle in a second one (RFC 5321 §4.1.1.4).
"""

from __future__ import annotations

__all__ = ["DataReader"]

_END = b"\r\n.\r\n"
_DOT = b"\r\n."


class DataReader:
    """Reads one message out of the bytes that follow ``354``, however they are cut.

    What comes out never ends between a CR and its LF, so that whoever looks at the blocks one
    by one sees every line end whole.

    Attributes:
        done: Whether the final dot was seen.
        last: A message of DATA comes in one piece.
        rest: Once done, the bytes that the client pipelined behind the message.
    """

    last = True

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._held = b"\r\n"  # the message starts at the start of a line
        self._started = False

    def receive(self, data: bytes) -> bytes:
        """Take the next bytes; return those that now surely belong to the message."""
        held = self._held + data
        # base64 has no dot, and looking for one byte takes a fraction of looking for three
        dot = held.find(_DOT) if b"." in held else -1
        end = held.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self.done, self.rest = True, held[end + len(_END) :]
            cut = end + 2  # the last line keeps its CRLF
        else:
            cut = len(held) - next(n for n in (4, 3, 2, 1, 0) if held.endswith(_END[:n]))
        self._held, ready = held[cut:], held[:cut]
        if dot >= 0:
            ready = ready.replace(_DOT, b"\r\n")
        if ready and not self._started:
            self._started, ready = True, ready[2:]
        return ready
