"""What a connection has to send: collected, joined, and written as directly as can be.

A short answer goes straight to the socket: no buffer, no reactor turn, no change of what the
reactor waits for.  What the socket does not take, and what is long, goes into the transport's
buffer, where the reactor sends it after others had their turn.

Invariant: bytes leave in the order in which they were put here.  Nothing goes to the socket while
the transport's buffer may have some.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor

__all__ = ["Outbox"]

_AT_ONCE = 16384
"""Bytes that are sent without the transport's buffer."""


class Outbox:
    """The bytes of one connection on their way out.

    Attributes:
        size: Bytes that were put here and not sent yet.
    """

    def __init__(self) -> None:
        self.size = 0
        self._out: list[bytes] = []
        self._wire: Any = None
        self._direct = False  # nothing is between us and the socket
        self._behind = False  # the transport's buffer has bytes, as far as we know

    def open(self, wire: Any, *, direct: bool) -> None:
        """Send by this transport from now on; ``direct`` where nothing (TLS) is in between."""
        self._wire = wire
        self._direct = direct and isinstance(wire, FileDescriptor)

    def put(self, data: bytes) -> None:
        """Send this with the next `send`."""
        self._out.append(data)
        self.size += len(data)

    def clear(self) -> None:
        """Forget what was not sent."""
        self._out.clear()
        self.size = 0

    def emptied(self) -> None:
        """The transport says that its buffer is empty."""
        self._behind = False

    def send(self) -> None:
        """Hand everything to the socket or to the transport."""
        out = self._out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self._out, self.size = [], 0
        if self._direct and not self._behind and len(data) <= _AT_ONCE:
            sent = self._wire.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = data[sent:]  # anything else is an error, which the reactor finds too
        self._wire.write(data)
        self._behind = True

    def push(self) -> None:
        """Have the transport send now what it has: saves a reactor turn."""
        if self._behind and self._direct:
            self._wire.doWrite()  # an error is found by the reactor
            self._behind = len(self._wire.dataBuffer) > 0
