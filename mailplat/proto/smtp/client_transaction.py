"""What a client's conversation remembers: commands without a reply, and the mail under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailplat.model.reply import Reply
from mailplat.proto.smtp.client_events import Phase
from mailplat.proto.smtp.data_writer import DotStuffer, LineEnds
from mailplat.proto.smtp.transfer import Fitted, Result

__all__ = ["WITHOUT_MORE", "Command", "Took", "Transaction", "nonsense", "not_too_many"]

Took = Callable[[Reply], None]
"""Takes the reply to a command."""

WITHOUT_MORE = frozenset({Phase.MAIL, Phase.RCPT, Phase.CHUNK, Phase.END})
"""Where a server that asks for more (3xx) is out of step."""


@dataclass(slots=True)
class Command:
    """A command that is sent or will be.

    Attributes:
        phase: What is waited for once it is sent.
        line: Its bytes; may hold a password.
        took: Takes its reply; may hold what goes out next.
        barrier: Nothing is pipelined behind it (RFC 2920 §3.1).
    """

    phase: Phase
    line: bytes = field(repr=False)
    took: Took = field(repr=False)
    barrier: bool = False


@dataclass(slots=True)
class Transaction:
    """A mail under way.

    Attributes:
        fitted: What is said to the server.
        results: What is known for each recipient of the transfer.
        left: RCPTs that have no answer yet.
        accepted: The recipients whose RCPT was accepted, by their index.
        refusal: Of MAIL, DATA or a chunk: the answer for all that have no other.
        stuffer: With DATA, what writes the message.
        ends: With BDAT, what mends its line ends; None for a binary message.
        streaming: Whether the message's bytes may be given now.
        complete: Whether the last one was sent.
        verify: Whether no message follows the recipients.
    """

    fitted: Fitted
    results: list[Result | None]
    left: int
    accepted: list[int] = field(default_factory=list)
    refusal: Reply | None = None
    stuffer: DotStuffer | None = None
    ends: LineEnds | None = None
    streaming: bool = False
    complete: bool = False
    verify: bool = False


def nonsense(what: str) -> Reply:
    """Say that the server does what no server should."""
    return Reply.of(451, f"The server does not speak SMTP as we do: {what}", "4.5.0")


def not_too_many(reply: Reply, transaction: Transaction) -> Reply:
    """Read 552 to a further recipient as the 452 it should have been (RFC 5321 §4.5.3.1.10)."""
    if reply.code == 552 and reply.status in {"", "5.5.3"} and transaction.accepted:
        return Reply(452, reply.lines, "4.5.3")
    return reply
