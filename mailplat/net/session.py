"""What a connection drives, and what it allows: a session's coroutines, and limits of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["ConnectionOptions", "Session"]

E_contra = TypeVar("E_contra", contravariant=True)


class Session(Protocol[E_contra]):
    """The policy of one connection, as `Connection` drives it.

    At most one of its coroutines runs at a time.  Where the connection is lost, the one that
    waits is cancelled (`CancelledError` out of its ``await``).
    """

    async def opened(self) -> None:
        """The peer is there, and TLS is up where the port begins with it: greet."""

    async def answer(self, event: E_contra) -> None:
        """Do what is asked, and tell the conversation the answer."""

    async def closed(self) -> None:
        """The connection is gone: let go of everything."""


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The limits of one connection.

    Attributes:
        idle_timeout: Seconds that the peer may take for its next command, where the protocol
            does not say otherwise (RFC 5321 §4.5.3.2.7: five minutes).
        login_timeout: Seconds from the connection's start to a login; None is no limit
            (Dovecot: 3 minutes).
        handshake_timeout: Seconds for the TLS handshake.
        block_timeout: Seconds for the next bytes of a message (RFC 5321 §4.5.3.2.5).
        least_rate: Bytes of a message that have to come in a second, on average; 0 for any.
        rate_grace: Seconds of waiting for a message's bytes that count for nothing.
        stall_timeout: Seconds that a peer may leave a full buffer unread.
        close_timeout: Seconds for the last bytes and TLS's goodbye; then the connection is cut.
        cork: Bytes of answers that are collected before they are written.
        turn_events: Events that one connection may have answered in one reactor turn.
        turn_seconds: Seconds after which it lets others have theirs.
    """

    idle_timeout: float = 300.0
    login_timeout: float | None = None
    handshake_timeout: float = 30.0
    block_timeout: float = 300.0
    least_rate: float = 0.0
    rate_grace: float = 60.0
    stall_timeout: float = 180.0
    close_timeout: float = 10.0
    cork: int = 65536
    turn_events: int = 250
    turn_seconds: float = 0.02
