r"""A milter for tests, which does as it is told, well or badly.

It reads packets by itself, so that a fault of our own codec is not mirrored, and notes what it is
told in the order it comes:

    milter = await FakeMilter({"E": [b"h" + b"X-Seen\0yes\0", b"c"]}).listen(path)
    ...
    assert milter.commands == "OCHMRTLLNBE"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

__all__ = ["CLOSE", "HANG", "FakeMilter", "milter_packet"]

reactor: Any = _reactor

HANG = b""
"""In place of an answer: says nothing."""

CLOSE = b"close"
"""In place of an answer: closes the connection."""


def milter_packet(content: bytes) -> bytes:
    """Write a packet of a command and its data."""
    return len(content).to_bytes(4, "big") + content


class FakeMilter:
    """A milter.

    Attributes:
        answers: What it answers to each command, each a packet's content; ``c`` where nothing is
            said.  May change at any time.
        actions: What it says that it does.
        steps: What it does not want, and does not answer.
        version: What it speaks.
        macros: What it wants to be told, as the protocol writes it.
        raw: Bytes that it sends instead of an answer to the offer.
        bytewise: Whether it sends a byte at a time.
        told: What it was told: commands with their data, macros too.
        connections: How many there were.
        open: Those that there are.
    """

    def __init__(
        self,
        answers: Mapping[str, Sequence[bytes]] | None = None,
        *,
        actions: int = 0x1FF,
        steps: int = 0,
        version: int = 6,
    ) -> None:
        self.answers: dict[str, Sequence[bytes]] = dict(answers or {})
        self.actions = actions
        self.steps = steps
        self.version = version
        self.macros = b""
        self.raw: bytes | None = None
        self.bytewise = False
        self.told: list[tuple[str, bytes]] = []
        self.connections = 0
        self.open: set[Any] = set()
        self.busy = 0
        self.where = ""
        self._port: Any = None

    @property
    def commands(self) -> str:
        """What it was told, without macros and data."""
        return "".join(command for command, _ in self.told if command != "D")

    def data(self, command: str) -> list[bytes]:
        """Give the data of each command of a kind."""
        return [data for known, data in self.told if known == command]

    def offer(self) -> bytes:
        """Answer the offer."""
        numbers = (self.version, self.actions, self.steps)
        return b"O" + b"".join(one.to_bytes(4, "big") for one in numbers) + self.macros

    async def listen(self, path: Path) -> FakeMilter:
        """Listen on a Unix socket."""
        factory = Factory.forProtocol(lambda: _Telling(self))
        factory.noisy = False
        self.where = f"unix:{path}"
        self._port = await serverFromString(reactor, self.where).listen(factory)
        return self

    async def stop(self) -> None:
        """Stop listening, and close what is open."""
        for one in list(self.open):
            one.transport.abortConnection()
        while self.open or self.busy:
            await deferLater(reactor, 0, int)
        await self._port.stopListening()


class _Telling(Protocol):
    """One connection."""

    def __init__(self, milter: FakeMilter) -> None:
        self._milter = milter
        self._data = self._waiting = b""

    def connectionMade(self) -> None:
        self._milter.connections += 1
        self._milter.open.add(self)

    def connectionLost(self, reason: Any = None) -> None:
        self._milter.open.discard(self)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= 4:
            end = 4 + int.from_bytes(self._data[:4], "big")
            if len(self._data) < end:
                return
            content, self._data = self._data[4:end], self._data[end:]
            self._told(content[:1].decode(), content[1:])

    def _told(self, command: str, data: bytes) -> None:
        milter = self._milter
        milter.told.append((command, data))
        if command in "DAKQ":
            return
        usual = [milter.offer()] if command == "O" else [b"c"]
        if command == "O" and milter.raw is not None:
            self._say(milter.raw)
            return
        if milter.steps & _SILENT.get(command, 0):
            usual = []
        for answer in milter.answers.get(command, usual):
            if answer == CLOSE:
                wire: Any = self.transport
                wire.loseConnection()
            elif answer != HANG:
                self._say(milter_packet(answer))

    def _say(self, data: bytes) -> None:
        wire: Any = self.transport
        if not self._milter.bytewise:
            wire.write(data)
            return
        if not self._waiting:
            self._milter.busy += 1
            reactor.callLater(0, self._trickle)
        self._waiting += data

    def _trickle(self) -> None:
        wire: Any = self.transport
        if self in self._milter.open:
            wire.write(self._waiting[:1])
            self._waiting = self._waiting[1:]
        else:
            self._waiting = b""
        if self._waiting:
            reactor.callLater(0, self._trickle)
        else:
            self._milter.busy -= 1


_SILENT = {
    "C": 0x1000,
    "H": 0x2000,
    "M": 0x4000,
    "R": 0x8000,
    "T": 0x10000,
    "U": 0x20000,
    "L": 0x80,
    "N": 0x40000,
    "B": 0x80000,
}
"""The step that a milter has taken that does not answer a command."""
