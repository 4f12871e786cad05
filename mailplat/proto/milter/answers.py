"""What a milter answers, read to the letter.

Invariants:

- A reply of its own is a refusal in digits and printable ASCII, a status of its own class in front,
  or it is an error: nothing of it can break out of the SMTP dialogue.
- A change that it asks for can be made, or it is an error: no change is left out in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailplat.message import headers
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    RemoveRecipient,
)
from mailplat.proto.milter.negotiation import Actions
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.proto.smtp.parse import parse_mail, parse_rcpt

__all__ = ["ACTIONS", "BodyPart", "Modification", "Quarantine", "Word", "modification", "reply"]


class Word(StrEnum):
    """What a milter says of a command (SMFIR)."""

    ACCEPT = "a"
    CONTINUE = "c"
    DISCARD = "d"
    CONNECTION_FAILURE = "f"
    PROGRESS = "p"
    REJECT = "r"
    SKIP = "s"
    TEMPORARY_FAILURE = "t"
    REPLY = "y"
    SHUTDOWN = "4"


@dataclass(frozen=True, slots=True)
class BodyPart:
    """The next bytes of another body; the first of them replaces the message's own."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The message is to be put aside."""

    reason: str


Modification = (
    AddRecipient
    | RemoveRecipient
    | ChangeSender
    | InsertHeader
    | ChangeHeader
    | BodyPart
    | Quarantine
)

ACTIONS = {
    "+": Actions.ADD_RECIPIENTS,
    "2": Actions.ADD_RECIPIENTS_WITH_PARAMETERS,
    "-": Actions.REMOVE_RECIPIENTS,
    "b": Actions.CHANGE_BODY,
    "e": Actions.CHANGE_SENDER,
    "h": Actions.ADD_HEADERS,
    "i": Actions.ADD_HEADERS,
    "m": Actions.CHANGE_HEADERS,
    "q": Actions.QUARANTINE,
}
"""What a milter must have said that it does, by the command that does it."""

_LINE = re.compile(rb"([45]\d\d)([ -])(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?([ -~]*)")
_MOST_LINES = 32
_MOST_LINE = 500
_OFFERS = Offers(dsn=True, smtputf8=True)
_NEWLINE = re.compile(rb"\r?\n")


def reply(data: bytes) -> Reply:
    """Read a reply of the milter's own words (SMFIR_REPLYCODE).

    Raises:
        Unavailable: It is no refusal, or one that would break the dialogue.
    """
    lines = data.rstrip(b"\0").rstrip(b"\r\n").split(b"\n")
    found = [_LINE.fullmatch(line.removesuffix(b"\r")) for line in lines]
    words = [match for match in found if match is not None and len(match[0]) <= _MOST_LINE]
    if not 0 < len(words) == len(lines) <= _MOST_LINES:
        raise Unavailable(f"the milter's reply cannot be said: {data[:200]!r}")
    code, last = words[0][1], len(words) - 1
    for number, match in enumerate(words):
        # all lines have one code, and all but the last a hyphen (RFC 5321 §4.2.1)
        if match[1] != code or (match[2] == b"-") is (number == last):
            raise Unavailable(f"the milter's reply is cut: {data[:200]!r}")
    status = (words[0][3] or b"").decode("ascii")
    if status and status[0] != chr(code[0]):
        raise Unavailable(f"the milter's reply contradicts itself: {data[:200]!r}")
    # a per cent sign is doubled, as sendmail wants it
    texts = (match[4].decode("ascii").replace("%%", "%") for match in words)
    return Reply(int(code), tuple(texts), status)


def modification(command: str, data: bytes, *, leading_space: bool) -> Modification:
    """Read a change that a milter asks for.

    Args:
        command: One of `ACTIONS`.
        data: Its data.
        leading_space: Whether the milter writes the blank behind a field's colon itself.

    Raises:
        Unavailable: It cannot be read, or cannot be done.
    """
    try:
        match command:
            case "b":
                return BodyPart(data)
            case "q":
                return Quarantine(_strings(data, 1)[0].decode("utf-8", "replace"))
            case "+":
                return _recipient(*_strings(data, 1))
            case "2":
                return _recipient(*_with_arguments(data))
            case "-":
                return RemoveRecipient(_recipient(*_strings(data, 1)).address)
            case "e":
                path, arguments = _with_arguments(data)
                line = _line(b"FROM:", path, arguments)
                utf8 = b" SMTPUTF8" if not path.isascii() else b""
                sender = parse_mail(line + utf8, _OFFERS, Limits(), tls=True)
                return ChangeSender(sender.address, sender.returned, sender.envid)
            case "h":
                name, value = _field(data, leading_space)
                return InsertHeader(name, value, None)
            case "i":
                index = _index(data)
                name, value = _field(data[4:], leading_space)
                return InsertHeader(name, value, index)
            case "m":
                index = _index(data)
                name, value = _field(data[4:], leading_space)
                return ChangeHeader(name, max(index, 1), value)
    except (ValueError, CommandFault) as fault:
        said = fault.reply.text if isinstance(fault, CommandFault) else str(fault)
        raise Unavailable(f"the milter wants {command}{data[:200]!r}: {said}") from None
    raise Unavailable(f"the milter sent {command!r}, which is no change")


def _strings(data: bytes, count: int) -> list[bytes]:
    """Read so many strings, which end with NUL."""
    found = data.split(b"\0")
    if len(found) != count + 1 or found[-1]:
        raise ValueError(f"{count} strings were expected")
    return found[:-1]


def _with_arguments(data: bytes) -> tuple[bytes, bytes]:
    """Read a path and what may follow: its ESMTP parameters in a second string."""
    path, end, rest = data.partition(b"\0")
    if not end or (rest and (not rest.endswith(b"\0") or rest.count(b"\0") > 1)):
        raise ValueError("a path and maybe parameters were expected")
    return path, rest.removesuffix(b"\0")


def _line(verb: bytes, path: bytes, arguments: bytes) -> bytes:
    bare = path.strip().removeprefix(b"<").removesuffix(b">")
    return verb + b"<" + bare + b">" + (b" " + arguments.strip() if arguments.strip() else b"")


def _recipient(path: bytes, arguments: bytes = b"") -> AddRecipient:
    found = parse_rcpt(_line(b"TO:", path, arguments), _OFFERS, smtputf8=True)
    return AddRecipient(found.address, found.notify, found.original)


def _index(data: bytes) -> int:
    if len(data) < 4:
        raise ValueError("an index was expected")
    return int.from_bytes(data[:4], "big")


def _field(data: bytes, leading_space: bool) -> tuple[str, bytes]:
    """Read a field; an empty value stays one."""
    raw_name, raw_value = _strings(data, 2)
    name = raw_name.decode("ascii", "replace")
    value = _NEWLINE.sub(b"\r\n", raw_value.rstrip(b"\r\n"))
    if not headers.is_name(name):
        raise ValueError("that is no name of a field")
    if not value:
        return name, b""
    if not leading_space:
        value = b" " + value
    try:
        headers.exact_field(name, value)
    except ValueError:
        # what cannot stand as it is, is folded and encoded as our own fields are
        made = headers.field(name, value.decode("utf-8", "replace"))
        value = made[len(name) + 1 :].removesuffix(b"\r\n")
    return name, value
