r"""What an IMAP client asks or sends: the events of a `proto.imap.conversation.ServerConversation`.

A `Command` waits for one answer (`ServerConversation.answer`); the other events belong to the
command that is running and say themselves what they wait for.  Everything in an event is checked
for syntax and put in its normal spelling: mailbox names have passed `model.mailbox.normal_name`,
system flags are spelled as in `model.flags`, ``\Recent`` never stands among flags.

``tells_expunge`` says whether messages may leave the client's numbering while the command runs
(RFC 9051 §5.5 and §7.5.1, RFC 5256 §3, RFC 7162 §3.2.10.2): pass it to `proto.imap.view.View.tell`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "Aborted",
    "Command",
    "Event",
]


class Event:
    """Something a client asks or sends."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Command(Event):
    """A command; a plugin's own commands derive from it.

    Attributes:
        tag: What the client calls it; stands in front of the answer.
        tells_itself: Whether it counts on the sequence numbers that the client knows, or closes
            the mailbox: then news wait until it says so, else they are told before it begins.
    """

    tag: bytes
    tells_itself: ClassVar[bool] = False

    @property
    def tells_expunge(self) -> bool:
        """Whether EXPUNGE and VANISHED may be told before its answer."""
        return True

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return False


@dataclass(frozen=True, slots=True)
class Aborted(Event):
    """The running command was broken off by the client, and has been answered; undo it.

    A syntax error behind a message, an AUTHENTICATE line too long, the end of the connection.
    """
