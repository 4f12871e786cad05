"""Tests for `mailplat.net.web`: a real server on the loopback, and bad ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.selfsigned import self_signed
from mailplat.net.tls import CertificateFiles, TLSContexts, behind_tls
from mailplat.net.web import Upload, WebClient, WebOptions

Serve = Callable[[Any], int]
_reactor: Any = reactor


class Echo(Resource):
    """Answers what it is asked for."""

    isLeaf = True

    def render_GET(self, request: Any) -> Any:
        """``/big`` is big, ``/away`` redirects, ``/never`` does not answer."""
        if request.path == b"/big":
            return b"x" * 5000
        if request.path == b"/away":
            request.redirect(b"http://127.0.0.1:1/")
            return b"elsewhere"
        if request.path == b"/never":
            return NOT_DONE_YET
        request.setHeader("X-Seen", request.getHeader("x-question") or "")
        return b"hello"

    def render_POST(self, request: Any) -> bytes:
        """Give the content back."""
        content: bytes = request.content.read()
        return content


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Listen, in clear or in TLS, and stop in the end."""
    ports: list[Any] = []

    def listen(factory: Any) -> int:
        ports.append(_reactor.listenTCP(0, factory, interface="127.0.0.1"))
        number: int = ports[-1].getHost().port
        return number

    yield listen
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


@pytest.fixture
def client() -> Iterator[WebClient]:
    """A client with small limits."""
    made = WebClient(reactor, WebOptions(timeout=5, answer=1000))
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close()))


def site() -> Site:
    """A server without a log."""
    made = Site(Echo())  # type: ignore[no-untyped-call]
    made.noisy = False
    made.timeOut = None  # no delayed call of a server's connection
    return made


@pytest_twisted.ensureDeferred
async def test_get(serve: Serve, client: WebClient) -> None:
    """An answer has its code, its headers by lower case name, and its content."""
    port = serve(site())
    answer = await client.ask("GET", f"http://127.0.0.1:{port}/", headers={"X-Question": "why"})
    assert (answer.code, answer.body, answer.headers["x-seen"]) == (200, b"hello", "why")


@pytest.mark.parametrize("size", [0, 1, 900])
@pytest_twisted.ensureDeferred
async def test_post(serve: Serve, client: WebClient, size: int) -> None:
    """Content arrives as it was given, also if there is none."""
    port = serve(site())
    answer = await client.ask("POST", f"http://127.0.0.1:{port}/", content=b"y" * size)
    assert answer.body == b"y" * size


@pytest_twisted.ensureDeferred
async def test_upload(serve: Serve) -> None:
    """Content larger than a socket's buffer is read as the server takes it."""
    port = serve(site())

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"z" * 65536

    large = WebClient(reactor, WebOptions(timeout=20, answer=1 << 23, per_server=0))
    upload = Upload(64 * 65536, blocks())
    answer = await large.ask("POST", f"http://127.0.0.1:{port}/", content=upload)
    assert answer.body == b"z" * upload.size
    await large.close()


@pytest_twisted.ensureDeferred
async def test_too_long(serve: Serve, client: WebClient) -> None:
    """An answer beyond the limit is an error, not memory."""
    port = serve(site())
    with pytest.raises(Unavailable, match="more than 1000 bytes"):
        await client.ask("GET", f"http://127.0.0.1:{port}/big")


@pytest_twisted.ensureDeferred
async def test_late(serve: Serve, client: WebClient) -> None:
    """No answer in time is an error, and the connection is closed."""
    port = serve(site())
    with pytest.raises(Unavailable, match="no answer in time"):
        await client.ask("GET", f"http://127.0.0.1:{port}/never?secret=1", timeout=0.05)


@pytest_twisted.ensureDeferred
async def test_secret_stays(client: WebClient) -> None:
    """The reason names the server, and not the query."""
    with pytest.raises(Unavailable) as caught:
        await client.ask("GET", "http://127.0.0.1:1/?token=hidden")
    assert "127.0.0.1:1" in caught.value.reason
    assert "hidden" not in caught.value.reason


@pytest_twisted.ensureDeferred
async def test_redirect(serve: Serve, client: WebClient) -> None:
    """A redirect is not followed."""
    port = serve(site())
    answer = await client.ask("GET", f"http://127.0.0.1:{port}/away")
    assert (answer.code, answer.body) == (302, b"elsewhere")


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"],
    ids=["ssh", "short"],
)
@pytest_twisted.ensureDeferred
async def test_garbage(serve: Serve, client: WebClient, said: bytes) -> None:
    """No HTTP, or an answer cut short, is an error."""

    class Bad(Protocol):
        def dataReceived(self, data: bytes) -> None:
            wire: Any = self.transport
            wire.write(said)
            wire.loseConnection()

    factory = Factory.forProtocol(Bad)
    factory.noisy = False
    with pytest.raises(Unavailable):
        await client.ask("GET", f"http://127.0.0.1:{serve(factory)}/")


class TestTLS:
    """Who a server is, is verified."""

    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        """A key and a certificate for localhost."""
        path = tmp_path / "server.pem"
        path.write_bytes(self_signed(["localhost"], datetime.now(UTC)))
        return path

    @pytest.fixture
    def port(self, serve: Serve, pem: Path) -> int:
        """A server that shows it."""
        return serve(behind_tls(site(), TLSContexts([CertificateFiles(pem, pem)])))

    @pytest_twisted.ensureDeferred
    async def test_known(self, port: int, pem: Path) -> None:
        """A certificate of a trusted authority, for this name, is good."""
        client = WebClient(reactor, WebOptions(timeout=5, authorities=pem, per_server=0))
        assert (await client.ask("GET", f"https://localhost:{port}/")).body == b"hello"
        await client.close()

    @pytest_twisted.ensureDeferred
    async def test_unknown(self, port: int, client: WebClient) -> None:
        """A certificate of nobody's is refused."""
        with pytest.raises(Unavailable):
            await client.ask("GET", f"https://localhost:{port}/")

    @pytest_twisted.ensureDeferred
    async def test_wrong_name(self, port: int, pem: Path) -> None:
        """A trusted certificate for another name is refused."""
        client = WebClient(reactor, WebOptions(timeout=5, authorities=pem, per_server=0))
        with pytest.raises(Unavailable):
            await client.ask("GET", f"https://127.0.0.1:{port}/")
        await client.close()

    def test_bad_authorities(self, tmp_path: Path) -> None:
        """A file without certificates is a fault that names it."""
        path = tmp_path / "authorities"
        path.write_text("nothing")
        with pytest.raises(ConfigurationFault, match="authorities"):
            WebClient(reactor, WebOptions(authorities=path))
