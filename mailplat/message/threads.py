"""What threads and sorting by subject go by: base subjects and message ids (RFC 5256 §2.1, §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.message import words

__all__ = ["MAX_REFERENCES", "Subject", "base_subject", "message_ids", "references"]

MAX_REFERENCES = 1000
"""Ancestors of one message that are kept, the nearest ones."""

_LONGEST_SUBJECT = 2000
"""Characters of a subject that are looked at, so that no heap of brackets costs more than that."""

_LONGEST_ID = 998
"""Bytes of a message id; a longer one cannot stand in a line (RFC 5322 §2.1.1)."""

_BLANKS = re.compile(r"[ \t\r\n]+")
_BLOB = r"\[[^\[\]]*+\] *+"
_TRAILER = re.compile(r"(?: |\(fwd\))+\Z")
_LEADER = re.compile(rf" ++|(?:{_BLOB})*+(?:re|fwd?) *+(?:{_BLOB})?+:")
_LEADING_BLOB = re.compile(_BLOB)
_MESSAGE_ID = re.compile(
    rb"""<[ \t]*+(?:"((?:[^"\\<>]++|\\.)*+)"|([^<>"@\s]++))[ \t]*+@[ \t]*+([^<>@\s]++)[ \t]*+>""",
    re.VERBOSE,
)
_QUOTED_PAIR = re.compile(rb"\\(.)")


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject without what replying and forwarding put on it.

    Attributes:
        base: The base subject in lower case.
        reply: Whether the message answers or forwards another one, as far as the subject says
            (RFC 5256 §3).
    """

    base: str
    reply: bool


def base_subject(value: bytes) -> Subject:
    """Reduce the value of a Subject field to its base, by the steps of RFC 5256 §2.1."""
    # (1) decoded, blanks as one; the case is ignored in all that follows
    text = _BLANKS.sub(" ", words.decode(value[: 4 * _LONGEST_SUBJECT])).lower()
    text = text[:_LONGEST_SUBJECT]
    reply = False
    while True:
        # (2) trailing (fwd) and blanks
        trailer = _TRAILER.search(text)
        if trailer is not None:
            reply = reply or "(" in trailer[0]
            text = text[: trailer.start()]
        at = 0
        while True:
            # (3) leading "re:", "fwd:" with what stands in brackets around them
            leader = _LEADER.match(text, at)
            if leader is not None:
                reply = reply or ":" in leader[0]
                at = leader.end()
                continue
            # (4) a leading blob, unless it is all there is; (5) and again
            blob = _LEADING_BLOB.match(text, at)
            if blob is None or blob.end() == len(text):
                break
            at = blob.end()
        text = text[at:]
        # (6) "[fwd: ...]" as a whole
        if not (text.startswith("[fwd:") and text.endswith("]")):
            return Subject(text, reply)
        reply, text = True, text[5:-1]


def message_ids(value: bytes) -> tuple[str, ...]:
    """List the message ids of a field, each in one spelling whatever its quoting (RFC 5256 §3)."""
    found: list[str] = []
    for quoted, plain, host in _MESSAGE_ID.findall(value):
        local = _QUOTED_PAIR.sub(rb"\1", quoted) if quoted else plain
        if len(local) + len(host) <= _LONGEST_ID:
            found.append(f"<{local.decode('utf-8', 'replace')}@{host.decode('utf-8', 'replace')}>")
    return tuple(found)


def references(references: bytes | None, in_reply_to: bytes | None) -> tuple[str, ...]:
    """List a message's ancestors, oldest first (RFC 5256 §3 REFERENCES).

    Those of References; without a valid one there, the first of In-Reply-To.
    """
    found = message_ids(references) if references is not None else ()
    if not found and in_reply_to is not None:
        found = message_ids(in_reply_to)[:1]
    return found[-MAX_REFERENCES:]
