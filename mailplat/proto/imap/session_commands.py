"""The grammar of commands about the connection: log-in, TLS, ENABLE, ID (RFC 9051 §6.1, §6.2).

Each function reads what stands behind the command's name.
"""

from __future__ import annotations

from collections.abc import Callable

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.mailboxes import Check, Close, Namespace, Unselect
from mailplat.proto.imap.commands.session import (
    Authenticate,
    Capability,
    Compress,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    Noop,
    StartTLS,
)
from mailplat.proto.imap.syntax import ANY_STATE, BEFORE_LOGIN, LOGGED_IN, MAILBOX_OPEN, Syntax
from mailplat.proto.imap.tokens import Tokens

__all__ = ["SESSION_COMMANDS"]


def _alone(command: Callable[[bytes], Command]) -> Callable[[Tokens, bytes], Command]:
    """Read a command that has no arguments."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.end()
        return command(tag)

    return read


def _authenticate(tokens: Tokens, tag: bytes) -> Authenticate:
    """``AUTHENTICATE PLAIN [initial-response]`` (RFC 9051 §6.2.2)."""
    tokens.space()
    mechanism = tokens.atom().decode("ascii").upper()
    initial = None
    if not tokens.at_end:
        tokens.space()
        # base64 is not of the alphabet of atoms alone ("="), so it is taken as it is
        initial = tokens.text[tokens.at :].rstrip(b" ") or None
    return Authenticate(tag, mechanism, initial)


def _login(tokens: Tokens, tag: bytes) -> Login:
    """``LOGIN user password`` (RFC 9051 §6.2.3)."""
    tokens.space()
    user = tokens.text_argument()
    tokens.space()
    password = tokens.text_argument()
    tokens.end()
    return Login(tag, user, password)


def _enable(tokens: Tokens, tag: bytes) -> Enable:
    """``ENABLE capability ...`` (RFC 5161 §3.1)."""
    asked: dict[str, None] = {}
    while not asked or not tokens.at_end:
        tokens.space()
        asked[tokens.atom().decode("ascii").upper()] = None
    return Enable(tag, tuple(asked))


def _id(tokens: Tokens, tag: bytes) -> Id:
    """``ID NIL``, ``ID ()`` or ``ID ("name" "value" ...)`` (RFC 2971 §4)."""
    tokens.space()
    if not tokens.follows(b"("):
        if tokens.word() != b"NIL":
            tokens.fail("Expected a list or NIL")
        tokens.end()
        return Id(tag)
    fields = tokens.listed(_id_field, empty=True)
    tokens.end()
    return Id(tag, tuple(fields))


def _id_field(tokens: Tokens) -> tuple[str, str | None]:
    name = tokens.string().decode("utf-8", "replace")
    tokens.space()
    value = tokens.nstring()
    return name, None if value is None else value.decode("utf-8", "replace")


def _compress(tokens: Tokens, tag: bytes) -> Compress:
    """``COMPRESS DEFLATE`` (RFC 4978 §3)."""
    tokens.space()
    mechanism = tokens.atom().decode("ascii").upper()
    tokens.end()
    return Compress(tag, mechanism)


SESSION_COMMANDS = {
    b"CAPABILITY": Syntax(ANY_STATE, _alone(Capability)),
    b"NOOP": Syntax(ANY_STATE, _alone(Noop)),
    b"LOGOUT": Syntax(ANY_STATE, _alone(Logout)),
    b"ID": Syntax(ANY_STATE, _id),
    b"STARTTLS": Syntax(BEFORE_LOGIN, _alone(StartTLS)),
    b"AUTHENTICATE": Syntax(BEFORE_LOGIN, _authenticate),
    b"LOGIN": Syntax(BEFORE_LOGIN, _login),
    b"ENABLE": Syntax(LOGGED_IN, _enable),
    b"IDLE": Syntax(LOGGED_IN, _alone(Idle)),
    b"NAMESPACE": Syntax(LOGGED_IN, _alone(Namespace)),
    b"COMPRESS": Syntax(LOGGED_IN, _compress),
    b"CHECK": Syntax(MAILBOX_OPEN, _alone(Check)),
    b"CLOSE": Syntax(MAILBOX_OPEN, _alone(Close)),
    b"UNSELECT": Syntax(MAILBOX_OPEN, _alone(Unselect)),
}
"""Commands about the connection and what it has open."""
