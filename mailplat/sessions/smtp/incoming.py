"""One message on its way in: its bytes are kept and scanned at once, each block one time.

Invariants:

- The trace fields are the first bytes, for the scanner as for the intake (RFC 5321 §4.4).
- Whoever opened an `Incoming` closes it, or finishes it and closes the body that it gives.
- Changes of filters never touch the bytes that came: `EditedBody` puts new ones in front.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody, IIntake
from mailplat.message.edit import edit_body, edit_header
from mailplat.message.scan import ScanLimits, Scanner
from mailplat.message.summary import summarize
from mailplat.model.summary import Summary
from mailplat.model.verdict import Change

__all__ = ["EditedBody", "Finished", "Incoming", "edited"]

_BLOCK = 256 * 1024
"""Bytes of a body that are read at once."""

_EMPTY_LINE = b"\r\n\r\n"


@implementer(IBody)
class EditedBody:
    """New bytes, and behind them the rest of another body; closing it closes that one.

    Args:
        head: The bytes in front.
        body: The other body.
        start: Where its rest begins.
    """

    def __init__(self, head: bytes, body: IBody, start: int) -> None:
        self.size = len(head) + body.size - start
        self.in_memory = body.in_memory
        self._head = head
        self._body = body
        self._start = start

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        head, shift = self._head[start:stop], self._start - len(self._head)
        if stop <= len(self._head):
            return head
        return head + self._body.read(max(start + shift, self._start), stop + shift)

    def close(self) -> None:
        """See `IBody.close`."""
        self._body.close()


class Finished:
    """A complete message.

    Attributes:
        header: The header with its empty line and the trace fields.
        body: All of the bytes; whoever has it closes it.
        summary: What the scanner found.
    """

    __slots__ = ("body", "header", "summary")

    def __init__(self, header: bytes, body: IBody, summary: Summary) -> None:
        self.header = header
        self.body = body
        self.summary = summary


class Incoming:
    """A message that is being received.

    Args:
        intake: Keeps the bytes.
        trace: The trace fields that go in front.
        limits: How far the scanner goes.

    Attributes:
        header: The header with its empty line and the trace fields, once it is complete (or
            larger than the scanner's limit, then cut there); None before.
    """

    def __init__(self, intake: IIntake, trace: bytes, limits: ScanLimits) -> None:
        self.header: bytes | None = None
        self._intake: IIntake | None = intake
        self._limits = limits
        self._scanner = Scanner(limits)
        self._trace = trace
        self._head = trace

    async def receive(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            StorageFull: There is no room for them.
        """
        intake = self._intake
        assert intake is not None
        if self._trace:
            block, self._trace = self._trace + block, b""
            self._head = b""
        if self.header is None:
            self._look_for_header(block)
        self._scanner.receive(block)
        waiting = intake.write(block)
        if waiting is not None:
            await waiting

    def _look_for_header(self, block: bytes) -> None:
        before, self._head = len(self._head), self._head + block
        end = self._head.find(_EMPTY_LINE, max(0, before - 3))
        if end >= 0:
            self.header, self._head = self._head[: end + 4], b""
        elif len(self._head) > self._limits.header_bytes:
            self.header, self._head = self._head[: self._limits.header_bytes], b""

    async def finish(self) -> Finished:
        """All bytes are there: give the message."""
        intake, self._intake = self._intake, None
        assert intake is not None
        summary = summarize(self._scanner.close())
        body = intake.finish()
        try:
            header = summary.header or await _read(body, 0, summary.header_size)
        except BaseException:
            body.close()
            raise
        return Finished(header, body, summary)

    def close(self) -> None:
        """Throw away what came; after `finish`, does nothing."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None


async def edited(
    message: Finished, cut: int, front: bytes, changes: Sequence[Change], limits: ScanLimits
) -> Finished:
    """Apply the changes that filters want, and scan the message again.

    Args:
        message: As it came; its body belongs to the new one.
        cut: Bytes of its header that ``front`` takes the place of.
        front: What stands above all changes.
        changes: Those of header and body.
        limits: How far the scanner goes.
    """
    header = front + edit_header(message.header[cut:], changes)
    replacement = edit_body(changes)
    if replacement is None:
        body = EditedBody(header, message.body, len(message.header))
    else:
        body = EditedBody(header + replacement, message.body, message.body.size)
    scanner = Scanner(limits)
    for start in range(0, body.size, _BLOCK):
        scanner.receive(await _read(body, start, start + _BLOCK))
    return Finished(header, body, summarize(scanner.close()))


async def _read(body: IBody, start: int, stop: int) -> bytes:
    if body.in_memory:
        return body.read(start, stop)
    data: bytes = await deferToThread(body.read, start, stop)
    return data
