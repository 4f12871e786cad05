"""Packets of the milter protocol: a length in four bytes, a command of one, and its data.

The length counts the command (libmilter's ``mfdef.h``).

Invariants:

- What comes is taken however it is cut, and no more of it is kept than one packet may have and
  what was received with it.
- Strings end with NUL; none that goes out has one inside.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailplat.model.errors import Unavailable

__all__ = ["MOST_BODY", "MOST_PACKET", "PacketReader", "packet", "strings", "text"]

MOST_BODY = 65535
"""Bytes of the message in one packet (MILTER_CHUNK_SIZE)."""

MOST_PACKET = 1 + 65535
"""Bytes of a packet that a milter sends, its command included; libmilter's own limit."""


def packet(command: str, data: bytes = b"") -> bytes:
    """Write a packet."""
    return (1 + len(data)).to_bytes(4, "big") + command.encode("ascii") + data


def text(value: str | bytes) -> bytes:
    """Write a string; a NUL in it becomes a blank."""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return data.replace(b"\0", b" ") + b"\0"


def strings(values: Iterable[str | bytes]) -> bytes:
    """Write strings, one behind the other."""
    return b"".join(map(text, values))


class PacketReader:
    """Cuts what a milter sends into packets.

    Args:
        most: Bytes of a packet, its command included.
    """

    def __init__(self, most: int = MOST_PACKET) -> None:
        self._data = bytearray()
        self._most = most

    def receive(self, data: bytes) -> None:
        """Take bytes, cut anywhere."""
        self._data += data

    @property
    def pending(self) -> int:
        """Bytes that came and were not taken."""
        return len(self._data)

    def next_packet(self) -> tuple[str, bytes] | None:
        """Give a command and its data; None while the next packet is not complete.

        Raises:
            Unavailable: It has no command, or is longer than a packet may be.
        """
        if len(self._data) < 4:
            return None
        size = int.from_bytes(self._data[:4], "big")
        if not 0 < size <= self._most:
            raise Unavailable(f"the milter sent a packet of {size} bytes")
        if len(self._data) < 4 + size:
            return None
        command, data = chr(self._data[4]), bytes(self._data[5 : 4 + size])
        del self._data[: 4 + size]
        return command, data
