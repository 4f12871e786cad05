"""An IMAP server in memory, for tests of sessions and of extensions: no port, no process.

::

    server = IMAPServer(str(tmp_path), extensions=[AcmeExtension()])
    await server.put(mail(1))
    await server.play('''
        C: a SELECT INBOX
        S> a OK ...
        C: b XACME
        S: b OK XACME completed
    ''')
    server.close()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailplat.interfaces.imap_extensions import IIMAPExtension
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import Folder
from mailplat.message.scan import ScanLimits
from mailplat.model.mailbox import SpecialUse
from mailplat.net.imap import IMAPConnection
from mailplat.net.limits import AccountConnections
from mailplat.net.throttle import LoginThrottle
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.sessions.imap.extending import Extensions
from mailplat.sessions.imap.services import IMAPOptions, IMAPServices
from mailplat.sessions.imap.session import IMAPSession
from mailplat.sessions.login import LoginParts
from mailplat.spool.intake import Intakes
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.fakes import KnownAccounts
from mailplat.testing.mails import NOON, new_message
from mailplat.testing.transcripts import play
from mailplat.testing.turns import turn
from mailplat.testing.wire import MemoryWire

__all__ = ["NOW", "IMAPServer"]

NOW = 1_700_000_000.0
"""The server's time, seconds since 1970 UTC."""

_CLEAR = IMAPOptions(auth_needs_tls=False)


class IMAPServer:
    """An IMAP server with an empty store, for Alice and Bob, whose passwords are ``secret``.

    Args:
        directory: A folder for large messages while they arrive.
        options: What the operator says; by default log-in needs no TLS.
        extensions: What plugins add.

    Attributes:
        accounts: Who may log in.
        store: Everybody's mail.
        clock: The time that passes, which is the test's to move.
        services: What the sessions share.
        connections: Those that were made, in order.
    """

    def __init__(
        self,
        directory: str,
        *,
        options: IMAPOptions = _CLEAR,
        extensions: Iterable[IIMAPExtension] = (),
    ) -> None:
        from twisted.internet import reactor

        self.clock = Clock()
        folders = (Folder("Sent", SpecialUse.SENT),)
        self.store = MemoryStore(StoreSettings(reactor, directory, folders))
        self.accounts = KnownAccounts({"alice@example.org": "secret", "bob@example.org": "secret"})
        self.services = IMAPServices(
            accounts=self.accounts,
            store=self.store,
            intakes=Intakes(reactor, directory),
            logins=AccountConnections(3),
            log_ins=LoginParts(self.accounts, LoginThrottle(self.clock)),
            mechanisms=lambda peer: PASSWORD_MECHANISMS,
            clock=self.clock,
            now=lambda: NOW,
            scan_limits=ScanLimits(),
            options=options,
            extensions=Extensions(extensions),
        )
        self.connections: list[IMAPConnection] = []
        self._lost: set[int] = set()

    def connect(self) -> tuple[MemoryWire, Callable[[bytes], None]]:
        """Add a client; its greeting is taken."""
        connection = IMAPConnection(
            ServerConversation(grammar=self.services.extensions.grammar),
            lambda conversation, link: IMAPSession(self.services, link, conversation),
            clock=self.clock,
            session_id=f"s{len(self.connections) + 1}",
        )
        self.connections.append(connection)
        wire = MemoryWire()
        assert wire.carry(connection).startswith(b"* OK [CAPABILITY IMAP4rev1")
        return wire, connection.dataReceived

    def log_in(self) -> tuple[MemoryWire, Callable[[bytes], None]]:
        """Add a client that logged in as Alice."""
        wire, send = self.connect()
        send(b"login LOGIN alice secret\r\n")
        assert b"login OK" in wire.take()
        return wire, send

    async def play(self, transcript: str, *, logged_in: bool = True) -> None:
        """Play a transcript of clients that logged in as Alice, or of new ones."""
        await play(transcript, self.log_in if logged_in else self.connect, turn)

    def close(self) -> None:
        """Break all connections."""
        for number in range(1, len(self.connections) + 1):
            self.lose(number)

    def lose(self, number: int) -> None:
        """Break the connection of a client."""
        connection = self.connections[number - 1]
        if number not in self._lost:
            self._lost.add(number)
            connection.connectionLost(Failure(ConnectionDone()))

    async def put(
        self, *messages: bytes, mailbox: str = "INBOX", flags: Iterable[str] = (), date: int = NOON
    ) -> None:
        """Put messages into a mailbox of Alice's, behind the backs of her clients."""
        home = await self.store.open_home("alice@example.org")
        await home.append(mailbox, [new_message(data, flags, date) for data in messages])
