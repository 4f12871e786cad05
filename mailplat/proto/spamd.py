"""What is said to SpamAssassin's spamd, and what it answers (SPAMC/1.5), without a connection.

A request is a line, fields, an empty line and the message.  The answer looks alike; the connection
ends behind it, so that an answer is only read once all of it is there.

Invariants:

- An answer without a status of 0, without a score, or shorter than it said is an error.
- Nothing of a request's fields can begin a second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailplat.message import headers
from mailplat.model.errors import Unavailable

__all__ = ["Command", "Report", "read_answer", "request"]


class Command(StrEnum):
    """What is asked."""

    CHECK = "check"
    SYMBOLS = "symbols"
    HEADERS = "headers"


@dataclass(frozen=True, slots=True)
class Report:
    """What spamd thinks of a message.

    Attributes:
        spam: Whether the score reached what spamd requires.
        score: The points it got.
        required: The points that spamd calls spam, as its user likes it.
        symbols: The rules that matched; empty where only `Command.CHECK` was asked.
        header: The message's header as spamd would have it, for `Command.HEADERS`; else ``b""``.
    """

    spam: bool
    score: float
    required: float
    symbols: tuple[str, ...] = ()
    header: bytes = b""


_USER = re.compile(r"[A-Za-z0-9_.+=@-]{1,320}")
_STATUS = re.compile(rb"SPAMD/\d+\.\d+ (\d+) [\x20-\x7e]*")
_NUMBER = rb"(-?\d{1,9}(?:\.\d{1,9})?)"
_SPAM = re.compile(rb"(True|Yes|False|No) ?; " + _NUMBER + rb" / " + _NUMBER)
_SYMBOL = re.compile(r"[A-Za-z0-9_]{1,100}")


def request(command: Command, size: int, user: str = "") -> bytes:
    """Begin a request; the message follows.

    Args:
        command: What is asked.
        size: The bytes of the message.
        user: Whose preferences hold; ``""``, or what spamd would not take for a name, says none.
    """
    lines = [f"{command.upper()} SPAMC/1.5", f"Content-length: {size}"]
    if _USER.fullmatch(user):
        lines.append(f"User: {user}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def read_answer(answer: bytes, command: Command) -> Report:
    """Read a whole answer.

    Raises:
        Unavailable: spamd said that it failed, or nothing that it says.
    """
    head, empty, content = answer.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    found = _STATUS.fullmatch(status)
    if found is None or int(found[1]) != 0 or not empty:
        raise Unavailable(f"spamd answered {answer[:200]!r}")
    fields += b"\r\n"
    length = headers.first(fields, b"content-length")
    if length is not None and length != b"%d" % len(content):
        raise Unavailable(f"spamd's answer has {len(content)} bytes, and not {length[:20]!r}")
    if length is None and command is not Command.CHECK:
        raise Unavailable("spamd's answer does not say its length")
    spam = _SPAM.fullmatch(headers.first(fields, b"spam") or b"")
    if spam is None:
        raise Unavailable(f"spamd's answer has no score: {head[:200]!r}")
    symbols: tuple[str, ...] = ()
    header = b""
    if command is Command.SYMBOLS:
        names = content.decode("ascii", "replace").strip().split(",")
        symbols = tuple(name for name in map(str.strip, names) if _SYMBOL.fullmatch(name))
    elif command is Command.HEADERS:
        header, _ = headers.split(content)
    return Report(spam[1] in (b"True", b"Yes"), float(spam[2]), float(spam[3]), symbols, header)
