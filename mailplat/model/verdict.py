"""What a filter answers: one verdict, and the changes it wants (docs: writing a filter)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from mailplat.model.address import Address
from mailplat.model.envelope import Notify, Return
from mailplat.model.reply import Reply

__all__ = [
    "CONTINUE",
    "Action",
    "AddHeader",
    "AddRecipient",
    "Change",
    "ChangeHeader",
    "ChangeSender",
    "InsertHeader",
    "RemoveHeader",
    "RemoveRecipient",
    "ReplaceBody",
    "Score",
    "Tag",
    "Verdict",
]


class Action(IntEnum):
    """What becomes of the mail, mildest first: of several verdicts the highest one holds."""

    CONTINUE = 0
    ACCEPT = 1
    QUARANTINE = 2
    HOLD = 3
    DISCARD = 4
    DEFER = 5
    REJECT = 6


@dataclass(frozen=True, slots=True)
class AddHeader:
    """Put a header field on top (or at the bottom) of the message's header."""

    name: str
    value: str
    on_top: bool = True


@dataclass(frozen=True, slots=True)
class RemoveHeader:
    """Remove every field of that name; with a value, those that have just it when unfolded."""

    name: str
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """Put a header field at a place, its bytes as they are: a signature of its own may be in it.

    Attributes:
        name: The field's name.
        value: All that stands between the colon and the last CRLF: the blank too, and folds.
        index: How many fields stand above it, at most; None puts it at the bottom.
    """

    name: str
    value: bytes
    index: int | None = 0


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Give one of the fields of that name another value, its bytes as they are.

    Attributes:
        name: The field's name.
        index: Which of them, from 1 on; where there are fewer, one is added at the bottom.
        value: As in `InsertHeader`; ``b""`` removes the field.
    """

    name: str
    index: int
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """Put other bytes behind the empty line that ends the header."""

    body: bytes


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """Give the envelope another sender; None is the null sender.

    Attributes:
        address: The reverse path.
        returned: What reports bring back from now on; None leaves that (RFC 3461 §4.3).
        envid: The mail's identifier from now on; ``""`` leaves that (RFC 3461 §4.4).
    """

    address: Address | None
    returned: Return | None = None
    envid: str = ""


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """Give the envelope one more recipient.

    Attributes:
        address: The forward path.
        notify: When to report; empty leaves it to us (RFC 3461 §4.1).
        original: ORCPT as ``type;address``; ``""`` if none (RFC 3461 §4.2).
    """

    address: Address
    notify: frozenset[Notify] = field(default_factory=frozenset)
    original: str = ""


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    """Take a recipient from the envelope."""

    address: Address


@dataclass(frozen=True, slots=True)
class Tag:
    """Note a word about the mail, for later filters and for routes."""

    name: str


@dataclass(frozen=True, slots=True)
class Score:
    """Add points towards a filter's named threshold."""

    name: str
    points: float


Change = (
    AddHeader
    | RemoveHeader
    | InsertHeader
    | ChangeHeader
    | ReplaceBody
    | ChangeSender
    | AddRecipient
    | RemoveRecipient
    | Tag
    | Score
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A filter's one answer.

    Attributes:
        action: What becomes of the mail.
        reply: What the peer is told where the action is Reject or Defer; None uses the
            action's own words.
        changes: Applied in order, by the chain, after every filter of the stage spoke.
        reason: For the log and for the header of quarantined mail.
        mailbox: Where quarantined mail goes, by its name; ``""`` for the server's usual one.
        by: The filter's name, where somebody has to know; the chain writes it in.
    """

    action: Action = Action.CONTINUE
    reply: Reply | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""
    mailbox: str = ""
    by: str = ""

    @classmethod
    def reject(cls, text: str, *, code: int = 550, status: str = "5.7.1") -> Verdict:
        """Refuse for good: the sender's server bounces."""
        return cls(Action.REJECT, Reply.of(code, text, status), reason=text)

    @classmethod
    def defer(cls, text: str, *, code: int = 451, status: str = "4.7.1") -> Verdict:
        """Refuse for now: the sender's server tries again."""
        return cls(Action.DEFER, Reply.of(code, text, status), reason=text)

    @classmethod
    def quarantine(cls, reason: str, *, mailbox: str = "") -> Verdict:
        """Deliver into the mailbox for doubtful mail, with the reason in the header."""
        return cls(Action.QUARANTINE, reason=reason, mailbox=mailbox)

    @classmethod
    def hold(cls, reason: str) -> Verdict:
        """Keep in the queue until the operator lets it go."""
        return cls(Action.HOLD, reason=reason)


CONTINUE = Verdict()
"""No objection, no change."""
