"""A message is looked at once before an attempt: what does it ask of a server?

A small one that is kept in a file is read whole on the way, so that it costs one visit to a thread
however many servers it goes to.
"""

from __future__ import annotations

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailplat.interfaces.bodies import IBody
from mailplat.proto.smtp.transfer import Contents, ContentScan

__all__ = ["NO_BODY", "examine"]

_BLOCK = 1 << 18
"""Bytes that are read at once; what is no larger is kept in memory while it is sent."""


@implementer(IBody)
class _Held:
    """A small body, in memory."""

    in_memory = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self._data[start:stop]

    def close(self) -> None:
        """See `IBody.close`: the body it was made from is its caller's."""


NO_BODY: IBody = _Held(b"")
"""For where no message is sent."""


async def examine(body: IBody) -> tuple[Contents, IBody]:
    """Tell what a message needs, and what to read it from: the body itself, or a copy of it."""
    if body.in_memory:
        return _scan(body)[0], body
    contents, data = await deferToThread(_scan, body)
    return contents, body if data is None else _Held(data)


def _scan(body: IBody) -> tuple[Contents, bytes | None]:
    scan = ContentScan()
    block = b""
    for start in range(0, body.size, _BLOCK):
        block = body.read(start, start + _BLOCK)
        scan.receive(block)
    return scan.contents(), block if body.size <= _BLOCK else None
