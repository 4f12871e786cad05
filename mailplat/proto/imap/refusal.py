"""How a client's mistake is answered: the grammar raises a `Refusal`, the conversation sends it."""

from __future__ import annotations

from enum import Enum

__all__ = ["Condition", "Refusal", "bad", "no"]


class Condition(Enum):
    """How a command ended (RFC 9051 §7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"


class Refusal(Exception):
    """A command cannot be carried out as it was written; never leaves `proto.imap`.

    Attributes:
        condition: BAD for a fault of syntax, NO for what can be written but not done.
        text: What the client is told.
        code: A response code without its brackets, or ``""``.
    """

    def __init__(self, condition: Condition, text: str, code: str = "") -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text
        self.code = code


def bad(text: str, code: str = "") -> Refusal:
    """Make the answer to a command that is not in the grammar."""
    return Refusal(Condition.BAD, text, code)


def no(text: str, code: str = "") -> Refusal:
    """Make the answer to a command that asks for what cannot be."""
    return Refusal(Condition.NO, text, code)
