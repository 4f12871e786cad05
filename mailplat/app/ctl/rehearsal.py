"""A whole SMTP dialogue with the server's own parts, in process, of which nothing is delivered.

The conversation, the session, the routes, the accounts and the filters are those of the
configuration; only the store and the spool are others, which note what they would have been given.
Filters that ask other servers do ask them; quotas are not looked at, for the store is not opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailplat.app.assembly import Parts
from mailplat.app.listening import ports_of
from mailplat.config.sections.server import ListenerProtocol
from mailplat.interfaces.spool import NewMail
from mailplat.interfaces.store import NewMessage, Target
from mailplat.model.address import Address
from mailplat.model.mailbox import QuotaLimit

__all__ = ["Rehearsal", "rehearse"]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A dialogue to be held.

    Attributes:
        listener: The listener's name.
        ip: The client's address.
        helo: What it calls itself.
        sender: The reverse path; None is the null sender.
        recipients: At least one.
        message: Its bytes, with CRLF.
    """

    listener: str
    ip: str
    helo: str
    sender: Address | None
    recipients: Sequence[Address]
    message: bytes


@dataclass(slots=True)
class _Kept:
    """What would have been kept."""

    lines: list[str] = field(default_factory=list)


class _NoHome:
    """A mailbox without a limit."""

    async def limit(self) -> QuotaLimit:
        """See `IHome.limit`."""
        return QuotaLimit()


class _NotingStore:
    """Stores nothing."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    async def open_home(self, account: str) -> _NoHome:
        """See `IStore.open_home`."""
        return _NoHome()

    async def deliver(self, message: NewMessage, targets: Sequence[Target]) -> Sequence[Any]:
        """See `IStore.deliver`."""
        self._kept.lines += [
            f"{message.body.size} bytes into {one.mailbox} of {one.account}" for one in targets
        ]
        return ()


class _NotingSpool:
    """Takes nothing on."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    async def accept(self, mails: Sequence[NewMail]) -> None:
        """See `ISpool.accept`."""
        for mail in mails:
            held = ", held" if mail.held else ""
            sender = mail.envelope.sender.address or ""
            self._kept.lines.append(
                f"{mail.body.size} bytes into the queue as {mail.queue_id} from <{sender}>{held}"
            )
            for one in mail.envelope.recipients:
                into = ", ".join(
                    f"{to.mailbox} of {to.account}" for to in mail.targets.get(one, ())
                )
                by = into or mail.agents[one] or "its mail exchangers"
                self._kept.lines.append(f"  <{one.address}> by {by}")


class _Wire(StringTransport):
    """The client's end: wakes it for every answer."""

    waiting: Deferred[None] | None = None

    def write(self, data: bytes) -> None:
        """Keep what the server says."""
        super().write(data)  # type: ignore[no-untyped-call]
        self.wake()

    def loseConnection(self) -> None:
        """The server closes."""
        super().loseConnection()  # type: ignore[no-untyped-call]
        self.wake()

    def abortConnection(self) -> None:
        """The server closes at once."""
        super().abortConnection()  # type: ignore[no-untyped-call]
        self.wake()

    def wake(self) -> None:
        """Let the client look."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.callback(None)


class _Client:
    """Says lines, and waits for their answers."""

    def __init__(self, connection: Any, wire: Any, lines: list[str]) -> None:
        self._connection = connection
        self._wire = wire
        self._lines = lines

    async def answer(self) -> int:
        """Wait for the next whole answer; give its code, 421 where the server closed."""
        while True:
            said = self._wire.value()
            end = 0
            while (stop := said.find(b"\r\n", end)) >= 0:
                last = said[end + 3 : end + 4] != b"-"
                end = stop + 2
                if last:
                    self._wire.clear()
                    self._wire.io.write(said[end:])
                    lines = said[:end].decode("utf-8", "replace").splitlines()
                    self._lines += [f"S: {_shown(line)}" for line in lines]
                    return int(lines[-1][:3])
            if self._wire.disconnecting:
                self._lines.append("S: (closes)")
                return 421
            self._wire.waiting = Deferred()
            await self._wire.waiting

    async def say(self, line: str) -> int:
        """Say a line; give the answer's code."""
        self._lines.append(f"C: {_shown(line)}")
        self._connection.dataReceived(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self.answer()

    async def send(self, message: bytes) -> int:
        """Send a message behind DATA; give the first answer's code."""
        self._lines.append(f"C: ({len(message)} bytes)")
        stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
        end = b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"
        self._connection.dataReceived(stuffed + end)
        return await self.answer()


async def rehearse(parts: Parts, rehearsal: Rehearsal) -> list[str]:
    """Hold a dialogue; give its transcript, and what would have been kept.

    Args:
        parts: Of the configuration; the accounts, the routes and what filters need are open.
        rehearsal: What is said.
    """
    kept, lines = _Kept(), list[str]()
    store: Any = _NotingStore(kept)
    spool: Any = _NotingSpool(kept)
    ports = ports_of(replace(parts, store=store, spool=spool))
    (port,) = [one for one in ports if one.label == rehearsal.listener]
    kind = IPv6Address if ":" in rehearsal.ip else IPv4Address
    there = kind("TCP", rehearsal.ip, 54321)
    connection: Any = port.factory.buildProtocol(there)
    wire = _Wire(peerAddress=there)  # type: ignore[no-untyped-call]
    connection.makeConnection(wire)
    try:
        await _talk(_Client(connection, wire, lines), parts, rehearsal)
    finally:
        connection.connectionLost(Failure(ConnectionDone()))
    end = "it would have gone:" if kept.lines else "nothing would have been kept"
    return [*lines, "", end, *kept.lines]


async def _talk(client: _Client, parts: Parts, rehearsal: Rehearsal) -> None:
    (listener,) = [one for one in parts.listeners if one.name == rehearsal.listener]
    lmtp = listener.protocol is ListenerProtocol.LMTP
    if await client.answer() != 220:
        return
    if await client.say(f"{'LHLO' if lmtp else 'EHLO'} {rehearsal.helo}") != 250:
        return
    addresses = [one for one in (rehearsal.sender, *rehearsal.recipients) if one is not None]
    utf8 = "" if all(one.ascii_only for one in addresses) else " SMTPUTF8"
    eight = "" if rehearsal.message.isascii() else " BODY=8BITMIME"
    code = await client.say(f"MAIL FROM:<{rehearsal.sender or ''}>{eight}{utf8}")
    taken = 0
    if code == 250:
        for one in rehearsal.recipients:
            taken += await client.say(f"RCPT TO:<{one}>") // 100 == 2
    if taken and await client.say("DATA") == 354:
        await client.send(rehearsal.message)
        for _ in range(taken - 1 if lmtp else 0):
            await client.answer()
    await client.say("QUIT")


def _shown(text: str) -> str:
    """Make foreign text safe for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
