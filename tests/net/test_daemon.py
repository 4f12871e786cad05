"""Tests for `mailplat.net.daemon`, against a server on a Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater

from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.daemon import Daemon, Talk

reactor: Any = _reactor


class Echo(Protocol):
    """Says back what it hears, and a little more; closes at ``Q``."""

    wires: ClassVar[list[Any]]
    heard: ClassVar[list[bytes]]
    quiet: ClassVar[bool] = False

    def connectionMade(self) -> None:
        """Remember the connection."""
        self.wires.append(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Echo."""
        self.heard.append(data)
        wire: Any = self.transport
        if data == b"flood":
            wire.write(b"x" * 100_000)
        elif data != b"silence" and not self.quiet:
            wire.write(data)
        if data.endswith(b"Q"):
            wire.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """Forget it."""
        self.wires.remove(self.transport)


@pytest_twisted.async_yield_fixture
async def echo(tmp_path: Path) -> AsyncIterator[type[Echo]]:
    """A server; its endpoint is ``unix:`` and the test's ``socket``."""

    class One(Echo):
        wires: ClassVar[list[Any]] = []
        heard: ClassVar[list[bytes]] = []

    factory = Factory.forProtocol(One)
    factory.noisy = False
    port = await serverFromString(reactor, f"unix:{tmp_path / 'socket'}").listen(factory)
    yield One
    while One.wires:
        await deferLater(reactor, 0, int)
    await port.stopListening()


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """The server, from the client's side."""
    return Daemon(reactor, f"unix:{tmp_path / 'socket'}", connections=1, most=1000)


@pytest_twisted.ensureDeferred
async def test_reads(echo: type[Echo], daemon: Daemon) -> None:
    """Up to a mark, a number of bytes, and all the rest."""
    async with daemon.talk(5) as talk:
        assert not talk.heard
        await talk.send(b"one\r\ntwo\r\n")
        assert await talk.until(b"\r\n") == b"one"
        assert talk.heard
        assert await talk.exactly(2) == b"tw"
        await talk.send(b"Q")
        assert await talk.rest() == b"o\r\nQ"


@pytest_twisted.ensureDeferred
async def test_sends_no_more_once_it_heard(echo: type[Echo], daemon: Daemon) -> None:
    """Blocks are sent until the daemon says something."""

    async def blocks() -> AsyncIterator[bytes]:
        yield b"one"
        await deferLater(reactor, 0.05, int)
        yield b"two"

    async with daemon.talk(5) as talk:
        assert not await talk.send_all(blocks())
        assert await talk.exactly(3) == b"one"
    assert echo.heard == [b"one"]


@pytest_twisted.ensureDeferred
async def test_waits_for_the_daemon(echo: type[Echo], daemon: Daemon) -> None:
    """While the daemon takes nothing, nothing is read to be sent; all of it goes in the end."""
    made = 0

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal made
        while made < 200:
            made += 1
            yield b"x" * 65536

    async def slow() -> bool:
        async with daemon.talk(5) as talk:
            await talk.send(b"silence")
            while not echo.heard:
                await deferLater(reactor, 0, int)
            echo.wires[0].pauseProducing()
            return await talk.send_all(blocks())

    sending = Deferred.fromCoroutine(slow())
    await deferLater(reactor, 0.1, int)
    assert made < 20
    echo.quiet = True
    echo.wires[0].resumeProducing()
    assert await sending
    assert made == 200


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"silence", "no answer in 0.2 s"),
        (b"Q", "closed the connection after 1 bytes"),
        (b"flood", "sends more than 1000 bytes"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_failures(echo: type[Echo], daemon: Daemon, said: bytes, words: str) -> None:
    """A daemon that is silent, leaves or floods fails the talk, and the reason says where."""

    async def ask() -> None:
        async with daemon.talk(0.2) as talk:
            await talk.send(said)
            await talk.until(b"\r\n")

    with pytest.raises(Unavailable) as caught:
        await ask()
    assert words in caught.value.reason
    assert caught.value.reason.startswith(daemon.where)


@pytest_twisted.ensureDeferred
async def test_not_there(tmp_path: Path) -> None:
    """Nobody listens: the reason names the endpoint."""
    daemon = Daemon(reactor, f"unix:{tmp_path / 'nobody'}")
    with pytest.raises(Unavailable) as caught:
        async with daemon.talk(1):
            pass
    assert caught.value.reason.startswith(f"unix:{tmp_path / 'nobody'}: ")


@pytest_twisted.ensureDeferred
async def test_places(echo: type[Echo], daemon: Daemon) -> None:
    """One place: the second talk waits for it, but not for ever."""
    async with daemon.talk(5):
        with pytest.raises(Unavailable) as caught:
            async with daemon.talk(0.1):
                pass
        assert "no connection was free" in caught.value.reason
    async with daemon.talk(5) as talk:
        await talk.send(b"x")
        assert await talk.exactly(1) == b"x"


@pytest_twisted.ensureDeferred
async def test_cancelled(echo: type[Echo], daemon: Daemon) -> None:
    """Who does not want to know any more frees the place and the connection."""

    async def ask() -> None:
        async with daemon.talk(5) as talk:
            await talk.send(b"silence")
            await talk.until(b"\n")

    asking = Deferred.fromCoroutine(ask())
    while not echo.heard:
        await deferLater(reactor, 0, int)
    asking.cancel()
    with pytest.raises(CancelledError):
        await asking
    async with daemon.talk(1) as talk:
        await talk.send(b"x")
        assert await talk.exactly(1) == b"x"


@pytest_twisted.ensureDeferred
async def test_files_need_a_unix_socket(echo: type[Echo], daemon: Daemon) -> None:
    """A talk that is over hands nothing over."""
    async with daemon.talk(5) as talk:
        await talk.send(b"Q")
        await talk.rest()
        with pytest.raises(Unavailable):
            talk.send_file(0, b"x")
        with pytest.raises(Unavailable):
            await talk.send(b"x")


@pytest_twisted.ensureDeferred
async def test_kept_talks(echo: type[Echo], tmp_path: Path) -> None:
    """What is kept goes on with the next one who comes, but not for ever, and bounded."""
    clock = Clock()
    where = f"unix:{tmp_path / 'socket'}"
    one = Daemon(_Timed(clock), where, connections=2, idle=1, idle_seconds=10)
    first, second = await one.take(5), await one.take(5)
    first.memory = "known"
    first.limit(3, "asking")
    first.unlimited()
    assert not clock.getDelayedCalls()
    await one.give_back(first, keep=True)
    await one.give_back(second, keep=True)
    while len(echo.wires) > 1:  # one is kept
        await deferLater(reactor, 0, int)
    again = await one.take(5)
    assert again is first
    assert again.reused
    assert again.memory == "known"
    again.limit(5, "asking")
    await again.send(b"x")
    assert await again.some() == b"x"
    await one.give_back(again, keep=True)
    new = await one.take(5, new=True)
    assert not new.reused
    await one.give_back(new)
    clock.advance(11)  # nobody came
    while echo.wires:
        await deferLater(reactor, 0, int)
    other = await one.take(5)
    assert other is not first
    await one.give_back(other, keep=True)
    await one.close()
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_one_that_spoke_unasked_is_not_kept(echo: type[Echo], tmp_path: Path) -> None:
    """Neither is one that was closed meanwhile; a phase that takes too long is named."""
    one = Daemon(reactor, f"unix:{tmp_path / 'socket'}", connections=1, idle=1, name="echo")
    talk = await one.take(5)
    await talk.send(b"two")
    await talk.exactly(1)
    await one.give_back(talk, keep=True)
    talk = await one.take(5)
    assert not talk.reused, "there was something to read"
    await talk.send(b"x")
    await talk.exactly(1)
    await one.give_back(talk, keep=True)
    echo.wires[-1].abortConnection()
    while not talk.closed:
        await deferLater(reactor, 0, int)
    talk = await one.take(5)
    assert not talk.reused
    talk.limit(0.05, "greeting")
    with pytest.raises(Unavailable) as caught:
        await talk.some()
    assert caught.value.reason == "echo: greeting: no answer in 0.05 s"
    await one.give_back(talk)


@pytest_twisted.ensureDeferred
async def test_hangs_up(echo: type[Echo], daemon: Daemon) -> None:
    """Goodbyes arrive before the connection is closed."""
    talk = await daemon.take(5)
    await talk.send(b"silence")
    await talk.hang_up(5)
    await daemon.give_back(talk)
    while echo.wires:
        await deferLater(reactor, 0, int)
    assert echo.heard == [b"silence"]


class _Timed:
    """The reactor, with another clock."""

    def __init__(self, clock: Clock) -> None:
        self.seconds, self.callLater = clock.seconds, clock.callLater

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest.mark.parametrize("where", ["", "nowhere", "tcp:"])
def test_no_endpoint(where: str) -> None:
    """What is no endpoint is a fault of the configuration."""
    with pytest.raises(ConfigurationFault):
        Daemon(reactor, where)


def test_close_without_connection() -> None:
    """A talk that never began can be closed."""
    talk = Talk("nowhere", reactor, 10)
    closing = Deferred.fromCoroutine(talk.close())
    assert closing.called
