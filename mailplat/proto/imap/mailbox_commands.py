"""The grammar of commands about mailboxes (RFC 9051 §6.3): SELECT, LIST, STATUS, APPEND, quotas.

Each function reads what stands behind the command's name.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from mailplat.model.mailbox import SpecialUse
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.append import Append, AppendMessage, Replace
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.mailboxes import (
    Create,
    Delete,
    GetQuota,
    GetQuotaRoot,
    List,
    ListReturn,
    ListSelect,
    Lsub,
    Qresync,
    Rename,
    Select,
    SetQuota,
    Status,
    StatusItem,
    Subscribe,
    Unsubscribe,
    Xlist,
)
from mailplat.proto.imap.refusal import no
from mailplat.proto.imap.syntax import LOGGED_IN, MAILBOX_OPEN, Syntax
from mailplat.proto.imap.tokens import MAX_MODSEQ, Tokens

__all__ = ["MAILBOX_COMMANDS", "append_message"]

E = TypeVar("E", bound=Enum)

_USES = {use.value.upper(): use for use in SpecialUse}


def _named(command: Callable[[bytes, str], Command]) -> Callable[[Tokens, bytes], Command]:
    """Read a command whose one argument is a mailbox."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        mailbox = tokens.mailbox()
        tokens.end()
        return command(tag, mailbox)

    return read


def _select(read_only: bool) -> Callable[[Tokens, bytes], Command]:
    """``SELECT mailbox [(CONDSTORE)]`` or ``[(QRESYNC (...))]`` (RFC 7162 §3.1.8, §3.2.5)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        mailbox = tokens.mailbox()
        condstore, qresync = False, None
        if tokens.found(b" ("):
            while True:
                word = tokens.word()
                if word == b"CONDSTORE":
                    condstore = True
                elif word == b"QRESYNC" and qresync is None:
                    if "QRESYNC" not in tokens.mode.enabled:  # (RFC 7162 §3.2.5)
                        tokens.fail("QRESYNC is not enabled")
                    tokens.space()
                    qresync = _qresync(tokens)
                else:
                    tokens.fail("Unknown parameter")
                if tokens.found(b")"):
                    break
                tokens.space()
        tokens.end()
        return Select(tag, mailbox, read_only, condstore or qresync is not None, qresync)

    return read


def _qresync(tokens: Tokens) -> Qresync:
    tokens.expect(b"(")
    uid_validity = tokens.nz_number()
    tokens.space()
    modseq = tokens.number(MAX_MODSEQ)
    known: NumSet | None = None
    numbers = uids = NumSet()
    if tokens.follows(b" ") and not tokens.follows(b" ("):
        tokens.space()
        known = tokens.known_set()
    if tokens.found(b" ("):
        numbers = tokens.known_set()
        tokens.space()
        uids = tokens.known_set()
        if len(numbers) != len(uids):
            tokens.fail("Both sets must be of the same size")
        tokens.expect(b")")
    tokens.expect(b")")
    return Qresync(uid_validity, modseq, known, numbers, uids)


def _create(tokens: Tokens, tag: bytes) -> Create:
    """``CREATE mailbox [(USE (...))]`` (RFC 9051 §6.3.4, RFC 6154 §3)."""
    tokens.space()
    mailbox = tokens.mailbox_to_create()
    uses: frozenset[SpecialUse] = frozenset()
    if tokens.found(b" ("):
        if tokens.word() != b"USE":
            tokens.fail("Unknown parameter")
        tokens.space()
        uses = frozenset(tokens.listed(_use, empty=True))
        tokens.expect(b")")
    tokens.end()
    return Create(tag, mailbox, uses)


def _use(tokens: Tokens) -> SpecialUse:
    tokens.expect(b"\\")
    name = "\\" + tokens.atom().decode("ascii")
    use = _USES.get(name.upper())
    if use is None:  # (RFC 6154 §3)
        raise no("No such special use", "USEATTR")
    return use


def _rename(tokens: Tokens, tag: bytes) -> Rename:
    """``RENAME old new`` (RFC 9051 §6.3.6)."""
    tokens.space()
    source = tokens.mailbox()
    tokens.space()
    target = tokens.mailbox_to_create()
    tokens.end()
    return Rename(tag, source, target)


def _list(tokens: Tokens, tag: bytes) -> List:
    """``LIST [(selection)] reference pattern [RETURN (options)]`` (RFC 5258 §6)."""
    tokens.space()
    extended = False
    select: frozenset[ListSelect] = frozenset()
    if tokens.follows(b"("):
        extended = True
        select = frozenset(tokens.listed(_option_of(ListSelect), empty=True))
        if ListSelect.RECURSIVEMATCH in select and not select & _SELECT_BASE:
            tokens.fail("RECURSIVEMATCH needs another selection option")  # (RFC 5258 §3.1)
        tokens.space()
    reference = tokens.pattern()
    tokens.space()
    if tokens.follows(b"("):
        extended = True
        patterns = tuple(tokens.listed(Tokens.pattern))
    else:
        patterns = (tokens.pattern(),)
    returns: frozenset[ListReturn] = frozenset()
    status: tuple[StatusItem, ...] = ()
    if tokens.found(b" "):
        extended = True
        if tokens.word() != b"RETURN":
            tokens.fail("Unknown parameter")
        tokens.space()
        options = tokens.listed(_list_return, empty=True)
        returns = frozenset(option for option in options if isinstance(option, ListReturn))
        status = next((option for option in options if isinstance(option, tuple)), ())
    tokens.end()
    return List(tag, reference, patterns, select, returns, status, extended)


_SELECT_BASE = frozenset({ListSelect.SUBSCRIBED, ListSelect.SPECIAL_USE})


def _list_return(tokens: Tokens) -> ListReturn | tuple[StatusItem, ...]:
    word = tokens.word()
    if word == b"STATUS":  # (RFC 5819 §2)
        tokens.space()
        return _status_items(tokens)
    try:
        return ListReturn(word.decode("ascii"))
    except ValueError:
        tokens.fail("Unknown return option")


def _list_of_old(
    command: Callable[[bytes, str, str], Command],
) -> Callable[[Tokens, bytes], Command]:
    """``LSUB reference pattern`` and its like (RFC 3501 §6.3.9)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        reference = tokens.pattern()
        tokens.space()
        pattern = tokens.pattern()
        tokens.end()
        return command(tag, reference, pattern)

    return read


def _status(tokens: Tokens, tag: bytes) -> Status:
    """``STATUS mailbox (items)`` (RFC 9051 §6.3.11)."""
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    items = _status_items(tokens)
    tokens.end()
    return Status(tag, mailbox, items)


def _status_items(tokens: Tokens) -> tuple[StatusItem, ...]:
    return tuple(dict.fromkeys(tokens.listed(_option_of(StatusItem))))


def _option_of(options: type[E]) -> Callable[[Tokens], E]:
    def read(tokens: Tokens) -> E:
        try:
            return options(tokens.word().decode("ascii"))
        except ValueError:
            tokens.fail("Unknown option")

    return read


def append_message(tokens: Tokens) -> AppendMessage:
    """Read what stands in front of a message: flags, date, and its announcement.

    The cursor stays at the announcement.
    """
    flags: frozenset[str] = frozenset()
    date = None
    if tokens.follows(b"("):
        flags = tokens.flag_list()
        tokens.space()
    if tokens.follows(b'"'):
        date = tokens.date_time()
        tokens.space()
    utf8 = not tokens.follows(b"{") and not tokens.follows(b"~{")
    if utf8:  # (RFC 6855 §4)
        if tokens.word() != b"UTF8":
            tokens.fail("Expected a message")
        tokens.expect(b" (")
    announced = tokens.announced()
    if announced is None or (utf8 and not announced.binary):
        tokens.fail("Expected a message as a literal")
    return AppendMessage(announced.size, flags, date, announced.binary, utf8)


def _append(tokens: Tokens, tag: bytes) -> Append:
    """``APPEND mailbox [flags] [date] literal ...`` (RFC 9051 §6.3.12, RFC 3502)."""
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    return Append(tag, mailbox, append_message(tokens))


def _replace(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``REPLACE number mailbox [flags] [date] literal`` (RFC 8508 §3)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        numbers = tokens.sequence_set()
        if not numbers.single():
            tokens.fail("Only one message can be replaced")
        tokens.space()
        mailbox = tokens.mailbox()
        tokens.space()
        return Replace(tag, numbers, uid, mailbox, append_message(tokens))

    return read


def _get_quota(tokens: Tokens, tag: bytes) -> GetQuota:
    """``GETQUOTA root`` (RFC 9208 §4.1.1)."""
    tokens.space()
    root = tokens.text_argument()
    tokens.end()
    return GetQuota(tag, root)


def _set_quota(tokens: Tokens, tag: bytes) -> SetQuota:
    """``SETQUOTA root (resource limit ...)`` (RFC 9208 §4.1.3)."""
    tokens.space()
    root = tokens.text_argument()
    tokens.space()
    limits = tokens.listed(_quota_limit, empty=True)
    tokens.end()
    return SetQuota(tag, root, tuple(limits))


def _quota_limit(tokens: Tokens) -> tuple[str, int]:
    resource = tokens.atom().decode("ascii").upper()
    tokens.space()
    return resource, tokens.number64()


MAILBOX_COMMANDS = {
    b"SELECT": Syntax(LOGGED_IN, _select(read_only=False)),
    b"EXAMINE": Syntax(LOGGED_IN, _select(read_only=True)),
    b"CREATE": Syntax(LOGGED_IN, _create),
    b"DELETE": Syntax(LOGGED_IN, _named(Delete)),
    b"RENAME": Syntax(LOGGED_IN, _rename),
    b"SUBSCRIBE": Syntax(LOGGED_IN, _named(Subscribe)),
    b"UNSUBSCRIBE": Syntax(LOGGED_IN, _named(Unsubscribe)),
    b"LIST": Syntax(LOGGED_IN, _list),
    b"LSUB": Syntax(LOGGED_IN, _list_of_old(Lsub)),
    b"XLIST": Syntax(LOGGED_IN, _list_of_old(Xlist)),
    b"STATUS": Syntax(LOGGED_IN, _status),
    b"APPEND": Syntax(LOGGED_IN, _append, streams=True),
    b"REPLACE": Syntax(MAILBOX_OPEN, _replace(uid=False), streams=True),
    b"UID REPLACE": Syntax(MAILBOX_OPEN, _replace(uid=True), streams=True),
    b"GETQUOTA": Syntax(LOGGED_IN, _get_quota),
    b"GETQUOTAROOT": Syntax(LOGGED_IN, _named(GetQuotaRoot)),
    b"SETQUOTA": Syntax(LOGGED_IN, _set_quota),
}
"""Commands about mailboxes as a whole."""
