"""Accepts connections: counts them, names their sessions, and lets them finish when it stops.

A peer that is over a limit is told so in the protocol's own words and closed; it gets no
conversation and no session.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory

from mailplat.net.connection import Connection
from mailplat.net.limits import Admission, ConnectionLimits
from mailplat.net.peers import host_of

__all__ = ["ConnectionFactory", "SessionIds"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


class SessionIds:
    """Names for sessions: ``k7q2-1z``, the process and a count.

    Args:
        process: What all names of this process begin with; random if not given.
    """

    def __init__(self, process: str | None = None) -> None:
        self._process = (
            _base36(36**3 + secrets.randbelow(35 * 36**3)) if process is None else process
        )
        self._numbers = count(1)

    def __call__(self) -> str:
        """Give the next name."""
        return f"{self._process}-{_base36(next(self._numbers))}"


class _Refusal(Protocol):
    """Says why, and closes."""

    def __init__(self, line: bytes) -> None:
        self._line = line

    def connectionMade(self) -> None:
        wire: Any = self.transport
        if self._line:
            wire.write(self._line)
            wire.loseConnection()
        else:
            wire.abortConnection()


class ConnectionFactory(ServerFactory):
    """Makes the connections of one listening port.

    Args:
        build: Makes a connection, given its session's id and what to call once it is over.
        limits: Counts; may be shared with other ports.
        refusal: What a peer over a limit is told; ``b""`` closes without a word, as behind TLS,
            where words would cost a handshake.
        ids: Names sessions; shared by all ports of a process.
    """

    noisy = False

    def __init__(
        self,
        build: Callable[[str, Callable[[], None]], Connection[Any]],
        *,
        limits: ConnectionLimits,
        refusal: bytes,
        ids: SessionIds,
    ) -> None:
        self._build = build
        self._limits = limits
        self._refusal = refusal
        self._ids = ids
        self._open: dict[str, Connection[Any]] = {}
        self._drained: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Admit a peer, or turn it away."""
        admission = self._limits.admit(host_of(addr))
        if admission is None:
            return _Refusal(self._refusal)
        session_id = self._ids()

        def released() -> None:
            self._released(session_id, admission)

        connection = self._build(session_id, released)
        connection.admit = admission.move
        self._open[session_id] = connection
        return connection

    async def drain(self, clock: IReactorTime, timeout: float) -> None:
        """Say goodbye to everybody and wait until they are gone; no new ones come any more.

        Args:
            clock: Counts the timeout.
            timeout: Seconds after which those still there are cut off.
        """
        for connection in list(self._open.values()):
            connection.shut_down()
        if not self._open:
            return
        cut = clock.callLater(timeout, self._cut)
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        try:
            await drained
        finally:
            if cut.active():
                cut.cancel()

    async def emptied(self) -> None:
        """Wait until there is no connection; nobody is told to go."""
        if self._open:
            emptied: Deferred[None] = Deferred()
            self._drained.append(emptied)
            await emptied

    def _cut(self) -> None:
        for connection in list(self._open.values()):
            connection.abort()

    def _released(self, session_id: str, admission: Admission) -> None:
        admission.release()
        del self._open[session_id]
        if not self._open:
            drained, self._drained = self._drained, []
            for waiter in drained:
                waiter.callback(None)
