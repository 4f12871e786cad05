"""A command line taken apart, and the commands that are read without knowing the conversation.

What no server of ours knows has its reply here: a line with control characters, a verb that nobody
defined, and the verbs of other protocols, behind which a browser may be that somebody led here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from mailplat.model.reply import Reply
from mailplat.proto.smtp import words
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.commands import Event, Expand, Hello, Introduce, Reset, Verify
from mailplat.proto.smtp.parse import parse_hello
from mailplat.proto.smtp.xclient import parse_xclient

__all__ = ["PLAIN", "VERBS", "check_bare", "help_words", "split_line"]

VERBS = (
    *("EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET"),
    *("NOOP", "HELP", "VRFY", "EXPN", "QUIT", "XCLIENT"),
)
"""All commands, in the order that HELP names them."""

_BAD_CHARACTER = re.compile(rb"[\x00-\x1f\x7f]")
_OTHER_PROTOCOLS = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE"))
_BARE = frozenset(("STARTTLS", "DATA", "RSET", "QUIT"))


def split_line(line: bytes) -> tuple[str, bytes]:
    """Take a line apart into its verb, in capitals, and what stands behind it.

    Raises:
        CommandFault: It is no command of SMTP's; the connection ends where the reply says so.
    """
    line = line.rstrip(b" \t")  # RFC 5321 §4.1.1
    if _BAD_CHARACTER.search(line):
        raise CommandFault(words.BAD_LINE)
    word, _, argument = line.partition(b" ")
    verb = word.decode("latin-1").upper()
    if verb in _OTHER_PROTOCOLS:
        raise CommandFault(words.NOT_SMTP)
    if verb not in VERBS:
        raise CommandFault(words.UNKNOWN)
    return verb, argument


def check_bare(verb: str, argument: bytes) -> None:
    """See that a command without an argument has none (RFC 5321 §4.1.1).

    Raises:
        CommandFault: It has one.
    """
    if argument and verb in _BARE:
        raise CommandFault(words.NO_ARGUMENT)


def help_words(hellos: Collection[str], *, proxy: bool) -> Reply:
    """Name the commands (RFC 5321 §4.1.1.8).

    Args:
        hellos: Those that greet in this dialect.
        proxy: Whether XCLIENT is one of them.
    """
    hidden = {"EHLO", "HELO", "LHLO"} - set(hellos) | (set() if proxy else {"XCLIENT"})
    verbs = " ".join(verb for verb in VERBS if verb not in hidden)
    return Reply(214, ("Commands: " + verbs, "See RFC 5321"), "2.0.0")


def _whom(argument: bytes) -> str:
    if not argument:
        raise CommandFault(words.NO_NAME)
    return argument.decode("utf-8", "replace")


PLAIN: dict[str, Callable[[str, bytes], Event]] = {
    "EHLO": lambda verb, argument: Hello(verb, parse_hello(argument)),
    "HELO": lambda verb, argument: Hello(verb, parse_hello(argument)),
    "LHLO": lambda verb, argument: Hello(verb, parse_hello(argument)),
    "RSET": lambda verb, argument: Reset(),
    "VRFY": lambda verb, argument: Verify(_whom(argument)),
    "EXPN": lambda verb, argument: Expand(_whom(argument)),
    "XCLIENT": lambda verb, argument: Introduce(parse_xclient(argument)),
}
"""Verb and argument to the event; those that are not here depend on the conversation."""
