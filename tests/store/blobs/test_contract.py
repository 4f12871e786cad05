"""Blobs in memory, in files and in S3 keep the contract; broken ones do not."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.blobs import BlobInfo
from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import Unavailable
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.blobs.memory import MemoryBlobs
from mailplat.store.blobs.s3 import S3Blobs, S3Limits
from mailplat.testing import blobs
from mailplat.testing.seaweedfs import S3Server
from mailplat.testing.strict import LoggedErrors


class TestMemory(blobs.BlobContract):
    """In memory."""

    many = 250

    @pytest.fixture
    def make_blobs(self) -> blobs.MakeBlobs:
        """Make one."""
        return MemoryBlobs


class Files:
    """Makes blobs in files."""

    @pytest.fixture
    def make_blobs(self, tmp_path: Path) -> blobs.MakeBlobs:
        """Make one."""
        return lambda: FileBlobs(str(tmp_path / "bodies"), reactor)


class TestFiles(Files, blobs.BlobContract):
    """In files."""

    many = 120


class TestDurableFiles(Files, blobs.DurableBlobContract):
    """In files."""


class S3:
    """Makes blobs in S3."""

    @pytest.fixture
    def make_blobs(self, s3_server: S3Server) -> blobs.MakeBlobs:
        """Make one."""
        url, limits = s3_server.new_place(), S3Limits(pause=0.01)
        return lambda: S3Blobs(url, s3_server.key, reactor, limits)


class TestS3(S3, blobs.BlobContract):
    """In SeaweedFS."""


class TestDurableS3(S3, blobs.DurableBlobContract):
    """In SeaweedFS."""


class Forgets(MemoryBlobs):
    """Says that it keeps, and does not."""

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """Keep nothing."""


class KeepsAnything(MemoryBlobs):
    """Keeps what was not promised."""

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """Keep it."""
        self.blobs[key] = body.read(0, body.size), self._now()


class KeepsAPart(MemoryBlobs):
    """Refuses what was not promised, and keeps it all the same."""

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """Keep it."""
        try:
            await super().put(key, body, digest)
        except Unavailable:
            self.blobs[key] = body.read(0, body.size), self._now()
            raise


class MovesEnds(MemoryBlobs):
    """Takes the last byte of a range to be in it, as HTTP does."""

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Read one too many."""
        return await super().read(key, start, stop + 1)


class NeverMisses(MemoryBlobs):
    """Takes what is missing to be empty."""

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Read."""
        return await super().read(key, start, stop) or b""


class CutsLists(MemoryBlobs):
    """Forgets where a page ended."""

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """List."""
        return (await super().page(prefix, after))[:-1]


class ListsOthers(MemoryBlobs):
    """Takes the beginning of a word for the word."""

    async def page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        """List."""
        keys = sorted(key for key in self.blobs if key.startswith(prefix) and key > after)
        return [BlobInfo(key, len(self.blobs[key][0]), self.blobs[key][1]) for key in keys]


class ByHash(MemoryBlobs):
    """Keeps the same bytes once: whoever deletes them takes them from others."""

    async def put(self, key: str, body: IBody, digest: bytes) -> None:
        """Keep."""
        await super().put(key.rpartition("-")[0], body, digest)

    async def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Read."""
        return await super().read(key.rpartition("-")[0], start, stop)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete."""
        await super().delete([key.rpartition("-")[0] for key in keys])


class Complains(MemoryBlobs):
    """Takes deleting what is gone for an error."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete."""
        for key in keys:
            del self.blobs[key]


BROKEN: list[tuple[type[MemoryBlobs], str, dict[str, Any]]] = [
    (Forgets, "test_reads_ranges", {}),
    (KeepsAnything, "test_a_body_that_ends_early", {"ends": 100_000}),
    (KeepsAnything, "test_a_body_that_changed", {}),
    (KeepsAnything, "test_large", {}),
    (KeepsAPart, "test_a_body_that_ends_early", {"ends": 100_000}),
    (MovesEnds, "test_reads_ranges", {}),
    (NeverMisses, "test_what_is_not_there", {}),
    (CutsLists, "test_lists", {}),
    (ListsOthers, "test_lists", {}),
    (ByHash, "test_same_bytes_twice", {}),
    (Complains, "test_what_is_not_there", {}),
]


@pytest.mark.parametrize(("broken", "test", "params"), BROKEN)
@pytest_twisted.ensureDeferred
async def test_the_contract_notices(
    broken: type[MemoryBlobs], test: str, params: dict[str, Any], logged_errors: LoggedErrors
) -> None:
    """A store that breaks a rule fails the test that is about it."""
    function = getattr(blobs.BlobContract(), test)
    assert "make_blobs" in inspect.signature(function).parameters
    with pytest.raises((Exception, pytest.fail.Exception)):
        await function(make_blobs=broken, **params)
    logged_errors.flush()
    await function(make_blobs=MemoryBlobs, **params)
