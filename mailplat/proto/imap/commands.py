r"""What an IMAP client asks: the events of a `proto.imap.conversation.ServerConversation`.

A `Command` waits for one answer (`ServerConversation.answer`); the other events belong to the
command that is running and say themselves what they wait for.  Everything in an event is checked
for syntax and put in its normal spelling: mailbox names have passed `model.mailbox.normal_name`,
system flags are spelled as in `model.flags`, ``\Recent`` never stands among flags.

``tells_expunge`` says whether messages may leave the client's numbering while the command runs
(RFC 9051 §5.5 and §7.5.1, RFC 5256 §3, RFC 7162 §3.2.10.2): pass it to `proto.imap.view.View.tell`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import SpecialUse
from mailplat.model.numset import NumSet
from mailplat.proto.imap.fetch_items import Attribute, FetchItem
from mailplat.proto.imap.search_keys import ModSeq, Numbers, SearchKey, walk
from mailplat.proto.imap.sets import PartialRange, SequenceSet

__all__ = [
    "Aborted",
    "Append",
    "AppendData",
    "AppendEnd",
    "AppendMessage",
    "AppendNext",
    "Authenticate",
    "AuthenticateResponse",
    "Capability",
    "Check",
    "Close",
    "Command",
    "Compress",
    "Copy",
    "Create",
    "Delete",
    "Done",
    "Enable",
    "Event",
    "Expunge",
    "Fetch",
    "GetQuota",
    "GetQuotaRoot",
    "Id",
    "Idle",
    "List",
    "ListReturn",
    "ListSelect",
    "Login",
    "Logout",
    "Lsub",
    "Move",
    "Namespace",
    "Noop",
    "Qresync",
    "Rename",
    "Replace",
    "Search",
    "SearchReturn",
    "Select",
    "SetQuota",
    "Sort",
    "SortCriterion",
    "SortKey",
    "StartTLS",
    "Status",
    "StatusItem",
    "Store",
    "Subscribe",
    "Thread",
    "Unauthenticate",
    "Unselect",
    "Unsubscribe",
    "Xlist",
]


class Event:
    """Something a client asks or sends."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Command(Event):
    """A command; a plugin's own commands derive from it.

    Attributes:
        tag: What the client calls it; stands in front of the answer.
    """

    tag: bytes

    @property
    def tells_expunge(self) -> bool:
        """Whether EXPUNGE and VANISHED may be told before its answer."""
        return True

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return False


# in any state


@dataclass(frozen=True, slots=True)
class Capability(Command):
    """What can the server do? (RFC 9051 §6.1.1)."""


@dataclass(frozen=True, slots=True)
class Noop(Command):
    """Is there anything new? (RFC 9051 §6.1.2)."""


@dataclass(frozen=True, slots=True)
class Logout(Command):
    """End the connection (RFC 9051 §6.1.3); an OK is preceded by BYE and followed by the end."""


@dataclass(frozen=True, slots=True)
class Id(Command):
    """Who are you? (RFC 2971).

    Attributes:
        fields: What the client says of itself, in order; ``()`` for NIL.
    """

    fields: tuple[tuple[str, str | None], ...] = ()


# before log-in


@dataclass(frozen=True, slots=True)
class StartTLS(Command):
    """Begin TLS (RFC 9051 §6.2.1): answer OK and the conversation waits for ``tls_started``."""


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """Log in by SASL (RFC 9051 §6.2.2): answer, or `challenge` until it can be answered.

    Attributes:
        mechanism: In capitals.
        initial: The initial response as it was sent, in base64 (``=`` if empty), or None:
            what `proto.sasl.begin` takes.
    """

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthenticateResponse(Event):
    """The line after a `challenge`; comes while `Authenticate` waits for its answer.

    Attributes:
        line: As it was sent, without CRLF, ``*`` to cancel: what `proto.sasl.respond` takes.
    """

    line: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login(Command):
    """Log in by name and password (RFC 9051 §6.2.3)."""

    user: str
    password: str = field(repr=False)


# once logged in


@dataclass(frozen=True, slots=True)
class Enable(Command):
    """Turn extensions on (RFC 5161).

    Attributes:
        capabilities: In capitals, without repetition, in the order asked.
    """

    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Qresync:
    """What a client remembers of a mailbox (RFC 7162 §3.2.5).

    Attributes:
        uid_validity: Of the mailbox then.
        modseq: The last it knows of.
        known_uids: Messages it remembers; None if it did not say (then all).
        known_numbers: With ``known_number_uids``: some of its sequence numbers and their UIDs,
            both ascending.
    """

    uid_validity: int
    modseq: int
    known_uids: NumSet | None = None
    known_numbers: NumSet = NumSet()
    known_number_uids: NumSet = NumSet()


@dataclass(frozen=True, slots=True)
class Select(Command):
    """Open a mailbox (RFC 9051 §6.3.2), or EXAMINE it (§6.3.3).

    Attributes:
        mailbox: Its name.
        read_only: Whether it was EXAMINE.
        condstore: Whether CONDSTORE was asked for (RFC 7162 §3.1.8).
        qresync: What the client remembers; only after ENABLE QRESYNC.
    """

    mailbox: str
    read_only: bool = False
    condstore: bool = False
    qresync: Qresync | None = None

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return self.condstore


@dataclass(frozen=True, slots=True)
class Create(Command):
    """Make a mailbox (RFC 9051 §6.3.4, RFC 6154 §3); a separator at the name's end is gone."""

    mailbox: str
    special_use: frozenset[SpecialUse] = frozenset()


@dataclass(frozen=True, slots=True)
class Delete(Command):
    """Remove a mailbox (RFC 9051 §6.3.5)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename(Command):
    """Rename a mailbox (RFC 9051 §6.3.6)."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Subscribe(Command):
    """Put a name on the subscription list (RFC 9051 §6.3.7)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command):
    """Take a name off the subscription list (RFC 9051 §6.3.8)."""

    mailbox: str


class ListSelect(Enum):
    """Which mailboxes LIST is about (RFC 5258 §3.1, RFC 6154 §2)."""

    SUBSCRIBED = "SUBSCRIBED"
    REMOTE = "REMOTE"
    RECURSIVEMATCH = "RECURSIVEMATCH"
    SPECIAL_USE = "SPECIAL-USE"


class ListReturn(Enum):
    """What LIST tells of them (RFC 5258 §3.2, RFC 6154 §2)."""

    SUBSCRIBED = "SUBSCRIBED"
    CHILDREN = "CHILDREN"
    SPECIAL_USE = "SPECIAL-USE"


class StatusItem(Enum):
    """What STATUS can tell (RFC 9051 §6.3.11, RFC 7162, 7889, 8438, 8474, 9208)."""

    MESSAGES = "MESSAGES"
    RECENT = "RECENT"
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    DELETED = "DELETED"
    DELETED_STORAGE = "DELETED-STORAGE"
    SIZE = "SIZE"
    HIGHESTMODSEQ = "HIGHESTMODSEQ"
    MAILBOXID = "MAILBOXID"
    APPENDLIMIT = "APPENDLIMIT"


@dataclass(frozen=True, slots=True)
class List(Command):
    r"""List mailboxes (RFC 9051 §6.3.9).

    Attributes:
        reference: Goes in front of each pattern; decoded text.
        patterns: Decoded text with ``%`` and ``*``; a single ``""`` asks for the separator
            (unless ``extended``, where it matches nothing: RFC 5258 §3).
        select: Which mailboxes.
        returns: What of them.
        status: STATUS of each that can be selected (RFC 5819); ``()`` if not asked for.
        extended: Whether any of the extended syntax was used (RFC 5258 §3).
    """

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[ListSelect] = frozenset()
    returns: frozenset[ListReturn] = frozenset()
    status: tuple[StatusItem, ...] = ()
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Lsub(Command):
    """List the subscribed names (RFC 3501 §6.3.9)."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Xlist(Command):
    """List mailboxes with their uses, as clients asked before RFC 6154."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace(Command):
    """Which namespaces are there? (RFC 2342)."""


@dataclass(frozen=True, slots=True)
class Status(Command):
    """Count a mailbox without opening it (RFC 9051 §6.3.11)."""

    mailbox: str
    items: tuple[StatusItem, ...]

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return StatusItem.HIGHESTMODSEQ in self.items


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """A message that is about to be sent (RFC 9051 §6.3.12, RFC 3502).

    Attributes:
        size: Its bytes; 0 asks to call the whole APPEND off (RFC 3502 §6.3.11).
        flags: For it.
        date: INTERNALDATE with its zone; None for now.
        binary: Whether it comes as a literal8 and may hold NUL (RFC 3516 §4.4).
        utf8: Whether its header may hold UTF-8 (RFC 6855 §4).
    """

    size: int
    flags: frozenset[str] = frozenset()
    date: datetime | None = None
    binary: bool = False
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Append(Command):
    """Store messages, all or none (RFC 9051 §6.3.12, RFC 3502).

    Comes before the bytes do.  `accept` takes the message: then follow `AppendData` for its
    blocks and `AppendNext` for each further message (which is accepted likewise), and at last
    `AppendEnd`, which waits for the answer.  `answer` instead, at any point, refuses: what the
    client still sends of the command is drained unseen.  `Aborted` may take the place of any of
    the later events.
    """

    mailbox: str
    message: AppendMessage


@dataclass(frozen=True, slots=True)
class Replace(Command):
    """Store a message in the place of another (RFC 8508); its bytes follow as with `Append`.

    Attributes:
        numbers: The one message to be replaced.
        uid: Whether that is its UID.
        mailbox: Where the new one goes.
        message: What is about to come.
    """

    numbers: SequenceSet
    uid: bool
    mailbox: str
    message: AppendMessage


@dataclass(frozen=True, slots=True)
class AppendData(Event):
    """A block of the message being stored; waits for nothing."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppendNext(Event):
    """A further message of the same APPEND; waits for `accept` or `answer`."""

    message: AppendMessage


@dataclass(frozen=True, slots=True)
class AppendEnd(Event):
    """All messages are here; waits for the answer to the `Append` or `Replace`."""


@dataclass(frozen=True, slots=True)
class Aborted(Event):
    """The running command was broken off by the client, and has been answered; undo it.

    A syntax error behind a message, an AUTHENTICATE line too long, the end of the connection.
    """


@dataclass(frozen=True, slots=True)
class Idle(Command):
    """Tell what happens as it happens (RFC 2177): `accept`, then `send`; or answer NO."""


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The end of IDLE; waits for the answer to the `Idle`."""


@dataclass(frozen=True, slots=True)
class GetQuota(Command):
    """What does a quota root hold? (RFC 9208 §4.1.1)."""

    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot(Command):
    """Which quota roots has a mailbox? (RFC 9208 §4.1.2)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota(Command):
    """Limit a quota root (RFC 9208 §4.1.3): resource names in capitals, with their limits."""

    root: str
    limits: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Compress(Command):
    """Compress both ways (RFC 4978): answer OK, and the conversation does it from there on.

    Attributes:
        mechanism: In capitals; DEFLATE is the only one there is.
    """

    mechanism: str


@dataclass(frozen=True, slots=True)
class Unauthenticate(Command):
    """Log out and stay connected (RFC 8437): an OK resets the conversation's state."""


# with a mailbox open


@dataclass(frozen=True, slots=True)
class Check(Command):
    """Have the mailbox written down (RFC 3501 §6.4.1)."""


@dataclass(frozen=True, slots=True)
class Close(Command):
    """Expunge in silence, and close the mailbox (RFC 9051 §6.4.1)."""

    @property
    def tells_expunge(self) -> bool:
        """Nothing is told while a mailbox closes."""
        return False


@dataclass(frozen=True, slots=True)
class Unselect(Command):
    """Close the mailbox and expunge nothing (RFC 9051 §6.4.2)."""


@dataclass(frozen=True, slots=True)
class Expunge(Command):
    r"""Remove messages with ``\Deleted`` (RFC 9051 §6.4.3).

    Attributes:
        uids: Only these, for UID EXPUNGE (§6.4.9); None for all.
    """

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class SearchReturn:
    """What is told of the messages found (RFC 9051 §6.4.4, RFC 9394).

    ``RETURN ()`` means ``all``.  With ``save`` alone nothing is told.
    """

    minimum: bool = False
    maximum: bool = False
    everything: bool = False
    count: bool = False
    save: bool = False
    partial: PartialRange | None = None


@dataclass(frozen=True, slots=True)
class Search(Command):
    """Find messages (RFC 9051 §6.4.4).

    Attributes:
        uid: Whether it was UID SEARCH: the answer speaks of UIDs.
        key: What they must match.
        returns: What to tell, by ESEARCH; None for a plain SEARCH response.
    """

    uid: bool
    key: SearchKey
    returns: SearchReturn | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 7162 §3.2.10.2)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


class SortKey(Enum):
    """What messages are put in order by (RFC 5256 §3, RFC 5957)."""

    ARRIVAL = "ARRIVAL"
    CC = "CC"
    DATE = "DATE"
    FROM = "FROM"
    SIZE = "SIZE"
    SUBJECT = "SUBJECT"
    TO = "TO"
    DISPLAYFROM = "DISPLAYFROM"
    DISPLAYTO = "DISPLAYTO"


@dataclass(frozen=True, slots=True)
class SortCriterion:
    """A key, and whether its order is turned round."""

    key: SortKey
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort(Command):
    """Find messages and put them in order (RFC 5256 §3); ``returns`` as in `Search` (RFC 5267)."""

    uid: bool
    criteria: tuple[SortCriterion, ...]
    key: SearchKey
    returns: SearchReturn | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 5256 §3)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


@dataclass(frozen=True, slots=True)
class Thread(Command):
    """Find messages and hang them together (RFC 5256 §3).

    Attributes:
        algorithm: In capitals; whether it is known is for the session to say.
    """

    uid: bool
    algorithm: str
    key: SearchKey

    @property
    def tells_expunge(self) -> bool:
        """Only with UIDs throughout (RFC 5256 §3)."""
        return self.uid and not _has_sequence_numbers(self.key)

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return any(isinstance(part, ModSeq) for part in walk(self.key))


@dataclass(frozen=True, slots=True)
class Fetch(Command):
    """Read data of messages (RFC 9051 §6.4.5).

    Attributes:
        numbers: Which messages.
        uid: Whether these are UIDs.
        items: What of them, each once, UID first, else in the order asked; UID is there
            for UID FETCH, MODSEQ for CHANGEDSINCE, asked for or not.
        changed_since: Only messages with a higher MODSEQ (RFC 7162 §3.1.4.1).
        vanished: Tell also which of the UIDs are gone since (RFC 7162 §3.2.6).
        partial: Only this page of the messages (RFC 9394 §3.3).
    """

    numbers: SequenceSet
    uid: bool
    items: tuple[FetchItem, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: PartialRange | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only UID FETCH (RFC 9051 §7.5.1)."""
        return self.uid

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return Attribute.MODSEQ in self.items


@dataclass(frozen=True, slots=True)
class Store(Command):
    """Change flags (RFC 9051 §6.4.6).

    Attributes:
        numbers: Which messages.
        uid: Whether these are UIDs.
        action: How.
        flags: Which flags.
        silent: Whether the new flags need not be told.
        unchanged_since: Only messages whose MODSEQ is not higher (RFC 7162 §3.1.3).
    """

    numbers: SequenceSet
    uid: bool
    action: FlagAction
    flags: frozenset[str]
    silent: bool = False
    unchanged_since: int | None = None

    @property
    def tells_expunge(self) -> bool:
        """Only UID STORE (RFC 9051 §7.5.1)."""
        return self.uid

    @property
    def enables_condstore(self) -> bool:
        """Whether the client shows by it that it knows CONDSTORE (RFC 7162 §3.1)."""
        return self.unchanged_since is not None


@dataclass(frozen=True, slots=True)
class Copy(Command):
    """Copy messages to a mailbox (RFC 9051 §6.4.7)."""

    numbers: SequenceSet
    uid: bool
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move(Command):
    """Move messages to a mailbox (RFC 9051 §6.4.8)."""

    numbers: SequenceSet
    uid: bool
    mailbox: str


def _has_sequence_numbers(key: SearchKey) -> bool:
    return any(
        isinstance(part, Numbers) and not part.uid and not part.numbers.saved for part in walk(key)
    )
