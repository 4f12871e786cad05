"""What bodies and intakes must do, as tests that any implementation can run::

from mailplat.testing import bodies

class TestAcmeIntake(bodies.IntakeContract):
    @pytest.fixture
    def intakes(self, tmp_path):
        return AcmeIntakes(tmp_path)

class TestAcmeBody(bodies.BodyContract):
    @pytest.fixture
    def make_body(self):
        return AcmeBody
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from mailplat.interfaces.bodies import IBody, IIntake, IIntakes
from mailplat.testing.turns import started

__all__ = ["BodyContract", "IntakeContract", "MakeBody", "read_all", "taken"]

MakeBody = Callable[[bytes], Awaitable[IBody]]

DATA = bytes(range(256)) * 16


async def read_all(body: IBody) -> bytes:
    """Read a whole body, in a thread where it may block."""
    if body.in_memory:
        return body.read(0, body.size)
    return await deferToThread(body.read, 0, body.size)


async def taken(intake: IIntake, blocks: Iterable[bytes]) -> IBody:
    """Write blocks into an intake, waiting where it asks for it, and finish it."""
    for block in blocks:
        waiting = intake.write(block)
        if waiting is not None:
            await waiting
    return intake.finish()


class BodyContract:
    """The contract of `IBody`.

    A subclass adds the fixture ``make_body``: a coroutine function that makes a body of bytes.
    """

    @pytest.mark.parametrize("data", [b"", b"x", DATA])
    @pytest_twisted.ensureDeferred
    async def test_provides(self, make_body: MakeBody, data: bytes) -> None:
        """A body has every member of the interface, and tells its size."""
        body = await make_body(data)
        assert verifyObject(IBody, body)
        assert body.size == len(data)
        assert isinstance(body.in_memory, bool)
        body.close()

    @pytest_twisted.ensureDeferred
    async def test_reads_ranges(self, make_body: MakeBody) -> None:
        """Every range gives its bytes, fewer at the end and none behind it."""
        body = await make_body(DATA)
        size = len(DATA)
        cuts = [0, 1, 2, size // 2, size - 1, size, size + 1, size + 100]
        for start in cuts:
            for stop in cuts:
                if start <= stop:
                    assert body.read(start, stop) == DATA[start:stop], (start, stop)
        body.close()

    @pytest_twisted.ensureDeferred
    async def test_reads_in_any_order_and_again(self, make_body: MakeBody) -> None:
        """A body has no position: reading changes nothing."""
        body = await make_body(DATA)
        assert body.read(100, 200) == DATA[100:200]
        assert body.read(0, 50) == DATA[:50]
        assert body.read(100, 200) == DATA[100:200]
        body.close()

    @pytest_twisted.ensureDeferred
    async def test_many_threads_read(self, make_body: MakeBody) -> None:
        """Threads that read at once do not disturb each other."""
        body = await make_body(DATA)
        starts = [(n * 97) % len(DATA) for n in range(200)]
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda start: body.read(start, start + 256), starts))
        assert found == [DATA[start : start + 256] for start in starts]
        body.close()

    @pytest_twisted.ensureDeferred
    async def test_closes_twice(self, make_body: MakeBody) -> None:
        """Closing twice is no error."""
        body = await make_body(DATA)
        body.close()
        body.close()


class IntakeContract:
    """The contract of `IIntake` and `IIntakes`.

    A subclass adds the fixture ``intakes``, and may set `large` to a size that its intakes do
    not keep in memory.

    Attributes:
        large: Bytes of a message that counts as large.
    """

    large = 1024 * 1024

    def test_provides(self, intakes: IIntakes) -> None:
        """Intakes have every member of their interfaces."""
        assert verifyObject(IIntakes, intakes)
        intake = intakes.open_intake()
        assert verifyObject(IIntake, intake)
        intake.close()

    @pytest_twisted.ensureDeferred
    async def test_nothing_written(self, intakes: IIntakes) -> None:
        """A message of no bytes is one too."""
        body = await taken(intakes.open_intake(), [])
        assert (body.size, await read_all(body)) == (0, b"")
        body.close()

    @pytest.mark.parametrize("block", [1, 7, 1000, 70_000])
    @pytest_twisted.ensureDeferred
    async def test_keeps_what_was_written(self, intakes: IIntakes, block: int) -> None:
        """Blocks of any size come out as they went in, from memory and from a file."""
        for size in (block, 5 * block, self.large if block > 100 else 3000):
            data = (DATA * (size // len(DATA) + 1))[:size]
            blocks = [data[start : start + block] for start in range(0, size, block)]
            body = await taken(intakes.open_intake(), blocks)
            assert body.size == size
            assert await read_all(body) == data
            body.close()

    @pytest_twisted.ensureDeferred
    async def test_tells_its_size(self, intakes: IIntakes) -> None:
        """The size counts what was written so far."""
        intake = intakes.open_intake()
        assert intake.size == 0
        for count in (1, 2, 3):
            waiting = intake.write(bytes(self.large // 2))
            if waiting is not None:
                await waiting
            assert intake.size == count * (self.large // 2)
        intake.close()

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, intakes: IIntakes) -> None:
        """Intakes that are open together keep their bytes apart."""
        block = self.large // 8
        bodies = await gatherResults(
            started(taken(intakes.open_intake(), [bytes([n]) * block] * (n % 12)))
            for n in range(40)
        )
        for n, body in enumerate(bodies):
            assert await read_all(body) == bytes([n]) * (block * (n % 12))
            body.close()

    @pytest_twisted.ensureDeferred
    async def test_large_body_obeys_the_contract_too(self, intakes: IIntakes) -> None:
        """Ranges of a large body are read exactly, by threads at once."""
        data = bytes(range(251)) * (self.large // 251 + 1)
        body = await taken(
            intakes.open_intake(), [data[i : i + 65_000] for i in range(0, len(data), 65_000)]
        )
        ranges = [(n * 65_521 % len(data), n * 65_521 % len(data) + 3000) for n in range(40)]
        found = await gatherResults(deferToThread(body.read, *cut) for cut in ranges)
        assert found == [data[start:stop] for start, stop in ranges]
        body.close()
        body.close()

    @pytest_twisted.ensureDeferred
    async def test_closed_in_any_state(self, intakes: IIntakes) -> None:
        """An intake can be thrown away new, written to, and while a block is being written."""
        for sizes in ([], [10], [self.large], [self.large, self.large]):
            intake = intakes.open_intake()
            waiting = None
            for size in sizes:
                if waiting is not None:
                    await waiting
                waiting = intake.write(bytes(size))
            intake.close()
            if waiting is not None:
                await waiting
            intake.close()

    @pytest_twisted.ensureDeferred
    async def test_close_after_finish_leaves_the_body(self, intakes: IIntakes) -> None:
        """An intake's close after finish does nothing to its body."""
        for size in (10, self.large):
            intake = intakes.open_intake()
            body = await taken(intake, [bytes(size)])
            intake.close()
            assert await read_all(body) == bytes(size)
            body.close()

    @pytest_twisted.ensureDeferred
    async def test_the_reactor_goes_on(self, intakes: IIntakes) -> None:
        """A write that has to wait lets other things happen meanwhile."""
        intake = intakes.open_intake()
        waiting = intake.write(bytes(self.large))
        ran: list[int] = []
        reactor.callFromThread(ran.append, 1)  # type: ignore[attr-defined]
        if waiting is not None:
            await waiting
            assert ran == [1]
        intake.close()
