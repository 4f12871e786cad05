"""One HTTP client for all that asks a web service: bounded in time, in size, in connections.

It wraps Twisted's Agent; what it adds are the bounds, and one kind of error.

Invariants:

- A request ends within its time limit, whatever the server does; its connection is then closed.
- No more than `WebOptions.answer` bytes of an answer are kept; a longer one is an error.
- The certificate of an ``https`` server is verified, and its name with it (RFC 9110 §4.3.4).
- A redirect is an answer like any other: nobody is sent elsewhere with our secrets.
- Whatever goes wrong is `Unavailable`; its reason names the method and the server, and never
  the query, a header or a body, where a secret may be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.room import Room

__all__ = ["Upload", "WebAnswer", "WebClient", "WebOptions"]


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The bounds of a client.

    Attributes:
        connect: Seconds that a connection may take to be there.
        timeout: Seconds that one request may take in all.
        answer: Bytes that an answer's body may have.
        per_server: Idle connections that are kept for each server; 0 keeps none.
        idle: Seconds that an idle connection is kept.
        authorities: A PEM file with the certificates to trust; None for the system's.
    """

    connect: float = 10.0
    timeout: float = 30.0
    answer: int = 1 << 20
    per_server: int = 4
    idle: float = 60.0
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """A server's answer, whole.

    Attributes:
        code: The status code (RFC 9110 §15).
        headers: By name, in lower case; of a name that comes twice, the last one.
        body: The content.
    """

    code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """A request's content that is read while it is sent.

    Attributes:
        size: How many bytes there will be.
        blocks: Gives them; may await a thread between blocks.
    """

    size: int
    blocks: AsyncIterator[bytes]


class WebClient:
    """Asks web servers.

    Args:
        reactor: Twisted's.
        options: The bounds.

    Raises:
        ConfigurationFault: The file of authorities cannot be used.
    """

    def __init__(self, reactor: Any, options: WebOptions | None = None) -> None:
        self._reactor = reactor
        self._options = options = options or WebOptions()
        self._pool = HTTPConnectionPool(reactor, persistent=options.per_server > 0)
        self._pool.maxPersistentPerHost = options.per_server
        self._pool.cachedConnectionTimeout = options.idle  # type: ignore[assignment]
        # a request that was sent may have been acted on: nobody but its sender may repeat it
        self._pool.retryAutomatically = False
        trusted = None
        if options.authorities is not None:
            trusted = trustRootFromCertificates(_certificates(options.authorities))
        self._agent = Agent(
            reactor,
            contextFactory=BrowserLikePolicyForHTTPS(trustRoot=trusted),
            connectTimeout=options.connect,
            pool=self._pool,
        )

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Upload = b"",
        timeout: float | None = None,
    ) -> WebAnswer:
        """Make one request and await its whole answer, whatever its code.

        Args:
            method: As it stands in the request: ``GET``, ``POST``.
            url: ``http://`` or ``https://``, ASCII.
            headers: Fields of the request; Host and Content-Length are added.
            content: What is sent behind them.
            timeout: Seconds it may take in all; None for the client's own limit.

        Raises:
            Unavailable: No answer, none in time, one that is too long or not HTTP.
        """
        limit = self._options.timeout if timeout is None else timeout
        asking = Deferred.fromCoroutine(self._ask(method, url, headers or {}, content))
        try:
            return await asking.addTimeout(limit, self._reactor)
        except Exception as error:
            parts = urlsplit(url)
            where = f"{parts.scheme}://{parts.hostname}:{parts.port or parts.scheme}"
            raise Unavailable(f"{method} {where}: {_said(error)}") from error

    async def close(self) -> None:
        """Close the idle connections; no request is under way, and none follows."""
        await self._pool.closeCachedConnections()

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | Upload
    ) -> WebAnswer:
        producer = None
        if isinstance(content, Upload):
            producer = _Sent(content)
        elif content or method in {"POST", "PUT"}:
            producer = _Sent(Upload(len(content), _once(content)))
        fields = Headers({name: [value] for name, value in headers.items()})
        response = await self._agent.request(method.encode(), url.encode("ascii"), fields, producer)
        kept = _Kept(self._options.answer)
        response.deliverBody(kept)
        body = await kept.done
        if producer is not None:
            producer.answered = True
        return WebAnswer(
            response.code,
            {
                name.decode("latin-1").lower(): values[-1].decode("latin-1")
                for name, values in response.headers.getAllRawHeaders()
            },
            body,
        )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@implementer(IBodyProducer, IPushProducer)
class _Sent:
    """A request's content on its way."""

    def __init__(self, upload: Upload) -> None:
        self.length: Any = upload.size
        self._blocks = upload.blocks
        self._room = Room()
        self._sending: Deferred[None] | None = None
        self.answered = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send all of it; fires when all was taken, and never once it was stopped."""
        sent: Deferred[None] = Deferred()

        def over(result: Failure | None) -> None:
            if self._sending is None:
                return
            self._sending = None
            if isinstance(result, Failure):
                # once it was answered early, what is sent may be gone, and nobody minds
                if not self.answered:
                    sent.errback(result)
            else:
                sent.callback(None)

        self._sending = sending = Deferred.fromCoroutine(self._send(consumer))
        sending.addBoth(over)
        return sent

    async def _send(self, consumer: IConsumer) -> None:
        async for block in self._blocks:
            while self._room.full:
                await self._room.wait()
            consumer.write(block)

    def pauseProducing(self) -> None:
        """The connection is full."""
        self._room.full = True

    def resumeProducing(self) -> None:
        """There is room again."""
        self._room.free()

    def stopProducing(self) -> None:
        """The connection is gone: read no further, and say nothing."""
        if self._sending is not None:
            sending, self._sending = self._sending, None
            sending.cancel()


class _TooLong(Exception):
    """An answer is longer than it may be."""


@implementer(IProtocol)
class _Kept(Protocol):
    """An answer's content, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(self._abort)
        self._limit = limit
        self._blocks: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep a block, or have done with a server that sends too much."""
        self._size += len(data)
        if self._size > self._limit:
            self._blocks.clear()
            self._fail(_TooLong(f"an answer of more than {self._limit} bytes"))
            self._abort(None)
            return
        self._blocks.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The answer is whole, or never will be."""
        if reason.check(ResponseDone, PotentialDataLoss):
            if not self.done.called:
                self.done.callback(b"".join(self._blocks))
        else:
            self._fail(reason.value)

    def _fail(self, error: BaseException | None) -> None:
        if not self.done.called:
            self.done.errback(error or ConnectionLost())

    def _abort(self, _cancelled: object) -> None:
        wire: Any = self.transport
        if wire is not None:
            wire.abortConnection()


def _said(error: BaseException) -> str:
    """What went wrong, of Twisted's lists of reasons the first."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _said(reasons[0].value)
    if isinstance(error, (CancelledError, TimeoutError, ConnectTimeout)):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:300]


def _certificates(path: Path) -> list[Certificate]:
    try:
        texts = path.read_text(encoding="ascii").split("-----END CERTIFICATE-----")[:-1]
        found = [
            Certificate(load_certificate(FILETYPE_PEM, f"{text}-----END CERTIFICATE-----".encode()))
            for text in texts
        ]
    except Exception as error:
        raise ConfigurationFault(f"{path} cannot be read as PEM certificates: {error}") from error
    if not found:
        raise ConfigurationFault(
            f"{path} holds no certificate: it has to be PEM (-----BEGIN CERTIFICATE-----)"
        )
    return found
