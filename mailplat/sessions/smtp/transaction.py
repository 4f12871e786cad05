"""What a session knows of the mail under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailplat.interfaces.routes import Destination
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Change, Verdict

__all__ = ["Noted", "Transaction"]

_REJECTED = Reply.of(550, "Rejected", "5.7.1")
_DEFERRED = Reply.of(451, "Not now; please try again later", "4.7.1")


@dataclass(slots=True)
class Noted:
    """What filters want of a mail, short of refusing it.

    Attributes:
        changes: Of its header and body, in order.
        action: The severest.
        reason: Why that.
        mailbox: Where mail in quarantine goes; ``""`` for the usual one.
        by: The filter that said so.
    """

    changes: list[Change] = field(default_factory=list)
    action: Action = Action.CONTINUE
    reason: str = ""
    mailbox: str = ""
    by: str = ""

    @property
    def why(self) -> str:
        """Who said so, and why."""
        return f"{self.by}: {self.reason}" if self.by and self.reason else self.by or self.reason

    def add(self, verdict: Verdict) -> Reply | None:
        """Note one more verdict; if it is a refusal, give its words and note nothing."""
        if verdict is CONTINUE:
            return None
        if verdict.action in (Action.REJECT, Action.DEFER):
            words = _REJECTED if verdict.action is Action.REJECT else _DEFERRED
            reply = verdict.reply
            return reply if reply is not None and not reply.positive else words
        changes = list(verdict.changes)
        self.merge(Noted(changes, verdict.action, verdict.reason, verdict.mailbox, verdict.by))
        return None

    def merge(self, other: Noted) -> None:
        """Note what was noted elsewhere."""
        self.changes.extend(other.changes)
        if other.action > self.action:
            self.action, self.reason = other.action, other.reason
            self.mailbox, self.by = other.mailbox, other.by


@dataclass(slots=True)
class Transaction:
    """A mail under way.

    Attributes:
        accepted: Recipients that were answered 250, in their order.
        destinations: Where each of them leads; nowhere, if a filter discarded it.
        noted: What filters want of it.
        queue_id: Its name, once its message began to come.
        front: The fields for mailboxes' copies that were put on top of it then.
        trace: Bytes that this server put on top of it, those of ``front`` included.
        sender: The reverse path that the destinations were found with.
        refused: What those are told whose copies filters refused at the end (RFC 2033 §4.2).
        quarantined: Those whose copies filters put aside, and why.
    """

    accepted: list[Recipient] = field(default_factory=list)
    destinations: dict[Recipient, Sequence[Destination]] = field(default_factory=dict)
    noted: Noted = field(default_factory=Noted)
    queue_id: str = ""
    front: bytes = b""
    trace: int = 0
    sender: Address | None = None
    refused: dict[Recipient, Reply] = field(default_factory=dict)
    quarantined: dict[Recipient, Noted] = field(default_factory=dict)
