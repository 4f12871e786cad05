"""Tests for `mailplat.agents.function`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Awaited
from zope.interface.verify import verifyObject

from mailplat.agents.function import FunctionAgent, delivers
from mailplat.app.parts import make_agent
from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.model.reply import Reply
from mailplat.testing import agents
from mailplat.testing.strict import LoggedErrors

ANN, BEN = (Recipient(Address(name, "one.example")) for name in ("ann", "ben"))
NO = Bounced(Reply.of(550, "No", "5.1.1"))
_made: list[FunctionAgent] = []


def agent_of(function: Any, **options: Any) -> FunctionAgent:
    """Make an agent that is closed after the test."""
    _made.append(FunctionAgent(reactor, function, "f", **options))
    return _made[-1]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what was made."""
    yield
    while _made:
        pytest_twisted.blockon(Awaited.fromCoroutine(_made.pop().close()))


class TestPlain(agents.AgentContract):
    """A plain function keeps the contract of delivery agents."""

    @pytest.fixture
    def agent(self) -> IDeliveryAgent:
        """One that takes everything."""
        return agent_of(lambda attempt: None)

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [ANN, BEN]


class TestAsync(agents.AgentContract):
    """An async function keeps it too."""

    @pytest.fixture
    def agent(self) -> IDeliveryAgent:
        """One that takes everything."""

        async def take(attempt: Attempt) -> None:
            assert attempt.body.read(0, 7) == b"Subject"

        return agent_of(take)

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [ANN, BEN]


@pytest_twisted.ensureDeferred
async def test_plain_runs_in_a_thread() -> None:
    """A plain function may block: it runs in a thread of its own."""
    seen: list[threading.Thread] = []
    agent = agent_of(lambda attempt: seen.append(threading.current_thread()))
    await agent.deliver(agents.attempt([ANN]))
    assert seen[0] is not threading.current_thread()


@pytest_twisted.ensureDeferred
async def test_answers() -> None:
    """One outcome is for all; a mapping has each; who is forgotten is not lost."""
    assert (await agent_of(lambda _: NO).deliver(agents.attempt([ANN, BEN]))) == {ANN: NO, BEN: NO}
    some = await agent_of(lambda _: {ANN: Delivered("x")}).deliver(agents.attempt([ANN, BEN]))
    assert some[ANN] == Delivered("x")
    assert isinstance(some[BEN], Deferred)


@pytest.mark.parametrize("said", [True, "ok", {"ann": 1}, {ANN: "yes"}])
@pytest_twisted.ensureDeferred
async def test_nonsense(said: Any) -> None:
    """What is no outcome defers."""
    outcomes = await agent_of(lambda _: said).deliver(agents.attempt([ANN]))
    assert isinstance(outcomes[ANN], Deferred)


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest_twisted.ensureDeferred
async def test_exception(kind: str, logged_errors: LoggedErrors) -> None:
    """An exception defers, and its text is for the log alone."""

    def plain(attempt: Attempt) -> None:
        raise ValueError("a private matter")

    async def waiting(attempt: Attempt) -> None:
        raise ValueError("a private matter")

    outcomes = await agent_of(plain if kind == "plain" else waiting).deliver(agents.attempt([ANN]))
    deferred = outcomes[ANN]
    assert isinstance(deferred, Deferred)
    assert "private" not in deferred.reply.text
    assert len(logged_errors.flush(ValueError)) == 1


@pytest_twisted.ensureDeferred
async def test_late_and_busy() -> None:
    """A call without end defers, keeps its place, and gives it back when it does end."""
    release = threading.Event()
    agent = agent_of(lambda _: release.wait(10) and None, timeout=0.05, threads=1)
    late = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(late, Deferred)
    assert "in time" in late.reply.text
    busy = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(busy, Deferred)
    assert "busy" in busy.reply.text
    release.set()
    while isinstance((await agent.deliver(agents.attempt([ANN])))[ANN], Deferred):
        await turn()


def turn() -> Awaited[None]:
    """Let the reactor do what it has to do."""
    done: Awaited[None] = Awaited()
    reactor.callLater(0, done.callback, None)
    return done


@pytest_twisted.ensureDeferred
async def test_late_async() -> None:
    """An async function that waits too long is cancelled."""
    cancelled: list[bool] = []

    async def wait(attempt: Attempt) -> None:
        await Awaited(lambda _: cancelled.append(True))

    outcomes = await agent_of(wait, timeout=0.01).deliver(agents.attempt([ANN]))
    assert isinstance(outcomes[ANN], Deferred)
    assert cancelled == [True]


def received(attempt: Attempt) -> Bounced:
    """What the description below names."""
    return NO


@pytest_twisted.ensureDeferred
async def test_description(monkeypatch: pytest.MonkeyPatch) -> None:
    """A description names a module and a function."""
    module = ModuleType("acme")
    module.received = received  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme", module)
    made: Any = make_agent("python:acme:received", AgentSettings(reactor))
    _made.append(made)
    assert (await made.deliver(agents.attempt([ANN])))[ANN] == NO


@pytest.mark.parametrize("name", ["nosuch.module:f", "os:nosuch", "os", "os:path.sep", ":f"])
def test_description_faults(name: str) -> None:
    """What cannot be found is told with what is expected."""
    with pytest.raises(ConfigurationFault, match="python:"):
        make_agent(f"python:{name}", AgentSettings(reactor))


@pytest_twisted.ensureDeferred
async def test_a_function_is_a_plugin() -> None:
    """A function with its words in the configuration is a whole plugin."""
    seen: list[tuple[str, str]] = []

    @delivers
    def keep(attempt: Attempt, folder: str, *, mode: str = "a") -> None:
        seen.append((folder, mode))

    @delivers
    async def wait(attempt: Attempt) -> Bounced:
        return NO

    verifyObject(IAgentPlugin, keep)
    assert (keep.prefix, wait.prefix) == ("keep", "wait")
    made: Any = keep.agent(["/var"], {"mode": "b"}, AgentSettings(reactor))
    _made.append(made)
    await made.deliver(agents.attempt([ANN]))
    assert seen == [("/var", "b")]
    waiting: Any = wait.agent([], {}, AgentSettings(reactor))
    assert (await waiting.deliver(agents.attempt([ANN])))[ANN] == NO
    with pytest.raises(ConfigurationFault, match="keep: missing a required argument"):
        keep.agent([], {}, AgentSettings(reactor))
