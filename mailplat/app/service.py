"""The life of the server: ports, store and accounts opened and closed in the right order.

Starting: ports are bound first (they may need privileges that are given up afterwards), but nobody
is accepted before the accounts and the store are open.  Stopping (SIGTERM): no new connections,
running transactions end, then the data are closed; what takes longer than a timeout is cut off.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from mailplat.app.current import CurrentFactory
from mailplat.model.errors import ConfigurationFault
from mailplat.net.factory import ConnectionFactory

__all__ = ["MailService", "Port"]

_log = Logger()


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the server listens on.

    Attributes:
        label: What the log calls it: ``imaps``.
        endpoint: A server endpoint of Twisted's.
        listening: What the endpoint gets: the factory, or the factory behind TLS.
        factory: What counts the connections and lets them finish.
        describe: Says, once it is bound, what to connect to.
    """

    label: str
    endpoint: str
    listening: IProtocolFactory
    factory: ConnectionFactory
    describe: Callable[[Any], str]


class MailService(Service):
    """The whole server as a service of Twisted's.

    Args:
        reactor: Opens ports and tells the time.
        ports: What to listen on.
        opened: Opened in order before anybody is accepted, closed in reverse order at the end.
        shutdown_timeout: Seconds that running transactions may take to end.
        observer: Takes the log; None leaves it to twistd.
        tell: Takes a line for each port when it is ready, for people who watch.
        failed: Called once if the server cannot start, before the reactor is stopped.
    """

    def __init__(
        self,
        reactor: Any,
        ports: Sequence[Port],
        opened: Sequence[Any],
        *,
        shutdown_timeout: float,
        observer: ILogObserver | None = None,
        tell: Callable[[str], object] | None = None,
        failed: Callable[[], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._ports = tuple(ports)
        self._entries = [CurrentFactory(port.listening) for port in ports]
        self._replaced: list[ConnectionFactory] = []
        self._parts = tuple(opened)
        self._shutdown_timeout = shutdown_timeout
        self._observer = observer
        self._tell = tell
        self._failed = failed
        self._listening: list[IListeningPort] = []
        self._open: list[Any] = []
        self._starting: Deferred[None] | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, and give it our log observer before it starts to log."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def privilegedStartService(self) -> None:
        """Bind all ports, or none.

        Raises:
            SystemExit: A port cannot be bound; says which, and the remedy.
        """
        for port, entry in zip(self._ports, self._entries, strict=True):
            failed: list[Failure] = []
            bound = serverFromString(self._reactor, port.endpoint).listen(entry)
            bound.addCallbacks(self._bound, failed.append)
            if failed:
                for listening in self._listening:
                    listening.stopListening()
                raise SystemExit(_why(port, failed[0]))

    def _bound(self, listening: Any) -> None:
        listening.stopReading()  # nobody is accepted yet
        self._listening.append(listening)

    def startService(self) -> None:
        """Open accounts and store, then accept connections."""
        if not self._listening:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._open_parts()
        except ConfigurationFault as fault:
            _log.critical("cannot start: {reason}", reason=fault.reason)
            self._give_up()
        except Exception:
            _log.failure("cannot start", level=LogLevel.critical)
            self._give_up()

    def _give_up(self) -> None:
        if self._failed is not None:
            self._failed()
        self._reactor.stop()

    async def _open_parts(self) -> None:
        for part in self._parts:
            await part.open()
            self._open.append(part)
        for port, listening in zip(self._ports, self._listening, strict=True):
            line = port.describe(listening.getHost())
            _log.info("{port}", port=line)
            if self._tell is not None:
                self._tell(line)
        _settle()
        for listening in self._listening:
            listening.startReading()  # type: ignore[attr-defined]

    def exchange(self, ports: Sequence[Port]) -> Sequence[Port]:
        """Make new connections in another way; those that there are go on as they began.

        Args:
            ports: As many as before, in the same order, at the same endpoints.

        Returns:
            Those before.
        """
        old, self._ports = self._ports, tuple(ports)
        for entry, port in zip(self._entries, ports, strict=True):
            entry.exchange(port.listening)
        self._replaced = [one for one in self._replaced if len(one)]
        self._replaced += [port.factory for port in old]
        return old

    def stopService(self) -> Deferred[None]:
        """Let running transactions end, then close everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        clock: IReactorTime = self._reactor
        await _all(listening.stopListening() for listening in self._listening)
        await _all(
            Deferred.fromCoroutine(factory.drain(clock, self._shutdown_timeout))
            for factory in (*(port.factory for port in self._ports), *self._replaced)
        )
        while self._open:
            await self._open.pop().close()
        _log.info("stopped: all data closed")


def _settle() -> None:
    """Tell Python's collector that what is here stays, and to look at the rest less often.

    A mail makes hundreds of objects and hardly a cycle; by default a fifteenth of the time that
    its delivery takes goes into looking for these.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)


async def _all(waiting: Any) -> None:
    """Wait for all, whatever becomes of some."""
    deferreds = [one for one in waiting if isinstance(one, Deferred)]
    await DeferredList(deferreds, consumeErrors=True)


def _why(port: Port, failure: Failure) -> str:
    error = failure.value
    if isinstance(error, CannotListenError):
        return (
            f"{port.label}: cannot listen on {port.endpoint}: {error.socketError}; "
            "is another server running there, or are rights missing for ports below 1024 "
            "(then set server.port_offset)?"
        )
    return f"{port.label}: cannot listen on {port.endpoint}: {failure.getErrorMessage()}"
