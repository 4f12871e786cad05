"""Blobs in an S3 service: one object each, in one bucket, below a prefix.

An object is put by one request, which bears the hash of its content, so that the service refuses
what was damaged on the way; what it answered 200 to it keeps.  One request takes 5 GiB, more than
a message may have.  Bytes go through in blocks; a range is read in pieces of some megabytes.

Requests that fail for a reason that may pass (no answer, 5xx, 429) are made again, some times: no
key is used twice, so each may safely be made twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailplat.interfaces.blobs import BlobInfo, IBlobStore
from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import ConfigurationFault, StorageFull, Unavailable
from mailplat.net.web import Upload, WebAnswer, WebClient, WebOptions
from mailplat.store.blobs.sigv4 import EMPTY, S3Key, query_text, signed_headers

__all__ = ["S3Blobs", "S3Limits", "read_url"]

_BLOCK = 1 << 18
_LARGEST = 5 << 30
_PAGE = 1000
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_FULL = 507


@dataclass(frozen=True, slots=True)
class S3Limits:
    """What requests may take.

    Attributes:
        timeout: Seconds for one request, besides what its bytes take.
        rate: Bytes a second that are waited for at least.
        tries: How often one is made.
        pause: Seconds before it is made again; twice as many each time.
        together: Requests under way at once.
        piece: Bytes that one answer has at most.
    """

    timeout: float = 20.0
    rate: int = 256 << 10
    tries: int = 3
    pause: float = 0.5
    together: int = 16
    piece: int = 4 << 20


@dataclass(frozen=True, slots=True)
class _Place:
    """Where objects are: an URL's parts."""

    base: str
    host: str
    path: str


def read_url(argument: str) -> _Place:
    """Read ``https://HOST[:PORT]/BUCKET[/PREFIX]``.

    Raises:
        ConfigurationFault: It is none; the reason says what is expected.
    """
    try:
        parts = urlsplit(argument)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    path = parts.path.strip("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not path or parts.username:
        raise ConfigurationFault(
            f"s3:{argument}: expected s3:https://HOST/BUCKET or s3:https://HOST/BUCKET/PREFIX"
        )
    standard = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != standard:
        host = f"{host}:{port}"
    return _Place(f"{parts.scheme}://{host}", host, "/" + quote(path, safe="/-_.~"))


@implementer(IBlobStore)
class S3Blobs:
    """Keeps blobs as objects.

    Args:
        url: The bucket's, in path style, with a prefix if there is one.
        key: Who asks.
        reactor: Its connections and its clock.
        limits: What requests may take.

    Raises:
        ConfigurationFault: The URL cannot be read.
    """

    def __init__(self, url: str, key: S3Key, reactor: Any, limits: S3Limits | None = None) -> None:
        self.name = f"s3:{url}"
        self._place = read_url(url)
        self._key = key
        self._reactor = reactor
        self._limits = limits = limits or S3Limits()
        self._turns = DeferredSemaphore(limits.together)
        options = WebOptions(
            timeout=limits.timeout, answer=limits.piece + (1 << 20), per_server=limits.together
        )
        self._web = WebClient(reactor, options)

    async def open(self) -> None:
        """See `IBlobStore.open`: who cannot list the bucket shall know when the server starts."""
        await self._list("-", "", 1)

    async def close(self) -> None:
        """See `IBlobStore.close`."""
        await self._web.close()

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """See `IBlobStore.put`."""
        if body.size > _LARGEST:
            raise Unavailable(f"{self.name}: {key} has {body.size} bytes, it takes {_LARGEST}")
        await self._ask("PUT", key, expected={200}, body=body, content=digest.hex())

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """See `IBlobStore.read`."""
        pieces: list[bytes] = []
        while start < stop:
            until = min(stop, start + self._limits.piece)
            answer = await self._ask(
                "GET",
                key,
                headers={"Range": f"bytes={start}-{until - 1}"},
                expected={200, 206, 404, 416},
                bytes_=until - start,
            )
            if answer.code == 404:
                return None
            if answer.code == 416:  # it ends before
                break
            piece = answer.body
            if answer.code == 200:  # all of it: a server may not know ranges (RFC 9110 §14.2)
                piece = piece[start:until]
            pieces.append(piece[: until - start])
            if len(piece) < until - start:
                break
            start = until
        return b"".join(pieces)

    async def find(self, key: str) -> BlobInfo | None:
        """See `IBlobStore.find`."""
        # no HEAD: an answer to it does not say what is wrong
        found = await self._list(key, "", 1)
        return found[0] if found and found[0].key == key else None

    async def delete(self, keys: Sequence[str]) -> None:
        """See `IBlobStore.delete`."""
        for key in keys:
            await self._ask("DELETE", key, expected={200, 202, 204, 404})

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """See `IBlobStore.page`."""
        return await self._list(f"{prefix}/", after, _PAGE)

    async def _list(self, prefix: str, after: str, count: int) -> list[BlobInfo]:
        _, _, within = self._place.path[1:].partition("/")
        before = f"{within}/" if within else ""
        query = {"list-type": "2", "max-keys": str(count), "prefix": before + prefix}
        if after:
            query["start-after"] = before + after
        answer = await self._ask("GET", "", query=query, expected={200})
        try:
            found = [_info(one, len(before)) for one in _contents(answer.body)]
        except (ElementTree.ParseError, ValueError, TypeError) as error:
            raise Unavailable(f"{self.name}: its list cannot be read: {error}") from error
        return found

    async def _ask(
        self,
        method: str,
        key: str,
        *,
        expected: set[int],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: IBody | None = None,
        content: str = EMPTY,
        bytes_: int = 0,
    ) -> WebAnswer:
        """Make a request, again where that may help; give an answer of an expected code."""
        limits = self._limits
        size = body.size if body is not None else bytes_
        for left in reversed(range(limits.tries)):
            await self._turns.acquire()
            try:
                answer = await self._once(
                    method,
                    key,
                    query or {},
                    headers or {},
                    body,
                    content,
                    limits.timeout + size / limits.rate,
                )
            except Unavailable as error:
                reason = error.reason
            else:
                if answer.code in expected:
                    return answer
                reason = f"{method} {key}: answered {answer.code} {_code(answer.body)}".rstrip()
                if answer.code not in _PASSING:
                    full = answer.code == _FULL
                    raise (StorageFull if full else Unavailable)(f"{self.name}: {reason}")
            finally:
                self._turns.release()
            if left:
                pause = limits.pause * 2 ** (limits.tries - 1 - left)
                await deferLater(self._reactor, pause)
        raise Unavailable(f"{self.name}: {reason}")

    async def _once(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: IBody | None,
        content: str,
        timeout: float,
    ) -> WebAnswer:
        place = self._place
        bucket = "/" + place.path[1:].partition("/")[0]
        path = f"{place.path}/{key}" if key else bucket
        signed = signed_headers(
            self._key, method, place.host, path, query, headers, content, self._reactor.seconds()
        )
        url = f"{place.base}{path}" + (f"?{query_text(query)}" if query else "")
        upload: bytes | Upload = b""
        if body is not None:
            upload = Upload(body.size, _blocks(body, content))
        return await self._web.ask(method, url, headers=signed, content=upload, timeout=timeout)


async def _blocks(body: IBody, digest: str) -> AsyncIterator[bytes]:
    """Read a body; break off before its end where it is not what was promised."""
    seen = sha256()

    def read(start: int) -> bytes:
        block = body.read(start, start + _BLOCK)
        seen.update(block)
        last = start + _BLOCK >= body.size
        if len(block) != min(_BLOCK, body.size - start) or (last and seen.hexdigest() != digest):
            raise Unavailable("a body's bytes changed while they were put")
        return block

    for start in range(0, body.size, _BLOCK):
        yield await deferToThread(read, start)


def _contents(body: bytes) -> list[ElementTree.Element]:
    """Find the objects of a list, whatever namespace the service uses."""
    return list(ElementTree.fromstring(body).iterfind("{*}Contents"))


def _info(element: ElementTree.Element, before: int) -> BlobInfo:
    texts = {
        name: element.findtext(f"{{*}}{name}") or "" for name in ("Key", "Size", "LastModified")
    }
    modified = datetime.fromisoformat(texts["LastModified"])
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return BlobInfo(texts["Key"][before:], int(texts["Size"]), modified.timestamp())


def _code(body: bytes) -> str:
    """Find the service's word for what is wrong."""
    try:
        return (ElementTree.fromstring(body).findtext("{*}Code") or "")[:100]
    except ElementTree.ParseError:
        return ""
