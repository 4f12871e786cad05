"""What every store of blobs must do, as tests that any implementation can run::

    from mailplat.testing import blobs

    class Fixtures:
        @pytest.fixture
        def make_blobs(self, tmp_path):
            return lambda: AcmeBlobs(tmp_path)

    class TestBlobs(Fixtures, blobs.BlobContract): ...
    class TestDurable(Fixtures, blobs.DurableBlobContract): ...

``make_blobs`` makes a store that is not opened; the suite opens and closes it.  A second one is on
the same storage, which is empty at first.  One that does not outlive its process leaves
`DurableBlobContract` away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from hashlib import sha256
from random import Random
from secrets import token_hex
from time import time

import pytest
import pytest_twisted
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.interfaces.blobs import BlobInfo, IBlobStore
from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import Unavailable
from mailplat.testing.turns import all_of

__all__ = ["BlobContract", "DurableBlobContract", "MakeBlobs", "PatternBody", "keep", "key_of"]

MakeBlobs = Callable[[], IBlobStore]

MARK = "00c0ffee"
LARGE = (1 << 20) * 5 + 3


@lru_cache(256)
def _pattern(period: int, seed: int) -> bytes:
    return Random(seed).randbytes(period)


@implementer(IBody)
class PatternBody:
    """A body of bytes that tell where they stand; it never is in memory as a whole.

    Args:
        size: How many.
        ends: After how many it ends in truth.
        seed: Makes different ones.

    Attributes:
        longest: The longest range that was read.
    """

    in_memory = False
    _PERIOD = 65_521

    def __init__(self, size: int, ends: int | None = None, seed: int = 0) -> None:
        self.size = size
        self.longest = 0
        self._ends = size if ends is None else ends
        self._pattern = _pattern(self._PERIOD, seed) * 2

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        stop = min(stop, self._ends)
        self.longest = max(self.longest, stop - start)
        pieces = []
        while start < stop:
            at = start % self._PERIOD
            count = min(self._PERIOD, stop - start)
            pieces.append(self._pattern[at : at + count])
            start += count
        return b"".join(pieces)

    def close(self) -> None:
        """See `IBody.close`."""

    def digest(self) -> bytes:
        """Give the SHA-256 of what it should have."""
        seen = sha256()
        whole = PatternBody(self.size)
        whole._pattern = self._pattern
        for start in range(0, self.size, 1 << 20):
            seen.update(whole.read(start, min(start + (1 << 20), self.size)))
        return seen.digest()


def key_of(body: PatternBody, mark: str = MARK) -> str:
    """Make a key as the SQL store does."""
    word = body.digest().hex()
    return f"{mark}/{word[:2]}/{word}-{token_hex(8)}"


async def keep(blobs: IBlobStore, body: PatternBody, mark: str = MARK) -> str:
    """Put a body under a key of its own; give the key."""
    key = key_of(body, mark)
    await blobs.put(key, body, body.digest())
    return key


async def listed(blobs: IBlobStore, mark: str = MARK) -> list[BlobInfo]:
    """List all."""
    found: list[BlobInfo] = []
    while page := await blobs.page(mark, found[-1].key if found else ""):
        found += page
        assert len(found) < 10_000, "the list has no end"
    return found


@asynccontextmanager
async def opened(make_blobs: MakeBlobs) -> AsyncIterator[IBlobStore]:
    """Open a store for a test."""
    blobs = make_blobs()
    await blobs.open()
    try:
        yield blobs
    finally:
        await blobs.close()


class BlobContract:
    """The contract of `IBlobStore`.

    A subclass adds the fixture ``make_blobs``.

    Attributes:
        many: Blobs that are listed; more than a page, if that is quick.
    """

    many = 40

    @pytest_twisted.ensureDeferred
    async def test_provides(self, make_blobs: MakeBlobs) -> None:
        """A store has every member of the interface, and a name."""
        async with opened(make_blobs) as blobs:
            assert verifyObject(IBlobStore, blobs)
            assert blobs.name

    @pytest_twisted.ensureDeferred
    async def test_reads_ranges(self, make_blobs: MakeBlobs) -> None:
        """Every range gives its bytes, fewer at the end and none behind it."""
        async with opened(make_blobs) as blobs:
            body = PatternBody(5000)
            key = await keep(blobs, body)
            cuts = [0, 1, 2500, 4999, 5000, 5001, 6000]
            for start in cuts:
                for stop in cuts:
                    if start < stop:
                        found = await blobs.read(key, start, stop)
                        assert found == body.read(start, stop), (start, stop)

    @pytest_twisted.ensureDeferred
    async def test_large(self, make_blobs: MakeBlobs) -> None:
        """A large body goes in by blocks, comes out whole and by ranges."""
        async with opened(make_blobs) as blobs:
            body = PatternBody(LARGE)
            key = await keep(blobs, body)
            assert body.longest <= 4 << 20
            assert await blobs.read(key, 0, LARGE) == body.read(0, LARGE)
            assert await blobs.read(key, LARGE - 7, LARGE + 7) == body.read(LARGE - 7, LARGE)
            assert await blobs.read(key, 3 << 20, (3 << 20) + 9) == body.read(
                3 << 20, (3 << 20) + 9
            )

    @pytest_twisted.ensureDeferred
    async def test_tells_of_it(self, make_blobs: MakeBlobs) -> None:
        """Size and time are told without reading."""
        async with opened(make_blobs) as blobs:
            key = await keep(blobs, PatternBody(70_000))
            info = await blobs.find(key)
            assert info is not None
            assert (info.key, info.size) == (key, 70_000)
            assert abs(info.modified - time()) < 60

    @pytest_twisted.ensureDeferred
    async def test_what_is_not_there(self, make_blobs: MakeBlobs) -> None:
        """What nobody put, or somebody deleted, is not there; deleting it again is no error."""
        async with opened(make_blobs) as blobs:
            first, second = await keep(blobs, PatternBody(10)), key_of(PatternBody(20))
            other = await keep(blobs, PatternBody(10, seed=1))
            await blobs.delete([first, second])
            await blobs.delete([first])
            await blobs.delete([])
            for key in (first, second, second[:-3], other[:-1]):
                assert await blobs.read(key, 0, 10) is None
                assert await blobs.find(key) is None
            assert [info.key for info in await listed(blobs)] == [other]

    @pytest_twisted.ensureDeferred
    async def test_same_bytes_twice(self, make_blobs: MakeBlobs) -> None:
        """The same body under two keys is two blobs: one goes, the other stays."""
        async with opened(make_blobs) as blobs:
            body = PatternBody(300_000)
            first, second = await keep(blobs, body), await keep(blobs, body)
            await blobs.delete([first])
            assert await blobs.read(second, 0, 300_000) == body.read(0, 300_000)

    @pytest.mark.parametrize("ends", [0, 100_000, 299_999])
    @pytest_twisted.ensureDeferred
    async def test_a_body_that_ends_early(self, make_blobs: MakeBlobs, ends: int) -> None:
        """A body with fewer bytes than it said is refused, and nothing is kept of it."""
        async with opened(make_blobs) as blobs:
            body = PatternBody(300_000, ends)
            key = key_of(body)
            with pytest.raises(Unavailable):
                await blobs.put(key, body, body.digest())
            assert await blobs.find(key) is None
            assert await blobs.read(key, 0, 10) is None
            assert await listed(blobs) == []

    @pytest_twisted.ensureDeferred
    async def test_a_body_that_changed(self, make_blobs: MakeBlobs) -> None:
        """A body with other bytes than were hashed is refused."""
        async with opened(make_blobs) as blobs:
            body = PatternBody(300_000)
            key = key_of(body)
            with pytest.raises(Unavailable):
                await blobs.put(key, PatternBody(300_000, seed=1), body.digest())
            assert await blobs.find(key) is None

    @pytest_twisted.ensureDeferred
    async def test_lists(self, make_blobs: MakeBlobs) -> None:
        """All blobs of a word are listed, ascending, once, and those of other words are not."""
        async with opened(make_blobs) as blobs:
            puts: list[Awaitable[str]] = [
                keep(blobs, PatternBody(n, seed=n)) for n in range(1, self.many + 1)
            ]
            keys = await all_of(puts)
            for mark in (MARK + "0", MARK[:-1], "ffffffff"):
                await keep(blobs, PatternBody(7), mark)
            found = await listed(blobs)
            assert [info.key for info in found] == sorted(keys)
            sizes = {key: size for size, key in enumerate(keys, 1)}
            assert {info.key: info.size for info in found} == sizes
            middle = sorted(keys)[self.many // 2]
            rest = await blobs.page(MARK, middle)
            assert rest[0].key == sorted(keys)[self.many // 2 + 1]
            assert await blobs.page("0", "") == [] or not list(await blobs.page("0", ""))

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, make_blobs: MakeBlobs) -> None:
        """Blobs that are put and read together stay apart."""
        async with opened(make_blobs) as blobs:
            bodies = [PatternBody(100_000 + n, seed=n) for n in range(24)]
            keys = await all_of([keep(blobs, body) for body in bodies])
            reads = [blobs.read(key, 0, body.size) for key, body in zip(keys, bodies, strict=True)]
            for data, body in zip(await all_of(reads), bodies, strict=True):
                assert data == body.read(0, body.size)


class DurableBlobContract:
    """What is there after the store was closed and another one is opened."""

    @pytest_twisted.ensureDeferred
    async def test_stays(self, make_blobs: MakeBlobs) -> None:
        """What was put is there, what was deleted is not."""
        body = PatternBody(200_000)
        async with opened(make_blobs) as blobs:
            gone, kept = await keep(blobs, PatternBody(100)), await keep(blobs, body)
            await blobs.delete([gone])
        async with opened(make_blobs) as blobs:
            assert [info.key for info in await listed(blobs)] == [kept]
            assert await blobs.read(kept, 0, 200_000) == body.read(0, 200_000)
            assert await blobs.read(gone, 0, 10) is None
