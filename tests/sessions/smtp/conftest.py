"""A whole SMTP server in memory: real conversation, connection, routes, filters and store."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.filters import IFilter, Stage
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.spool import ISpool, NewMail
from mailplat.interfaces.store import BodyRange, Target
from mailplat.model.account import Account
from mailplat.model.envelope import Envelope, Recipient
from mailplat.model.errors import AuthenticationFailed, Unavailable
from mailplat.net.factory import SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.serving import Wiring
from mailplat.net.smtp import SmtpConnection, smtp_factory
from mailplat.net.throttle import LoginThrottle
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.routes.local import LocalRoute
from mailplat.routes.table import RouteTable
from mailplat.sessions.login import LoginParts
from mailplat.sessions.smtp.options import SmtpOptions, SmtpParts
from mailplat.sessions.smtp.queue_ids import QueueIds
from mailplat.sessions.smtp.session import SmtpSession
from mailplat.spool.intake import Intakes
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.wire import MemoryWire

NOON = 1_767_268_800.0
"""2026-01-01 12:00:00 UTC."""


@implementer(IAccounts)
class FewAccounts:
    """Alice and Bob; the password of both is ``secret``."""

    def __init__(self) -> None:
        self.broken = False
        self.asked = 0
        self._all = [
            Account("alice@example.org", ("alice@example.org", "a@example.org")),
            Account("bob@example.org", ("bob@example.org",)),
        ]

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        self.asked += 1
        if self.broken:
            raise Unavailable("the database is away")
        account = await self.find_account(name)
        if account is None or password != "secret":
            raise AuthenticationFailed("no")
        return account

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        return next((one for one in self._all if one.name == name.lower()), None)

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        if self.broken:
            raise Unavailable("the database is away")
        return next((one for one in self._all if address in one.addresses), None)

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return self._all


@implementer(ISpool)
class ListSpool:
    """Notes what it was given."""

    def __init__(self) -> None:
        self.mails: list[tuple[Envelope, Mapping[Recipient, str], bytes]] = []
        self.targets: list[Mapping[Recipient, tuple[Target, ...]]] = []
        self.held: list[str] = []
        self.reasons: list[str] = []

    async def open(self) -> None:
        """See `ISpool.open`."""

    async def close(self) -> None:
        """See `ISpool.close`."""

    async def accept(self, mails: Sequence[NewMail]) -> None:
        """See `ISpool.accept`."""
        for mail in mails:
            self.mails.append((mail.envelope, mail.agents, mail.body.read(0, mail.body.size)))
            self.targets.append(mail.targets)
            if mail.held:
                self.held.append(mail.queue_id)
                self.reasons.append("" if mail.why is None else mail.why.reply.text)


@implementer(IFilter)
class Scripted:
    """A filter whose methods are given as functions by the stage's name."""

    name = "scripted"

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self.stages = [Stage(name) for name in methods]
        self._methods = methods

    def open(self) -> Any:
        """Give the functions as an object."""
        return type("Opened", (), {n: staticmethod(m) for n, m in self._methods.items()})()


class Client:
    """A client's end of a connection in memory."""

    def __init__(self, connection: SmtpConnection) -> None:
        self.connection = connection
        self.wire = MemoryWire()
        self.greeting = self.wire.carry(connection).decode()

    def say(self, text: str | bytes) -> str:
        """Say something; give what is answered."""
        self.connection.dataReceived(text if isinstance(text, bytes) else text.encode())
        return self.wire.take().decode()

    def codes(self, text: str | bytes) -> list[str]:
        """Say something; give the codes that are answered."""
        lines = self.say(text).splitlines()
        return [" ".join(line.split(" ")[:2]) for line in lines if line[3:4] == " "]

    def lose(self) -> None:
        """Lose the connection."""
        self.connection.connectionLost()

    def log_in(self, name: str = "alice@example.org", password: str = "secret") -> list[str]:
        """Log in by AUTH PLAIN."""
        return self.codes(b"AUTH PLAIN " + b64encode(f"\0{name}\0{password}".encode()) + b"\r\n")


class Room:
    """The server, and what a test may change of it before it connects.

    Attributes:
        offers: What the listener offers.
        limits: What a client may use.
        options: What the session does.
        parts: What it does it with.
        filter: Methods of the one filter, by stage; empty for none.
    """

    def __init__(self, directory: str) -> None:
        self.clock = Clock()
        self.accounts = FewAccounts()
        self.store = MemoryStore(StoreSettings(reactor, directory))
        self.intakes = Intakes(reactor, directory, spill=100_000)
        self.offers = Offers(chunking=True, mechanisms=PASSWORD_MECHANISMS, auth_needs_tls=False)
        self.limits = Limits()
        self.options = SmtpOptions("mx.example.org")
        self.dialect = Dialect.SMTP
        self.filter: dict[str, Callable[..., Any]] = {}
        self.spool = ListSpool()  # not in use unless a test puts it among the parts
        self.parts = SmtpParts(
            log_ins=LoginParts(self.accounts, LoginThrottle(self.clock)),
            routes=RouteTable(
                [LocalRoute(self.accounts, ["example.org"], postmaster="bob@example.org")]
            ),
            store=self.store,
            intakes=self.intakes,
            chains=Chains([], self.clock),
            now=lambda: NOON,
            new_queue_id=QueueIds(lambda: NOON, "xyz"),
        )

    def connect(self) -> Client:
        """Connect a client."""
        parts = self.parts
        if self.filter:
            parts = replace(parts, chains=Chains([Rule(Scripted(self.filter))], self.clock))
        factory = smtp_factory(
            lambda conversation, link: SmtpSession(conversation, link, parts, self.options),
            "mx.example.org",
            self.offers,
            Wiring(
                clock=self.clock,
                ids=SessionIds("s"),
                connections=ConnectionLimits(),
                tls=object(),
            ),
            limits=self.limits,
            dialect=self.dialect,
        )
        connection = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        assert isinstance(connection, SmtpConnection)
        return Client(connection)

    def hello(self) -> Client:
        """Connect a client and let it say EHLO."""
        client = self.connect()
        client.say("LHLO c.example\r\n" if self.dialect is Dialect.LMTP else "EHLO c.example\r\n")
        return client

    async def mail_of(self, account: str, mailbox: str = "INBOX") -> list[bytes]:
        """Read all messages of a mailbox."""
        home = await self.store.open_home(account)
        if mailbox not in [one.name for one in await home.mailboxes()]:
            return []
        opened = await home.open_mailbox(mailbox)
        uids = (await opened.state(False)).uids
        found = await opened.bodies([BodyRange(uid, 0, 1 << 30) for uid in uids])
        opened.close()
        return [body or b"" for body in found]


@pytest.fixture
def room(tmp_path: Any) -> Room:
    """A server with Alice and Bob, for example.org."""
    return Room(str(tmp_path))
