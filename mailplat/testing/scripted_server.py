"""An SMTP or LMTP server that does what a test says: refuses, stalls, lies, hangs up at any step.

It speaks over real sockets on 127.0.0.1; what it is not told to do otherwise, it does right::

    server = ScriptedServer()
    server.script["RCPT"] = ["250 ok", "550 5.1.1 nobody"]   # for the first, and for all after it
    server.script["END"] = [HANG_UP]
    await server.listen()
    ...
    await server.stop()
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from mailplat.proto.smtp.bdat import ChunkReader
from mailplat.proto.smtp.data import DataReader
from mailplat.testing.turns import until

__all__ = ["HANG_UP", "STALL", "ScriptedServer"]

HANG_UP = "(hang up)"
STALL = "(say nothing)"

_RIGHT = {
    "GREETING": "220 mx.example",
    "DATA": "354 go",
    "QUIT": "221 bye",
    "STARTTLS": "220 go",
    "AUTH": "235 ok",
}


class ScriptedServer:
    """A server for tests.

    Args:
        offers: What EHLO answers.
        lmtp: Whether the message is answered for each recipient.
        tls: What ``startTLS`` takes, for STARTTLS; None hangs in the handshake.

    Attributes:
        script: Answers by verb, and for ``GREETING`` and ``END`` (the message's end); the last
            one stays.  An answer is a line or several, `HANG_UP` or `STALL`.
        commands: All commands, in order.
        messages: The messages that were answered positively, each with its recipients.
        connections: How many there were.
        open: How many there are.
        port: Where it listens.
    """

    def __init__(self, *offers: str, lmtp: bool = False, tls: object | None = None) -> None:
        self.offers = offers or ("PIPELINING", "8BITMIME")
        self.lmtp = lmtp
        self.tls = tls
        self.script: defaultdict[str, list[str]] = defaultdict(list)
        self.commands: list[str] = []
        self.messages: list[tuple[tuple[str, ...], bytes]] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._listening: Any = None
        self._peers: set[_Peer] = set()

    async def listen(self, *, wrap: Any = None, port: int = 0) -> int:
        """Open a port of 127.0.0.1; tell its number.

        Args:
            wrap: Puts something in front of the factory: TLS from the first byte on.
            port: A number; 0 takes a free one.
        """
        factory: Any = Factory.forProtocol(lambda: _Peer(self))
        factory.noisy = False
        listen: Any = reactor
        self._listening = listen.listenTCP(
            port, wrap(factory) if wrap else factory, interface="127.0.0.1"
        )
        self.port = int(self._listening.getHost().port)
        return self.port

    async def stop(self) -> None:
        """Close the port, and all connections."""
        if self._listening is not None:
            await self._listening.stopListening()
        for peer in list(self._peers):
            peer.hang_up()
        await until(lambda: not self.open)

    def answer(self, verb: str) -> str:
        """Give the script's next answer to a verb."""
        answers = self.script[verb]
        if not answers:
            return _RIGHT.get(verb, "250 ok")
        return answers.pop(0) if len(answers) > 1 else answers[0]


class _Peer(Protocol):
    """One connection."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._data = b""
        self._reader: DataReader | ChunkReader | None = None
        self._body = b""
        self._recipients: list[str] = []
        self._stalled = False

    def connectionMade(self) -> None:
        """Greet."""
        self._server.connections += 1
        self._server.open += 1
        self._server._peers.add(self)
        self._say("GREETING")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._server.open -= 1
        self._server._peers.discard(self)

    def hang_up(self) -> None:
        """End the connection without a word."""
        wire: Any = self.transport
        wire.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Obey."""
        self._data += data
        while self._data and not self._stalled:
            if self._reader is not None:
                if not self._read_body(self._reader):
                    return
            elif b"\r\n" in self._data:
                line, _, self._data = self._data.partition(b"\r\n")
                self._obey(line.decode())
            else:
                return

    def _read_body(self, reader: DataReader | ChunkReader) -> bool:
        self._body += reader.receive(self._data)
        self._data = reader.rest
        if not reader.done:
            self._data = b""
            return False
        self._reader = None
        if reader.last:
            self._end()
        else:
            self._say("BDAT")
        return True

    def _end(self) -> None:
        positive = []
        for _ in self._recipients if self._server.lmtp else [""]:
            positive.append(self._say("END").startswith("250"))
        if self._server.lmtp:
            pairs = zip(self._recipients, positive, strict=True)
            taken = tuple(one for one, good in pairs if good)
        else:
            taken = tuple(self._recipients) if positive[0] else ()
        if taken:
            self._server.messages.append((taken, self._body))
        self._body, self._recipients = b"", []

    def _obey(self, line: str) -> None:
        self._server.commands.append(line)
        verb = line.partition(" ")[0]
        if verb in {"EHLO", "LHLO"} and not self._server.script[verb]:
            self._write("\r\n".join(f"250-{one}" for one in ("mx.example", *self._server.offers)))
            self._write("250 HELP")
            return
        if verb == "BDAT":
            size, *last = line.split()[1:]
            self._reader = ChunkReader(int(size), bool(last))
            if size == "0":
                self._read_body(self._reader)
            return
        said = self._say(verb)
        if verb == "RCPT" and said.startswith("25"):
            self._recipients.append(line.partition("<")[2].partition(">")[0])
        elif verb == "DATA" and said.startswith("354"):
            self._reader = DataReader()
        elif verb == "STARTTLS" and said.startswith("220"):
            self._data = b""
            if self._server.tls is None:
                self._stalled = True
                return
            wire: Any = self.transport
            wire.startTLS(self._server.tls)
        elif verb in {"RSET", "MAIL"}:
            self._recipients = []
        elif verb == "QUIT":
            wire = self.transport
            wire.loseConnection()

    def _say(self, verb: str) -> str:
        said = self._server.answer(verb)
        if said == HANG_UP:
            self.hang_up()
        elif said == STALL:
            self._stalled = True
        else:
            self._write(said)
        return said

    def _write(self, lines: str) -> None:
        wire: Any = self.transport
        wire.write(lines.encode() + b"\r\n")
