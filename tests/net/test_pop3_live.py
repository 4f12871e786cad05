"""POP3 over real sockets: Python's own client against a port of ours, in clear and under TLS."""

from __future__ import annotations

import poplib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread

from mailplat.interfaces.net import ILink
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import NewMessage
from mailplat.message.summary import summary_of
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import AccountConnections, ConnectionLimits
from mailplat.net.pop3 import pop3_factory
from mailplat.net.selfsigned import write_self_signed
from mailplat.net.serving import Wiring
from mailplat.net.throttle import LoginIntervals, LoginThrottle
from mailplat.net.tls import CertificateFiles, TLSContexts, behind_tls
from mailplat.proto.pop3.offers import Offers
from mailplat.proto.pop3.server import ServerConversation
from mailplat.sessions.login import LoginParts
from mailplat.sessions.pop3 import Pop3Session
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.agents import StringBody
from mailplat.testing.turns import until, wait_for

LARGE = b"Subject: large\r\n\r\n" + b".line with a dot\r\n" * 40_000
MESSAGES = [b"Subject: %d\r\n\r\n.hello\r\n" % n for n in range(30)]


class AnyAccounts:
    """Everybody may log in by ``secret``."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        if password != "secret":
            raise AuthenticationFailed("no")
        return Account(name)


class Server:
    """Two ports over one store in memory: one with STLS, one that begins with TLS."""

    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore(StoreSettings(reactor, str(directory)))
        self.connections = ConnectionLimits()
        certificate = directory / "server.pem"
        write_self_signed(certificate, ["localhost"], datetime.now(UTC))
        self.contexts = TLSContexts([CertificateFiles(certificate, certificate)])
        self.trust = ssl.create_default_context(cafile=str(certificate))
        self.peers: list[ILink] = []
        self.factories: list[ConnectionFactory] = []
        self._ports: list[IListeningPort] = []

    async def fill(self, account: str, messages: list[bytes]) -> None:
        """Put mail into an INBOX."""
        home = await self.store.open_home(account)
        new = [NewMessage(StringBody(m), summary_of(m), frozenset(), 1) for m in messages]
        await home.append("INBOX", new)

    async def listen(self, *, implicit_tls: bool = False) -> int:
        """Open a port; give its number."""
        throttle = LoginThrottle(reactor)

        def open_session(conversation: ServerConversation, link: ILink) -> Pop3Session:
            self.peers.append(link)
            return Pop3Session(
                conversation,
                link,
                log_ins=LoginParts(AnyAccounts(), throttle),  # type: ignore[arg-type]
                connections=AccountConnections(),
                intervals=LoginIntervals(reactor, 0),
                store=self.store,
            )

        factory: Any = pop3_factory(
            open_session,
            Offers("localhost", stls=True),
            Wiring(
                clock=reactor,
                ids=SessionIds(),
                connections=self.connections,
                tls=self.contexts,
                implicit_tls=implicit_tls,
            ),
        )
        self.factories.append(factory)
        if implicit_tls:
            factory = behind_tls(factory, self.contexts)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(factory)
        self._ports.append(port)
        return int(port.getHost().port)

    async def stop(self) -> None:
        """Close the ports, and see that nobody is left."""
        for port in self._ports:
            await port.stopListening()  # type: ignore[misc]
        for factory in self.factories:
            await factory.drain(reactor, 5)
        assert self.connections.connected == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server; its ports are closed at the end."""
    made = Server(tmp_path)
    yield made
    wait_for(made.stop())


def log_in(client: poplib.POP3) -> poplib.POP3:
    """Log in as Alice."""
    client.user("alice@example.org")
    client.pass_("secret")
    return client


@pytest_twisted.ensureDeferred
async def test_python_client_downloads_and_deletes(server: Server) -> None:
    """Python's client upgrades by STLS, reads every message byte for byte, and deletes one."""
    await server.fill("alice@example.org", [*MESSAGES, LARGE])
    number = await server.listen()

    def talk() -> None:
        client = poplib.POP3("127.0.0.1", number, timeout=20)
        assert "STLS" in client.capa()
        with pytest.raises(poplib.error_proto):
            client.user("alice@example.org")
        server.trust.check_hostname = False
        client.stls(server.trust)
        assert "STLS" not in client.capa()
        log_in(client)
        assert client.stat() == (31, sum(map(len, MESSAGES)) + len(LARGE))
        for n, message in enumerate([*MESSAGES, LARGE], 1):
            lines = client.retr(n)[1]
            assert b"".join(line + b"\r\n" for line in lines) == message
        assert client.top(31, 2)[1] == [b"Subject: large", b"", *[b".line with a dot"] * 2]
        assert len(client.uidl()[1]) == 31
        client.dele(31)
        assert client.quit() == b"+OK Bye"

    await deferToThread(talk)
    tls = server.peers[0].peer.tls
    assert tls is not None
    assert tls.version == "TLSv1.3"
    home = await server.store.open_home("alice@example.org")
    assert (await home.status(["INBOX"]))["INBOX"].messages == 30


@pytest_twisted.ensureDeferred
async def test_python_client_behind_tls(server: Server) -> None:
    """A port that begins with TLS greets behind the handshake and knows the name asked for."""
    await server.fill("alice@example.org", MESSAGES)
    number = await server.listen(implicit_tls=True)

    def talk() -> None:
        client = poplib.POP3_SSL("localhost", number, context=server.trust, timeout=20)
        log_in(client)
        assert client.retr(1)[1] == [b"Subject: 0", b"", b".hello"]
        client.quit()

    await deferToThread(talk)
    tls = server.peers[0].peer.tls
    assert tls is not None
    assert tls.server_name == "localhost"


@pytest_twisted.ensureDeferred
async def test_pipelined_and_half_closed(server: Server) -> None:
    """A client that sends everything at once and then no more reads all the answers."""
    number = await server.listen()

    def talk() -> bytes:
        with socket.create_connection(("127.0.0.1", number), 20) as raw:
            raw.sendall(b"CAPA\r\n" * 500 + b"LANG en\r\n")
            raw.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: raw.recv(65536), b""))

    answer = await deferToThread(talk)
    assert answer.count(b"+OK Capabilities follow\r\n") == 500
    assert answer.endswith(b"+OK en English it is\r\n")


@pytest_twisted.ensureDeferred
async def test_a_client_that_vanishes_frees_the_maildrop(server: Server) -> None:
    """A connection that is cut in the middle of a download leaves no lock behind."""
    await server.fill("alice@example.org", [LARGE] * 3)
    number = await server.listen(implicit_tls=True)

    def cut() -> None:
        client = log_in(poplib.POP3_SSL("localhost", number, context=server.trust, timeout=20))
        client._putcmd("RETR 1")  # type: ignore[attr-defined]
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    def again() -> int:
        client = poplib.POP3_SSL("localhost", number, context=server.trust, timeout=20)
        count = log_in(client).stat()[0]
        client.quit()
        return count

    await deferToThread(cut)
    await until(lambda: server.connections.connected == 0)  # the reset is on its way
    assert await deferToThread(again) == 3
