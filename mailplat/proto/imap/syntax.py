"""The shape of the grammar: which command is read by what, and in which state it may come.

A `Grammar` is a value.  A plugin's commands, FETCH items and SEARCH keys are added by `extended`,
and the conversation takes whatever grammar it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.fetch_items import FetchItem
from mailplat.proto.imap.search_keys import SearchKey
from mailplat.proto.imap.tokens import Tokens

__all__ = [
    "ANY_STATE",
    "BEFORE_LOGIN",
    "LOGGED_IN",
    "MAILBOX_OPEN",
    "Grammar",
    "State",
    "Syntax",
]


class State(Enum):
    """How far a client has come (RFC 9051 §3)."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


BEFORE_LOGIN = frozenset({State.NOT_AUTHENTICATED})
LOGGED_IN = frozenset({State.AUTHENTICATED, State.SELECTED})
MAILBOX_OPEN = frozenset({State.SELECTED})
ANY_STATE = BEFORE_LOGIN | LOGGED_IN


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one command is read.

    Attributes:
        states: In which states it may come.
        read: Reads what stands behind the command's name, with the space in front of it, given
            the tag; raises `Refusal`.  For a command that streams it may raise
            `LiteralMissing`, and reads up to the announcement of the message.
        streams: Whether a message follows that is never held as a whole: APPEND, REPLACE.
    """

    states: frozenset[State]
    read: Callable[[Tokens, bytes], Command]
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Grammar:
    """All that a client can say.

    Attributes:
        commands: By name in capitals; ``UID FETCH`` is a name of its own.
        fetch_items: FETCH items beyond the RFCs': by name in capitals, what reads the rest.
        search_keys: Likewise for SEARCH.
    """

    commands: Mapping[bytes, Syntax]
    fetch_items: Mapping[bytes, Callable[[Tokens], FetchItem]] = field(default_factory=dict)
    search_keys: Mapping[bytes, Callable[[Tokens], SearchKey]] = field(default_factory=dict)

    def extended(
        self,
        commands: Mapping[bytes, Syntax] | None = None,
        fetch_items: Mapping[bytes, Callable[[Tokens], FetchItem]] | None = None,
        search_keys: Mapping[bytes, Callable[[Tokens], SearchKey]] | None = None,
    ) -> Grammar:
        """Make a grammar that knows more."""
        return Grammar(
            {**self.commands, **(commands or {})},
            {**self.fetch_items, **(fetch_items or {})},
            {**self.search_keys, **(search_keys or {})},
        )
