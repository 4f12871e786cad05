"""The grammar of STORE, COPY, MOVE and EXPUNGE (RFC 9051 §6.4), and of all message commands' names.

Each function reads what stands behind the command's name.
"""

from __future__ import annotations

from collections.abc import Callable

from mailplat.model.flags import FlagAction
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.messages import Copy, Expunge, Move, Store
from mailplat.proto.imap.fetch_command import fetch
from mailplat.proto.imap.search_commands import search, sort, thread
from mailplat.proto.imap.sets import SequenceSet
from mailplat.proto.imap.syntax import MAILBOX_OPEN, Syntax
from mailplat.proto.imap.tokens import MAX_MODSEQ, Tokens

__all__ = ["MESSAGE_COMMANDS"]

_ACTIONS = {
    b"+": FlagAction.ADD,
    b"-": FlagAction.REMOVE,
}


def _store(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``STORE set [(UNCHANGEDSINCE n)] [+|-]FLAGS[.SILENT] flags`` (RFC 7162 §3.1.3)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        numbers = tokens.sequence_set()
        tokens.space()
        unchanged_since = None
        if tokens.found(b"("):
            if tokens.word() != b"UNCHANGEDSINCE":
                tokens.fail("Unknown STORE modifier")
            tokens.space()
            unchanged_since = tokens.number(MAX_MODSEQ)
            tokens.expect(b") ")
        sign = tokens.text[tokens.at : tokens.at + 1]
        action = _ACTIONS.get(sign, FlagAction.REPLACE)
        if action is not FlagAction.REPLACE:
            tokens.expect(sign)
        word = tokens.word()
        if word not in {b"FLAGS", b"FLAGS.SILENT"}:
            tokens.fail("Unknown data item")
        tokens.space()
        flags = tokens.flag_list() if tokens.follows(b"(") else _bare_flags(tokens)
        tokens.end()
        silent = word.endswith(b"SILENT")
        return Store(tag, numbers, uid, action, flags, silent, unchanged_since)

    return read


def _bare_flags(tokens: Tokens) -> frozenset[str]:
    flags = {tokens.flag()}
    while tokens.found(b" "):
        flags.add(tokens.flag())
    return frozenset(flags)


def _to_mailbox(
    command: Callable[[bytes, SequenceSet, bool, str], Command], uid: bool
) -> Callable[[Tokens, bytes], Command]:
    """``COPY set mailbox`` (RFC 9051 §6.4.7), ``MOVE set mailbox`` (§6.4.8)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        numbers = tokens.sequence_set()
        tokens.space()
        mailbox = tokens.mailbox()
        tokens.end()
        return command(tag, numbers, uid, mailbox)

    return read


def _expunge(tokens: Tokens, tag: bytes) -> Expunge:
    """``EXPUNGE`` (RFC 9051 §6.4.3)."""
    tokens.end()
    return Expunge(tag)


def _uid_expunge(tokens: Tokens, tag: bytes) -> Expunge:
    """``UID EXPUNGE set`` (RFC 9051 §6.4.9)."""
    tokens.space()
    uids = tokens.sequence_set()
    tokens.end()
    return Expunge(tag, uids)


MESSAGE_COMMANDS = {
    b"EXPUNGE": Syntax(MAILBOX_OPEN, _expunge),
    b"UID EXPUNGE": Syntax(MAILBOX_OPEN, _uid_expunge),
    b"FETCH": Syntax(MAILBOX_OPEN, fetch(uid=False)),
    b"UID FETCH": Syntax(MAILBOX_OPEN, fetch(uid=True)),
    b"STORE": Syntax(MAILBOX_OPEN, _store(uid=False)),
    b"UID STORE": Syntax(MAILBOX_OPEN, _store(uid=True)),
    b"COPY": Syntax(MAILBOX_OPEN, _to_mailbox(Copy, uid=False)),
    b"UID COPY": Syntax(MAILBOX_OPEN, _to_mailbox(Copy, uid=True)),
    b"MOVE": Syntax(MAILBOX_OPEN, _to_mailbox(Move, uid=False)),
    b"UID MOVE": Syntax(MAILBOX_OPEN, _to_mailbox(Move, uid=True)),
    b"SEARCH": Syntax(MAILBOX_OPEN, search(uid=False)),
    b"UID SEARCH": Syntax(MAILBOX_OPEN, search(uid=True)),
    b"SORT": Syntax(MAILBOX_OPEN, sort(uid=False)),
    b"UID SORT": Syntax(MAILBOX_OPEN, sort(uid=True)),
    b"THREAD": Syntax(MAILBOX_OPEN, thread(uid=False)),
    b"UID THREAD": Syntax(MAILBOX_OPEN, thread(uid=True)),
}
"""Commands about the messages of the open mailbox."""
