"""What an extension of IMAP is: commands, FETCH items, SEARCH keys and capabilities from a plugin.

An extension is one object for the whole server; what belongs to a client is in the session that
each call brings along.  What a client may say is a value of the pure protocol, and so is what was
said, so these are told here by their names alone:

- ``grammar`` is a `mailplat.proto.imap.syntax.Grammar` that holds only what is added.  Each
  command's `Syntax` says in which states it may come, and reads what stands behind its name.
- A command is a value derived from `mailplat.proto.imap.commands.event.Command`, which also says
  how it stands to sequence numbers: ``tells_expunge`` and ``tells_itself``.
- A FETCH item is a hashable value with a ``label`` (`mailplat.proto.imap.fetch_items.FetchItem`); a
  SEARCH key is derived from `mailplat.proto.imap.search_keys.SearchKey`.

Invariants that the session keeps, whatever an extension does:

- Nothing of an extension is read, done or offered for a client from whom its capability is
  switched off; nothing an extension adds may take the place of what is there already.
- An exception of `model.errors` is a NO with its own words; any other is logged, and answered as a
  fault of ours.  The connection goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from zope.interface import Attribute, Interface, implementer

from mailplat.interfaces.store import Column, IHome, IMailbox, Rows
from mailplat.model.account import Account
from mailplat.model.numset import NumSet

__all__ = [
    "Answer",
    "ExtensionSettings",
    "FetchedItem",
    "IIMAPExtension",
    "IIMAPExtensionPlugin",
    "IIMAPSession",
    "IMAPExtension",
    "Match",
]


class IIMAPSession(Interface):
    """One client's session, as an extension sees it."""

    account: Account | None = Attribute("Who logged in; None before.")
    client_id: Mapping[str, str] = Attribute(
        "What the client said of itself by ID (RFC 2971), by names in lower case; empty before."
    )
    home: IHome = Attribute("The account's mail; only once somebody logged in.")
    mailbox: IMailbox | None = Attribute("The open mailbox, if there is one.")
    read_only: bool = Attribute("Whether the open mailbox may not be changed (EXAMINE).")
    conversation: Any = Attribute(
        "The `proto.imap.conversation.ServerConversation`: ``send`` for untagged responses, then "
        "one of ``ok``, ``no`` and ``bad``."
    )

    def enabled(capability: str) -> bool:
        """Whether the client turned a capability on by ENABLE; its name in capitals."""

    def offers(capability: str) -> bool:
        """Whether a capability is not switched off for this client; its name in capitals."""

    def uids_of(numbers: Any, *, uid: bool) -> NumSet:
        """Give the UIDs that a `proto.imap.sets.SequenceSet` stands for, as the client sees it.

        Raises:
            NoSuchNumber: A sequence number is too high; leave that to the session, which says BAD.
        """

    def changed() -> None:
        """The open mailbox was changed by the extension: the next news tell it."""

    def tell_news(*, expunge: bool) -> Awaitable[None]:
        """Tell what is new in the open mailbox; for a command that ``tells_itself``.

        Args:
            expunge: Whether messages may leave the client's numbering now.
        """

    def log_out() -> None:
        """Speak for nobody any more: as right after the greeting, with nothing enabled."""


@dataclass(frozen=True, slots=True)
class FetchedItem:
    """How the values of a FETCH item are made, a block of messages at a time.

    Attributes:
        columns: What the rows must have.
        values: Called with the session, the item and the rows; gives for each row what goes on
            the wire behind the item's label, spelled: an atom, a string, a list.
    """

    columns: tuple[Column, ...]
    values: Callable[[Any, Any, Rows], Awaitable[Sequence[bytes]]]


Answer = Callable[[Any, Any], Awaitable[None]]
"""Does a command: called with the session and the command; ends by ``ok``, ``no`` or ``bad``."""

Match = Callable[[Any, Any, Sequence[int]], Awaitable[Iterable[int]]]
"""Finds messages: called with the session, the key and UIDs, gives those UIDs that match."""


class IIMAPExtension(Interface):
    """Adds something to IMAP; `IMAPExtension` is one that adds nothing yet."""

    capability: str = Attribute(
        "The name by which it is offered and can be switched off; no other part may have it."
    )
    grammar: Any = Attribute("What a client may say: a `Grammar` of additions; None for nothing.")
    answers: Mapping[type, Answer] = Attribute("What does each class of command.")
    fetch_items: Mapping[type, FetchedItem] = Attribute("What makes each class of FETCH item.")
    search_keys: Mapping[type, Match] = Attribute("What finds by each class of SEARCH key.")
    enables: frozenset[str] = Attribute("What ENABLE can turn on by it, in capitals.")

    def capabilities(session: IIMAPSession) -> Iterable[str]:
        """Give what CAPABILITY is to list now, as far as the extension has a say.

        Asked before log-in (``session.account`` is None) and after.
        """


@implementer(IIMAPExtension)
class IMAPExtension:
    """An extension that adds nothing: derive from it, and give what you have.

    Its capability is offered once somebody logged in.
    """

    capability = ""
    grammar: Any = None
    answers: Mapping[type, Answer] = {}
    fetch_items: Mapping[type, FetchedItem] = {}
    search_keys: Mapping[type, Match] = {}
    enables: frozenset[str] = frozenset()

    def capabilities(self, session: IIMAPSession) -> Iterable[str]:
        """See `IIMAPExtension.capabilities`."""
        return () if session.account is None else (self.capability,)


@dataclass(frozen=True, slots=True)
class ExtensionSettings:
    """What every extension is told, whatever it is.

    Attributes:
        reactor: Twisted's reactor, for its threads and its clock.
        hostname: The server's own name.
        directory: The data directory; relative paths in an argument begin there.
        now: Tells the time, in seconds since 1970 UTC.
    """

    reactor: Any
    hostname: str = "localhost"
    directory: str = "."
    now: Callable[[], float] = time


class IIMAPExtensionPlugin(Interface):
    """Makes extensions of IMAP."""

    prefix: str = Attribute("The word before the first colon.")

    def extension(argument: str, settings: ExtensionSettings) -> IIMAPExtension:
        """Make an extension out of what follows the first colon.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """
