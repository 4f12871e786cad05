"""The protocol of Postfix's policy services (SMTPD_POLICY_README): attributes, and one action.

A request is a line ``name=value`` for each attribute, and an empty line; an answer looks alike, and
its attribute is ``action``.

Invariants:

- No value breaks its line.
- An action is one that can be done here, in words that can be said, or it is an error: what is not
  understood lets no mail pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import InsertHeader
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.parse import parse_path

__all__ = ["END", "MOST_ANSWER", "Doing", "PolicyAnswer", "read_answer", "request"]

END = b"\n\n"
MOST_ANSWER = 16384
"""Bytes of an answer."""

_MOST_VALUE = 1000
_MOST_TEXT = 400
_BREAKS = re.compile(r"[\x00-\x1f\x7f]")
_UNSAYABLE = re.compile(r"[^ -~]")
_WORDS = re.compile(r"(?:([245])\.(\d{1,3})\.(\d{1,3})(?: +|$))?(.*)", re.DOTALL)
_CODE = re.compile(r"[45]\d\d")


class Doing(StrEnum):
    """What becomes of the mail."""

    CONTINUE = "continue"
    REJECT = "reject"
    DEFER = "defer"
    HOLD = "hold"
    DISCARD = "discard"
    PREPEND = "prepend"
    REDIRECT = "redirect"
    BCC = "bcc"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a service answered.

    Attributes:
        doing: What is to be done.
        text: Its words, printable; ``""`` for none.
        reply: What the client is told, of a refusal.
        field: The field to put on top, of PREPEND.
        address: Who gets the mail, of REDIRECT and BCC.
    """

    doing: Doing
    text: str = ""
    reply: Reply | None = None
    field: InsertHeader | None = None
    address: Address | None = None


_NOTHING = {"DUNNO", "OK", "PERMIT"}
_REFUSALS = {
    "REJECT": (Doing.REJECT, 554, "5.7.1", "Access denied"),
    "DEFER": (Doing.DEFER, 450, "4.7.1", "Access denied for now"),
    "DEFER_IF_PERMIT": (Doing.DEFER, 450, "4.7.1", "Access denied for now"),
}
_PLAIN = {"HOLD": Doing.HOLD, "DISCARD": Doing.DISCARD, "WARN": Doing.NOTE, "INFO": Doing.NOTE}
_ADDRESSED = {"REDIRECT": Doing.REDIRECT, "BCC": Doing.BCC}


def request(attributes: Mapping[str, str]) -> bytes:
    """Write a request; what would break a line becomes a question mark."""
    lines = [
        f"{name}={_BREAKS.sub('?', value[:_MOST_VALUE])}\n" for name, value in attributes.items()
    ]
    return ("request=smtpd_access_policy\n" + "".join(lines) + "\n").encode("utf-8", "replace")


def read_answer(data: bytes) -> PolicyAnswer:
    """Read an answer, without its empty line.

    Raises:
        Unavailable: It is none, or asks for what cannot be done.
    """
    actions = [
        line[7:].strip()
        for line in data.decode("utf-8", "replace").split("\n")
        if line.startswith("action=")
    ]
    if len(actions) != 1:
        raise Unavailable(f"the policy service answered {data[:200]!r}")
    word, _, rest = actions[0].partition(" ")
    word, rest = word.upper(), rest.strip()
    text = _UNSAYABLE.sub("?", rest)[:_MOST_TEXT]
    if word in _NOTHING:
        return PolicyAnswer(Doing.CONTINUE, text)
    if word in _REFUSALS:
        doing, code, status, words = _REFUSALS[word]
        return PolicyAnswer(doing, text, _reply(code, status, text or words))
    if _CODE.fullmatch(word):
        doing = Doing.REJECT if word[0] == "5" else Doing.DEFER
        usual = f"{word[0]}.7.1"
        return PolicyAnswer(doing, text, _reply(int(word), usual, text or "Access denied"))
    if word in _PLAIN:
        return PolicyAnswer(_PLAIN[word], text)
    if word in _ADDRESSED:
        try:
            return PolicyAnswer(_ADDRESSED[word], text, address=parse_path(rest))
        except CommandFault:
            raise Unavailable(f"the policy service wants {word} to no address") from None
    if word == "PREPEND":
        return PolicyAnswer(Doing.PREPEND, text, field=_field(rest))
    raise Unavailable(f"the policy service wants {word[:50]!r}, which cannot be done here")


def _reply(code: int, status: str, text: str) -> Reply:
    """Make a reply; a status in front of the text holds, if it fits the code."""
    found = _WORDS.fullmatch(text)
    assert found is not None  # it takes anything
    if found[1] is None:
        return Reply.of(code, text, status)
    own = f"{found[1]}.{found[2]}.{found[3]}" if found[1] == status[0] else status
    return Reply.of(code, found[4] or "Access denied", own)


def _field(text: str) -> InsertHeader:
    name, _, value = text.partition(":")
    if not headers.is_name(name) or not value.strip():
        raise Unavailable("the policy service wants to prepend what is no field")
    made = headers.field(name, value)
    return InsertHeader(name, made[len(name) + 1 :].removesuffix(b"\r\n"), 0)
