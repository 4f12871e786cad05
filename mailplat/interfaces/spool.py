"""What mailplat asks of a spool: mail accepted, and not yet where it belongs."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from zope.interface import Interface

from mailplat.interfaces.bodies import IBody
from mailplat.model.envelope import Envelope, Recipient
from mailplat.model.outcome import Outcome

__all__ = ["ISpool", "Pending", "Spooled"]


@dataclass(frozen=True, slots=True)
class Pending:
    """One recipient of a spooled mail that is not done with.

    Attributes:
        recipient: As the client gave it.
        agent: Which delivery agent takes it on.
        attempts: How often it was tried.
        last: What came of the last attempt; None before the first.
    """

    recipient: Recipient
    agent: str = ""
    attempts: int = 0
    last: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Spooled:
    """One mail in the spool.

    Attributes:
        queue_id: Its name in every log line and reply about it.
        envelope: As accepted; recipients done with are in it too.
        arrived: Seconds since 1970 UTC.
        size: Bytes of the body.
        pending: Recipients not done with.
        held: Whether the operator keeps it back.
    """

    queue_id: str
    envelope: Envelope
    arrived: int
    size: int
    pending: tuple[Pending, ...]
    held: bool = False


class ISpool(Interface):
    """Keeps accepted mail through crashes until every recipient is done with.

    A mail is in the spool from the moment that `accept` returns until `settle` has answered for
    its last recipient; a crash between an attempt and its `settle` repeats the attempt (at least
    once), so agents make their own step atomic.
    """

    def open() -> Awaitable[Sequence[str]]:
        """Make ready; give the queue ids of all mail that a former run left."""

    def close() -> Awaitable[None]:
        """Finish what is under way."""

    def accept(
        queue_id: str, envelope: Envelope, agents: Mapping[Recipient, str], body: IBody
    ) -> Awaitable[None]:
        """Take a mail on; on return it is on stable storage.

        Concurrent calls share one flush (group commit).

        Raises:
            StorageFull: Nothing was stored.
        """

    def load(queue_id: str) -> Awaitable[Spooled]:
        """Read a mail's state.

        Raises:
            Corrupt: It is there and cannot be read.
        """

    def open_body(queue_id: str) -> Awaitable[IBody]:
        """Give a mail's bytes; the caller closes them."""

    def settle(queue_id: str, outcomes: Mapping[Recipient, Outcome]) -> Awaitable[None]:
        """Note what came of an attempt, durably.

        Recipients delivered, bounced or expanded are done with; those of `Expanded` become
        pending.  With the last one the mail leaves the spool.
        """

    def hold(queue_id: str, held: bool) -> Awaitable[None]:
        """Keep a mail back, or let it go on."""
