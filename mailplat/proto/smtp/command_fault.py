"""A command that cannot be taken, and what is answered to it."""

from __future__ import annotations

from mailplat.model.reply import Reply

__all__ = ["CommandFault", "fault"]


class CommandFault(Exception):
    """A command cannot be taken.

    Attributes:
        reply: What to answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def fault(code: int, status: str, text: str) -> CommandFault:
    """Make the fault that has these words."""
    return CommandFault(Reply.of(code, text, status))
