"""What every conversation has in common, so that `net` carries all of them alike.

A conversation is the pure state machine of one connection.  Bytes go in by `receive`; what the
peer asks comes out of `next_event`, one event at a time; the session's answer goes back in by
methods of the conversation's own; bytes for the peer come out of `bytes_to_send`.

Invariants:

- While an event is unanswered `next_event` gives None: pipelined input waits its turn, and
  replies leave in the order of the commands.
- What the peer did wrong is answered by the conversation itself and never becomes an event.
- Input is bounded: beyond a limit of unread bytes ``paused`` is true, and the transport reads
  no more until it is false again.
- After ``tls_started`` nothing that came before it is left: no bytes, no state (RFC 3207 §4.2).
"""

from __future__ import annotations

from typing import Protocol, TypeVar

__all__ = ["Conversation"]

E_co = TypeVar("E_co", covariant=True)


class Conversation(Protocol[E_co]):
    """The shape of a conversation, of either side of any protocol."""

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""

    @property
    def closing(self) -> bool:
        """Whether the connection ends once the bytes to send are sent."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer, cut anywhere."""

    def end_of_input(self) -> None:
        """The peer sends no more; what it asked for before is still answered."""

    def next_event(self) -> E_co | None:
        """Give the next thing that is asked; None until input or an answer comes."""

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the peer; ``b""`` if nothing is."""

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it."""
