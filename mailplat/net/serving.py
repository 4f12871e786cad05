"""What the server's side of every protocol has in common: its connections, and its ports.

A protocol brings a subclass of `ServerConnection` that says what its own words are for failures,
timeouts and goodbyes, and calls `serving` to get the factory of a port.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from mailplat.interfaces.net import ILink
from mailplat.net.connection import Connection
from mailplat.net.factory import ConnectionFactory, SessionIds
from mailplat.net.limits import ConnectionLimits
from mailplat.net.session import ConnectionOptions, Session

__all__ = ["ServerConnection", "Wiring", "serving"]

E = TypeVar("E")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a port needs of the server, whatever it speaks.

    Attributes:
        clock: For timeouts and turns.
        ids: Names sessions.
        connections: Counts connections.
        options: Limits of a connection; None for those that the protocol is used to.
        tls: What ``startTLS`` takes; needed where the upgrade is offered.
        implicit_tls: The port begins with TLS: wrap the factory by `net.tls.behind_tls`.
    """

    clock: IReactorTime
    ids: SessionIds
    connections: ConnectionLimits
    options: ConnectionOptions | None = None
    tls: object | None = None
    implicit_tls: bool = False


class ServerConnection(Connection[E], Generic[E, C]):
    """One client's connection.

    Args:
        conversation: The state machine, new.
        open_session: Makes the session for it.
        clock: For timeouts and turns.
        session_id: For the log.
        options: Limits of the connection; None for ``usual``.
        tls: What ``startTLS`` takes; None where the upgrade is not offered.
        released: Called once, when all is over.

    Attributes:
        conversation: The state machine.
        usual: The limits that the protocol's standard asks for.
        too_many: What a client over the limit of connections is told.
    """

    usual: ClassVar[ConnectionOptions]
    too_many: ClassVar[bytes]

    def __init__(
        self,
        conversation: C,
        open_session: Callable[[C, ILink], Session[E]],
        *,
        clock: IReactorTime,
        session_id: str,
        options: ConnectionOptions | None = None,
        tls: object | None = None,
        released: Callable[[], None] | None = None,
    ) -> None:
        machine: Any = conversation  # of E's events: what no TypeVar can say of another
        super().__init__(
            machine,
            lambda link: open_session(conversation, link),
            clock=clock,
            session_id=session_id,
            options=self.usual if options is None else options,
            tls=tls,
            released=released,
        )
        self.conversation = conversation


def serving(
    kind: type[ServerConnection[E, C]],
    begin: Callable[[], C],
    open_session: Callable[[C, ILink], Session[E]],
    wiring: Wiring,
) -> ConnectionFactory:
    """Make what listens on a port.

    Args:
        kind: The protocol's connection.
        begin: Makes a conversation for a new connection.
        open_session: Makes a session for it.
        wiring: What the port needs of the server.
    """

    def build(session_id: str, released: Callable[[], None]) -> ServerConnection[E, C]:
        return kind(
            begin(),
            open_session,
            clock=wiring.clock,
            session_id=session_id,
            options=wiring.options,
            tls=wiring.tls,
            released=released,
        )

    # behind TLS a word would cost a handshake
    refusal = b"" if wiring.implicit_tls else kind.too_many
    return ConnectionFactory(build, limits=wiring.connections, refusal=refusal, ids=wiring.ids)
