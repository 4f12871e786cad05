"""The delivery agent that calls a Python function: mail arrives in an application's own code.

The function gets the attempt.  A plain one runs in a thread and may block; an ``async`` one runs
with the reactor, and may not.  What it gives is the answer:

====================================  ==============================================
None, or nothing returned             delivered to all
an `Outcome`                          that, for all
a mapping of recipients to outcomes   each its own; who is not in it is deferred
an exception                          deferred, and its traceback is logged
====================================  ==============================================

In a module of ``mailplat/plugins`` a function is a whole plugin::

    @delivers
    def archive(attempt, folder):
        Path(folder, attempt.queue_id).write_bytes(attempt.body.read(0, attempt.body.size))

``use = "archive:/var/mail/archive"`` calls it with the words behind its name.

Invariants:

- A function that does not come back in time counts as deferred.  A thread cannot be ended: it keeps
  its place until it comes back, and while all places are taken mail is deferred.
- Nothing that the function says or raises reaches the sender, but the replies it chose itself.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred as Awaited
from twisted.internet.threads import deferToThreadPool
from twisted.plugin import IPlugin
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailplat.agents.handover import answered
from mailplat.interfaces.agents import Attempt, IClosingAgent
from mailplat.interfaces.plugins import AgentSettings, IAgentPlugin
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Bounced, Deferred, Delivered, Expanded, Outcome
from mailplat.model.reply import Reply

__all__ = ["FunctionAgent", "FunctionPlugin", "delivers", "find_function"]

_LATE = Reply.of(451, "The delivery function did not answer in time", "4.3.0")
_BUSY = Reply.of(451, "The delivery function is busy", "4.3.2")
_NONSENSE = Reply.of(451, "The delivery function gave no outcome", "4.3.5")


def find_function(name: str) -> Callable[[Attempt], Any]:
    """Import a function by its name: ``package.module:function``.

    Raises:
        ConfigurationFault: There is none; the reason says what is missing.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationFault(
            f"python:{name} cannot be found: {error}; expected python:PACKAGE.MODULE:FUNCTION"
        ) from error
    if not callable(found):
        raise ConfigurationFault(f"python:{name} is not a function")
    function: Callable[[Attempt], Any] = found
    return function


def delivers(function: Callable[..., Any]) -> FunctionPlugin:
    """Make a plugin of a function; its prefix is the function's name."""
    return FunctionPlugin(function)


@implementer(IPlugin, IAgentPlugin)
class FunctionPlugin:
    """Makes agents of one function.

    Args:
        function: Takes the attempt, and each word behind the prefix; ``name=value`` by its name.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.prefix = function.__name__
        self._function = function

    def agent(
        self, arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IClosingAgent:
        """Look whether the function takes these words; see `IAgentPlugin.agent`."""
        try:
            inspect.signature(self._function).bind(None, *arguments, **options)
        except TypeError as error:
            raise ConfigurationFault(f"{self.prefix}: {error}") from error
        words = ":".join([self.prefix, *arguments])
        return FunctionAgent(settings.reactor, _behind(self._function, arguments, options), words)


def _behind(
    function: Callable[..., Any], arguments: Sequence[str], options: Mapping[str, str]
) -> Callable[[Attempt], Any]:
    """Give the function its words, behind the attempt."""
    if inspect.iscoroutinefunction(function):

        async def awaited(attempt: Attempt) -> Any:
            return await function(attempt, *arguments, **options)

        return awaited
    return lambda attempt: function(attempt, *arguments, **options)


@implementer(IClosingAgent)
class FunctionAgent:
    """Calls a function with each attempt.

    Args:
        reactor: Tells the time.
        function: What to call.
        where: Its name for the log and reports.
        timeout: Seconds that one call may take.
        threads: How many calls of a plain function run at once.
    """

    def __init__(
        self,
        reactor: Any,
        function: Callable[[Attempt], Any],
        where: str,
        *,
        timeout: float = 30.0,
        threads: int = 4,
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._where = where
        self._timeout = timeout
        self._threads = threads
        self._running = 0
        self._plain = not (
            inspect.iscoroutinefunction(function)
            or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
        )
        self._pool: ThreadPool | None = None

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        outcomes: dict[Recipient, Outcome] = {}
        work = self._call(attempt, outcomes)
        await answered(work, outcomes, attempt.recipients, self._where)
        return outcomes

    async def close(self) -> None:
        """End the threads; one whose call does not come back holds nobody up."""
        pool, self._pool = self._pool, None
        if pool is not None:
            Thread(target=pool.stop, daemon=True).start()

    async def _call(self, attempt: Attempt, outcomes: dict[Recipient, Outcome]) -> None:
        if self._plain and self._running >= self._threads:
            outcomes.update(dict.fromkeys(attempt.recipients, Deferred(_BUSY, self._where)))
            return
        late: list[bool] = []

        def expired(result: Any, timeout: float) -> Any:
            late.append(True)
            return result

        call = self._in_thread(attempt) if self._plain else self._here(attempt)
        call.addTimeout(self._timeout, self._reactor, onTimeoutCancel=expired)
        try:
            said = await call
        except BaseException:
            if not late:
                raise
            outcomes.update(dict.fromkeys(attempt.recipients, Deferred(_LATE, self._where)))
            return
        outcomes.update(self._read(said, attempt))

    def _here(self, attempt: Attempt) -> Awaited[Any]:
        return Awaited.fromCoroutine(self._function(attempt))

    def _in_thread(self, attempt: Attempt) -> Awaited[Any]:
        """Call in a thread; cancelled, the answer waits no longer, but the thread is still busy."""
        if self._pool is None:
            self._pool = ThreadPool(0, self._threads, f"mailplat-{self._where}")
            self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
            self._pool.start()
        self._running += 1
        answer: Awaited[Any] = Awaited()  # cancelled, it takes its result in silence
        done = deferToThreadPool(self._reactor, self._pool, self._function, attempt)
        done.addBoth(self._ended)
        done.addCallbacks(answer.callback, answer.errback)
        return answer

    def _ended(self, result: Any) -> Any:
        self._running -= 1
        return result

    def _read(self, said: Any, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """Make outcomes of what a function gave."""
        if said is None:
            return dict.fromkeys(attempt.recipients, Delivered(self._where))
        if _is_outcome(said):
            return dict.fromkeys(attempt.recipients, said)
        nonsense = Deferred(_NONSENSE, self._where)
        if not isinstance(said, Mapping):
            return dict.fromkeys(attempt.recipients, nonsense)
        outcomes: dict[Recipient, Outcome] = dict.fromkeys(attempt.recipients, nonsense)
        outcomes.update((one, said[one]) for one in outcomes if _is_outcome(said.get(one)))
        return outcomes


def _is_outcome(value: object) -> bool:
    return isinstance(value, Delivered | Deferred | Bounced | Expanded)
