"""SMTP over real sockets: Python's own client against ports of ours, in clear and under TLS."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread

from mailplat.filters.chain import Chains
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.selfsigned import write_self_signed
from mailplat.net.serving import Wiring
from mailplat.net.smtp import smtp_factory
from mailplat.net.throttle import LoginThrottle
from mailplat.net.tls import CertificateFiles, TLSContexts, behind_tls
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.routes.local import LocalRoute
from mailplat.routes.table import RouteTable
from mailplat.sessions.login import LoginParts
from mailplat.sessions.smtp.options import SmtpOptions, SmtpParts
from mailplat.sessions.smtp.queue_ids import QueueIds
from mailplat.sessions.smtp.session import SmtpSession
from mailplat.spool.intake import Intakes
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.turns import wait_for

ALICE, BOB = "alice@example.org", "bob@example.org"
MESSAGE = b"Subject: hi\r\n\r\n.a dot\r\n..\r\nbye\r\n"
LARGE = b"Subject: large\r\n\r\n" + b".line with a dot\r\n" * 40_000


class TwoAccounts:
    """Alice and Bob; the password of both is ``secret``."""

    _all = (Account(ALICE, (ALICE,)), Account(BOB, (BOB,)))

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        account = await self.find_address(name)
        if account is None or password != "secret":
            raise AuthenticationFailed("no")
        return account

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        return await self.find_address(name)

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        return next((one for one in self._all if one.name == address), None)

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return self._all


class Server:
    """Ports over one store in memory."""

    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore(StoreSettings(reactor, str(directory)))
        self.connections = ConnectionLimits()
        certificate = directory / "server.pem"
        write_self_signed(certificate, ["localhost"], datetime.now(UTC))
        self.contexts = TLSContexts([CertificateFiles(certificate, certificate)])
        self.trust = ssl.create_default_context(cafile=str(certificate))
        self.trust.check_hostname = False
        accounts: Any = TwoAccounts()
        self.parts = SmtpParts(
            log_ins=LoginParts(accounts, LoginThrottle(reactor, delays=(0.0,))),
            routes=RouteTable([LocalRoute(accounts, ["example.org"])]),
            store=self.store,
            intakes=Intakes(reactor, str(directory)),
            chains=Chains([], reactor),
            now=time,
            new_queue_id=QueueIds(time),
        )
        self._factories: list[ConnectionFactory] = []
        self._ports: list[IListeningPort] = []

    async def listen(
        self,
        *,
        submission: bool = False,
        implicit_tls: bool = False,
        limits: Limits | None = None,
    ) -> int:
        """Open a port; give its number."""
        options = SmtpOptions("mx.example.org", submission=submission)
        factory: Any = smtp_factory(
            lambda conversation, link: SmtpSession(conversation, link, self.parts, options),
            "mx.example.org",
            Offers(starttls=not implicit_tls, mechanisms=PASSWORD_MECHANISMS, chunking=True),
            Wiring(
                clock=reactor,
                ids=SessionIds(),
                connections=self.connections,
                tls=self.contexts,
                implicit_tls=implicit_tls,
            ),
            limits=limits,
        )
        self._factories.append(factory)
        if implicit_tls:
            factory = behind_tls(factory, self.contexts)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(factory)
        self._ports.append(port)
        return int(port.getHost().port)

    async def mail_of(self, account: str) -> list[bytes]:
        """Read all messages of an INBOX."""
        opened = await (await self.store.open_home(account)).open_mailbox("INBOX")
        uids = (await opened.state(False)).uids
        found = await opened.bodies([BodyRange(uid, 0, 1 << 30) for uid in uids])
        opened.close()
        return [body or b"" for body in found]

    async def stop(self) -> None:
        """Close the ports, and see that nobody is left."""
        for port in self._ports:
            await port.stopListening()  # type: ignore[misc]
        for factory in self._factories:
            await factory.drain(reactor, 5)
        assert self.connections.connected == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server; its ports are closed at the end."""
    made = Server(tmp_path)
    yield made
    wait_for(made.stop())


@pytest_twisted.ensureDeferred
async def test_mail_from_elsewhere(server: Server) -> None:
    """Python's client brings mail to port 25, small and large, byte for byte."""
    number = await server.listen()

    def talk() -> None:
        with smtplib.SMTP("127.0.0.1", number, timeout=20) as client:
            client.sendmail("x@elsewhere.example", [ALICE, BOB], MESSAGE)
            client.sendmail("x@elsewhere.example", [ALICE], LARGE)
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail("x@elsewhere.example", ["nobody@example.org", "y@z"], MESSAGE)
            assert [one[0] for one in refused.value.recipients.values()] == [550, 550]

    await deferToThread(talk)
    small, large = await server.mail_of(ALICE)
    assert small.endswith(b"\r\n" + MESSAGE)
    assert large.endswith(b"\r\n" + LARGE)
    assert len(await server.mail_of(BOB)) == 1


@pytest.mark.parametrize("implicit_tls", [True, False])
@pytest_twisted.ensureDeferred
async def test_submission(server: Server, implicit_tls: bool) -> None:
    """A user logs in under TLS, by STARTTLS or from the start, and sends."""
    number = await server.listen(submission=True, implicit_tls=implicit_tls)

    def talk() -> None:
        client: smtplib.SMTP
        if implicit_tls:
            client = smtplib.SMTP_SSL("127.0.0.1", number, context=server.trust, timeout=20)
        else:
            client = smtplib.SMTP("127.0.0.1", number, timeout=20)
            client.ehlo()
            assert not client.has_extn("auth")
            client.starttls(context=server.trust)
        with client:
            client.ehlo()
            assert not client.has_extn("starttls")
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail(ALICE, [BOB], MESSAGE)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(ALICE, "wrong")
            client.login(ALICE, "secret")
            client.sendmail(ALICE, [BOB], MESSAGE)

    await deferToThread(talk)
    (mail,) = await server.mail_of(BOB)
    assert b"with ESMTPSA id" in mail
    assert b"(using TLSv1.3 with cipher TLS_" in mail


@pytest_twisted.ensureDeferred
async def test_too_big(server: Server) -> None:
    """A message that is too big is refused, whether or not the client says so before."""
    number = await server.listen(limits=Limits(message_size=100_000))

    def talk() -> None:
        with smtplib.SMTP("127.0.0.1", number, timeout=20) as client:
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("x@y", [ALICE], LARGE)
            assert refused.value.smtp_code == 552
            client.helo()  # no SIZE from now on
            client.esmtp_features.clear()
            client.does_esmtp = False
            with pytest.raises(smtplib.SMTPDataError) as too_big:
                client.sendmail("x@y", [ALICE], LARGE)
            assert too_big.value.smtp_code == 552
            client.sendmail("x@y", [ALICE], MESSAGE)

    await deferToThread(talk)
    assert len(await server.mail_of(ALICE)) == 1


@pytest_twisted.ensureDeferred
async def test_plaintext_behind_starttls(server: Server) -> None:
    """What an attacker pipelines behind STARTTLS is never obeyed."""
    number = await server.listen()

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", number), timeout=20) as plain:
            plain.recv(1000)
            plain.sendall(b"EHLO c\r\n")
            plain.recv(1000)
            plain.sendall(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\n")
            assert plain.recv(1000) == b"220 2.0.0 Ready to start TLS\r\n"
            with server.trust.wrap_socket(plain) as secure:
                secure.sendall(b"RCPT TO:<alice@example.org>\r\n")
                assert secure.recv(1000).startswith(b"503 5.5.1")
                secure.sendall(b"QUIT\r\n")
                assert secure.recv(1000).startswith(b"221 ")

    await deferToThread(talk)
