"""Tests for `mailplat.spool.intake`."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailplat.interfaces.bodies import IBody, IFileBody
from mailplat.model.errors import StorageFull, Unavailable
from mailplat.spool.intake import Intakes, MemoryBody
from mailplat.testing.bodies import BodyContract, IntakeContract, MakeBody, read_all, taken


class TestIntakes(IntakeContract):
    """Intakes with the usual limits."""

    @pytest.fixture
    def intakes(self, tmp_path: Path) -> Intakes:
        """As a server has them."""
        return Intakes(reactor, str(tmp_path / "new"))


class TestIntakesWithoutMemory(IntakeContract):
    """Intakes that put every byte into a file."""

    large = 100_000

    @pytest.fixture
    def intakes(self, tmp_path: Path) -> Intakes:
        """No message stays in memory."""
        return Intakes(reactor, str(tmp_path), spill=0, budget=0)


class TestMemoryBody(BodyContract):
    """A body in memory."""

    @pytest.fixture
    def make_body(self) -> MakeBody:
        """Made directly."""

        async def make(data: bytes) -> IBody:
            return MemoryBody(data)

        return make


@pytest.mark.parametrize("cut", [0, 100, 4096])
class TestFileBody(BodyContract):
    """A body in a file, with more or less of it still in memory."""

    @pytest.fixture
    def make_body(self, tmp_path: Path, cut: int) -> MakeBody:
        """Made by an intake whose first block goes to the file."""

        async def make(data: bytes) -> IBody:
            intake = Intakes(reactor, str(tmp_path), spill=-1).open_intake()
            return await taken(intake, [data[:cut], data[cut:]])

        return make


@pytest_twisted.ensureDeferred
async def test_small_ones_stay_in_memory(tmp_path: Path) -> None:
    """Up to ``spill`` bytes every block is taken at once, and no directory is made."""
    intakes = Intakes(reactor, str(tmp_path / "spool"), spill=1000)
    intake = intakes.open_intake()
    assert [intake.write(bytes(500)), intake.write(bytes(500))] == [None, None]
    body = intake.finish()
    assert body.in_memory
    body.close()
    assert not (tmp_path / "spool").exists()


@pytest_twisted.ensureDeferred
async def test_large_ones_go_to_a_file_without_a_name(tmp_path: Path) -> None:
    """The block that passes ``spill`` waits for a file, of which the directory shows nothing."""
    intake = Intakes(reactor, str(tmp_path), spill=1000).open_intake()
    assert intake.write(bytes(1000)) is None
    waiting = intake.write(b"x")
    assert waiting is not None
    await waiting
    assert os.listdir(tmp_path) == []
    body = intake.finish()
    assert not body.in_memory
    body.close()


@pytest_twisted.ensureDeferred
async def test_budget_is_shared_and_given_back(tmp_path: Path) -> None:
    """Who comes when the memory is used up goes to a file; closing gives it back."""
    intakes = Intakes(reactor, str(tmp_path), spill=1000, budget=1500)
    first = await taken(intakes.open_intake(), [bytes(1000)])
    second = await taken(intakes.open_intake(), [bytes(300), bytes(300)])
    assert (first.in_memory, second.in_memory) == (True, False)
    assert intakes.memory_left == 500
    for body in (first, second):
        body.close()
        body.close()
    thrown = intakes.open_intake()
    assert thrown.write(bytes(1000)) is None
    assert intakes.memory_left == 500
    thrown.close()
    assert intakes.memory_left == 1500


def test_budget_survives_who_forgets_to_close(tmp_path: Path) -> None:
    """A body that is dropped unclosed gives its memory back when it is collected."""
    intakes = Intakes(reactor, str(tmp_path), budget=1500)
    intake = intakes.open_intake()
    intake.write(bytes(1000))
    intake.finish()
    del intake
    gc.collect()
    assert intakes.memory_left == 1500


@pytest_twisted.ensureDeferred
async def test_small_blocks_are_gathered(tmp_path: Path) -> None:
    """Once in a file, small blocks do not each cost a thread's turn."""
    intake = Intakes(reactor, str(tmp_path), spill=0).open_intake()
    waits = 0
    for _ in range(2000):
        waiting = intake.write(bytes(100))
        if waiting is not None:
            waits += 1
            await waiting
    assert waits < 10
    body = intake.finish()
    assert await read_all(body) == bytes(200_000)
    body.close()


@pytest_twisted.ensureDeferred
async def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told by the write, and the intake can be closed; it gives no body."""
    monkeypatch.setattr(
        "mailplat.spool.intake._open_nameless", lambda directory: os.open("/dev/full", os.O_RDWR)
    )
    intake = Intakes(reactor, str(tmp_path), spill=0).open_intake()
    waiting = intake.write(b"hello")
    assert waiting is not None
    with pytest.raises(StorageFull):
        await waiting
    with pytest.raises(StorageFull):
        intake.finish()
    intake.close()


@pytest_twisted.ensureDeferred
async def test_unusable_directory(tmp_path: Path) -> None:
    """A directory that cannot be made is a failure of this server, not of the peer."""
    (tmp_path / "file").write_bytes(b"")
    intake = Intakes(reactor, str(tmp_path / "file" / "spool"), spill=0).open_intake()
    waiting = intake.write(b"hello")
    assert waiting is not None
    with pytest.raises(Unavailable):
        await waiting
    intake.close()


@pytest_twisted.ensureDeferred
async def test_file_system_without_nameless_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system has no nameless files, a file loses its name at once."""
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(path, flags, mode)

    monkeypatch.setattr("mailplat.spool.intake.os.open", refuse)
    body = await taken(Intakes(reactor, str(tmp_path), spill=0).open_intake(), [b"hello"])
    assert os.listdir(tmp_path) == []
    assert await read_all(body) == b"hello"
    body.close()


def test_used_up(tmp_path: Path) -> None:
    """Nothing can be written to an intake that is finished."""
    intake = Intakes(reactor, str(tmp_path)).open_intake()
    body = intake.finish()
    with pytest.raises(ValueError, match="finished"):
        intake.write(b"more")
    body.close()


@pytest_twisted.ensureDeferred
async def test_hands_its_file_over(tmp_path: Path) -> None:
    """The file that is handed over has all of the bytes, as often as it is asked for."""
    intake = Intakes(reactor, str(tmp_path), spill=1000).open_intake()
    body = await taken(intake, [b"a" * 5000, b"b" * 300_000, b"the end"])
    assert IFileBody.providedBy(body)
    whole = await read_all(body)
    for _ in range(2):
        descriptor = await deferToThread(body.descriptor)
        with os.fdopen(descriptor, "rb") as file:
            assert file.read() == whole
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.write(file.fileno(), b"x")
    assert await read_all(body) == whole, "who reads is not disturbed"
    file_of = body._file  # type: ignore[attr-defined]
    body.close()
    await deferToThread(file_of.close)
    with pytest.raises(Unavailable):
        await deferToThread(file_of.descriptor, b"")
