"""The S3 client: its signatures, and servers that answer badly, late or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailplat.app.parts import make_blobs
from mailplat.interfaces.plugins import BlobSettings
from mailplat.model.errors import ConfigurationFault, MailError, StorageFull, Unavailable
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.blobs.s3 import S3Blobs, S3Limits
from mailplat.store.blobs.sigv4 import EMPTY, S3Key, signed_headers
from mailplat.testing.blobs import PatternBody, key_of
from mailplat.testing.turns import wait_for

_reactor: Any = reactor

KEY = S3Key("someone", "a-secret-that-nobody-reads")
LIMITS = S3Limits(timeout=0.3, rate=1 << 30, pause=0.001)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No</Message></Error>"


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            {},
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/",
            {"max-keys": "2", "prefix": "J"},
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures(
    path: str, query: dict[str, str], headers: dict[str, str], signature: str
) -> None:
    """The examples of Amazon's documentation come out."""
    key = S3Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    host, day = "examplebucket.s3.amazonaws.com", 1369353600.0
    signed = signed_headers(key, "GET", host, path, query, headers, EMPTY, day)
    assert signed["Authorization"].endswith(f"Signature={signature}")
    assert "AMPLEKEY" not in repr(key)


class Server(Resource):
    """Answers what it is told to, one after the other, the last one for ever."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.answers: list[tuple[int, bytes] | None] = [(200, b"")]
        self.asked: list[str] = []

    def render(self, request: Any) -> Any:
        """Answer."""
        request.content.read()
        self.asked.append(f"{request.method.decode()} {request.uri.decode()}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            return NOT_DONE_YET
        request.setResponseCode(answer[0])
        return answer[1]


@pytest.fixture
def server() -> Server:
    """The server."""
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[S3Blobs]:
    """A client of it."""
    port = _reactor.listenTCP(0, Site(server, timeout=None), interface="127.0.0.1")
    blobs = S3Blobs(f"http://127.0.0.1:{port.getHost().port}/bucket/a-b", KEY, reactor, LIMITS)
    yield blobs

    async def end() -> None:
        await blobs.close()
        await port.stopListening()

    wait_for(end())


async def put(client: S3Blobs) -> None:
    """Put something."""
    body = PatternBody(300_000)
    await client.put(key_of(body), body, body.digest())


@pytest_twisted.ensureDeferred
async def test_asks_again(server: Server, client: S3Blobs) -> None:
    """A server that is busy is asked again, with the whole body, but not for ever."""
    server.answers = [(503, b"SlowDown"), (500, b""), (200, b"")]
    await put(client)
    assert len(server.asked) == 3
    assert all(one.startswith("PUT /bucket/a-b/00c0ffee/") for one in server.asked)
    server.answers = [(503, b"<Error><Code>SlowDown</Code></Error>")]
    with pytest.raises(Unavailable, match="answered 503 SlowDown"):
        await put(client)
    assert len(server.asked) == 6


@pytest_twisted.ensureDeferred
async def test_no_answer(server: Server, client: S3Blobs) -> None:
    """A server that does not answer is waited for as long as the limits say."""
    server.answers = [None]
    with pytest.raises(Unavailable, match=r"s3:http://127.*no answer in time"):
        await client.read("a/b", 0, 10)
    assert len(server.asked) == 3
    server.answers = [None, (206, b"0123456789")]
    assert await client.read("a/b", 0, 10) == b"0123456789"


@pytest.mark.parametrize(
    ("code", "error"),
    [(403, Unavailable), (400, Unavailable), (301, Unavailable), (507, StorageFull)],
)
@pytest_twisted.ensureDeferred
async def test_refused(server: Server, client: S3Blobs, code: int, error: type[MailError]) -> None:
    """What will not pass is not asked again; the reason has the service's word, and no secret."""
    server.answers = [(code, DENIED)]
    calls: list[Callable[[], Any]] = [
        lambda: put(client),
        lambda: client.read("a/b", 0, 10),
        lambda: client.find("a/b"),
        lambda: client.delete(["a/b"]),
        lambda: client.page("a", ""),
        client.open,
    ]
    for count, call in enumerate(calls, 1):
        with pytest.raises(error, match=f"answered {code} AccessDenied") as caught:
            await call()
        assert KEY.secret not in str(caught.value)
        assert len(server.asked) == count


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<",
        b"<ListBucketResult><Contents/></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
    ],
)
@pytest_twisted.ensureDeferred
async def test_strange_lists(server: Server, client: S3Blobs, answer: bytes) -> None:
    """A list that cannot be read is no empty list."""
    server.answers = [(200, answer)]
    with pytest.raises(Unavailable, match="cannot be read"):
        await client.page("a", "")


@pytest_twisted.ensureDeferred
async def test_no_ranges(server: Server, client: S3Blobs) -> None:
    """A server that gives all, or more than it was asked for, gives no wrong bytes."""
    server.answers = [(200, b"0123456789")]
    assert await client.read("a/b", 3, 6) == b"345"
    assert await client.read("a/b", 8, 12) == b"89"
    server.answers = [(206, b"0123456789")]
    assert await client.read("a/b", 3, 6) == b"012"
    server.answers = [(416, b"")]
    assert await client.read("a/b", 30, 40) == b""


@pytest_twisted.ensureDeferred
async def test_too_large(server: Server, client: S3Blobs) -> None:
    """What one request does not take is refused before it is sent."""
    body = PatternBody((5 << 30) + 1)
    with pytest.raises(Unavailable, match="5368709121"):
        await client.put("a/b", body, sha256().digest())
    assert not server.asked


@pytest.mark.parametrize(
    "description",
    [
        "s3:",
        "s3:bucket",
        "s3:https://host",
        "s3:https://host/",
        "s3:https://user:password@host/bucket",
        "s3:https://host:port/bucket",
        "s3:ftp://host/bucket",
        "files:",
        "database:here",
        "nowhere:",
    ],
)
def test_configuration(description: str) -> None:
    """What cannot be read is a fault that says what is expected."""
    settings = BlobSettings(reactor, access_key="k", secret_key="a-secret")
    with pytest.raises(ConfigurationFault, match=r"expected|installed are") as caught:
        make_blobs(description, settings)
    assert "a-secret" not in str(caught.value)


def test_configured() -> None:
    """Each kind is made of what the configuration says; S3 wants a key."""
    settings = BlobSettings(reactor, "/srv", access_key="k", secret_key="a-secret")
    assert make_blobs("database:", settings) is None
    files = make_blobs("files:bodies", settings)
    assert isinstance(files, FileBlobs)
    assert files.name == "files:/srv/bodies"
    assert isinstance(make_blobs("s3:https://[::1]:8333/bucket/mail", settings), S3Blobs)
    assert "a-secret" not in repr(settings)
    with pytest.raises(ConfigurationFault, match="s3_access_key"):
        make_blobs("s3:https://host/bucket", BlobSettings(reactor))
