"""IMAP sessions over a wire and a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from twisted.internet import reactor
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import Folder
from mailplat.message.scan import ScanLimits
from mailplat.model.mailbox import SpecialUse
from mailplat.net.imap import IMAPConnection
from mailplat.net.limits import AccountConnections, LoginThrottle
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.sessions.imap.extending import Extensions
from mailplat.sessions.imap.services import IMAPOptions, IMAPServices
from mailplat.sessions.imap.session import IMAPSession
from mailplat.sessions.imap.unauthenticate import UnauthenticateExtension
from mailplat.spool.intake import Intakes
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.fakes import KnownAccounts
from mailplat.testing.mails import NOON, new_message
from mailplat.testing.transcripts import play
from mailplat.testing.turns import turn
from mailplat.testing.wire import MemoryWire

NOW = 1_700_000_000.0


class Server:
    """An IMAP server in memory, for Alice and Bob."""

    def __init__(self, directory: str, options: IMAPOptions, extensions: Extensions) -> None:
        self.clock = Clock()
        folders = (Folder("Sent", SpecialUse.SENT),)
        self.store = MemoryStore(StoreSettings(reactor, directory, folders))
        self.services = IMAPServices(
            accounts=KnownAccounts({"alice@example.org": "secret", "bob@example.org": "secret"}),
            store=self.store,
            intakes=Intakes(reactor, directory),
            logins=AccountConnections(3),
            throttle=LoginThrottle(self.clock),
            mechanisms=PASSWORD_MECHANISMS,
            clock=self.clock,
            now=lambda: NOW,
            scan_limits=ScanLimits(),
            options=options,
            extensions=extensions,
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


@pytest.fixture
def options() -> IMAPOptions:
    """What the operator says; a test may override it."""
    return IMAPOptions(auth_needs_tls=False)


@pytest.fixture
def extensions() -> Extensions:
    """The extensions that come with the server; a test may override it."""
    return Extensions([UnauthenticateExtension()])


@pytest.fixture
def server(tmp_path: object, options: IMAPOptions, extensions: Extensions) -> Iterator[Server]:
    """A server with an empty store."""
    made = Server(str(tmp_path), options, extensions)
    yield made
    made.close()
